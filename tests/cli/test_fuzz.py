"""Bytes, lines, prompts, flags, stores, vocabularies and runs made at random, and files forged with the right hashes: whatever
comes, an exit code of the contract, no traceback, no hang, and no more memory than the files bear out."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from seqtool.files.tensors import AS_GIVEN, METADATA, map_arrays, write_tensors
from seqtool.files.writing import canonical_sha256
from seqtool.settings.fields import flag_of
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import MAY_CHANGE, OPTIMIZER_NAMES, RATE_SETTINGS, TrainConfig
from seqtool.text.sentencepiece_model import with_metadata
from seqtool.vectors.vectors import ARRAYS, FOREIGN, VECTORS_FORMAT
from tests.conftest import ODD_STRINGS, Command

KINDS_IN_ALL, IN_THE_DEFAULT_SUITE = 10_000, 4
MOST_S = 5.0
MOST_BYTES = 1 << 30  # beyond what the modules take
CODES = {0, 1, 2, 3, 4}
PIECES = [*ODD_STRINGS[:17], "the ", "a.b\t", "\r\n", "\x1b[31m", "é", "\U0001f600", "0 1 2 ", "-1 ", "99999999999 "]
NUMBERS = [
    "0",
    "1",
    "-1",
    "2",
    "7",
    "0.5",
    "1e-9",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "",
    "x",
    "999999999999999999999",
    "0x10",
    "١",
]
PATTERNS = [
    "a",
    "(",
    ")",
    "[",
    "]",
    "|",
    "*",
    "+",
    "?",
    "{3}",
    "{2,}",
    "{,9999}",
    "\\d",
    "\\w",
    ".",
    "[^x]",
    "[a-z]",
    "(?i)",
    "(?=a)",
    "\\1",
    "\\",
    "é",
    "$",
    "^",
]


@pytest.fixture(scope="module")
def things(seqtool: Command, prose: str, small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text, vocabularies, a store and runs that are whole."""
    folder = tmp_path_factory.mktemp("things")
    (folder / "text").write_bytes(prose[:4000].encode())
    for kind in ("char", "bpe", "word"):
        assert not seqtool("vocab", folder / "text", "-o", folder / kind, "--type", kind).returncode
    assert not seqtool("encode", folder / "text", "--vocab", folder / "bpe", "-o", folder / "store").returncode
    shutil.copytree(small_run, folder / "lstm")
    words = ["--steps", 2, "--hidden", 16, "--layers", 1, "--batch-size", 4, "-q"]
    for name, model, kind in (("transformer", "transformer", "bpe"), ("words", "gru", "word")):
        made = seqtool(
            "train", folder / "text", "-o", folder / name, "--model", model, "--vocab", folder / kind, *words
        )
        assert not made.returncode, made.stderr
    for optimizer in OPTIMIZER_NAMES:
        made = seqtool(
            "train",
            folder / "text",
            "-o",
            folder / f"trained-{optimizer}",
            "--optimizer",
            optimizer,
            "--vocab",
            folder / "bpe",
            *words,
        )
        assert not made.returncode, made.stderr
    learned = ["embed", "train", folder / "text", "--dim", 6, "--epochs", 1, "-q"]
    assert not seqtool(*learned, "--subword", "--ngram-rows", 50, "-o", folder / "vectors").returncode
    assert not seqtool("embed", "export", folder / "vectors", "-o", folder / "vectors.txt", "-q").returncode
    assert not seqtool("embed", "export", folder / "vectors", "-o", folder / "vectors.bin", "-q").returncode
    return folder


def some_bytes(draw: random.Random) -> bytes:
    """Text, nearly text, or noise."""
    kind = draw.random()
    if kind < 0.2:
        return draw.randbytes(draw.choice([0, 1, 2, 3, 50, 3000]))
    text = "".join(draw.choices(PIECES, k=draw.choice([0, 1, 3, 30]))).encode()
    if kind < 0.4:
        return damaged(text, draw)
    return text * draw.choice([1, 1, 1, 3])


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, cut off, put in or repeated."""
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 10])):
        place = draw.randrange(len(changed) + 1)
        kind = draw.randrange(4)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del changed[place : place + draw.choice([1, 8, 10**6])]
        elif kind == 2:
            changed[place:place] = draw.randbytes(draw.choice([1, 8, 64]))
        else:
            changed[place : place + 8] = b"\xff" * 8
    return bytes(changed)


def a_run(draw: random.Random) -> str:
    return draw.choice(["lstm", "transformer", "words"])


def eval_text(draw: random.Random, here: Path) -> list[str]:
    options = [[], ["--per", "line"], ["--per", "line", "--carry"], ["--per", "token"], ["--per", "document"],
               ["--per", "word"], ["--per", "word", "--bits"]]  # fmt: skip
    more = [
        [],
        ["--json"],
        ["--given", "a b"],
        ["--errors", "replace"],
        ["--document", "line"],
        ["--document", "blank-line"],
        ["--document", "at:" + draw.choice(PIECES).replace("\0", "")],
    ]
    return ["eval", a_run(draw), "-", *draw.choice(options), *draw.choice(more)]


def encode_text(draw: random.Random, here: Path) -> list[str]:
    more = [[], ["--pieces"], ["--errors", "replace"], ["-o", "out", "--force"], ["-o", "out", "--document", "at:a"]]
    return ["encode", "-", "--vocab", draw.choice(["char", "bpe", "word"]), *draw.choice(more)]


def decode_ids(draw: random.Random, here: Path) -> list[str]:
    return ["decode", "--vocab", draw.choice(["char", "bpe", "word"])]


def learn_vocabulary(draw: random.Random, here: Path) -> list[str]:
    size = draw.choice([[], ["--size", draw.choice(NUMBERS)]])
    kind = draw.choice(["bpe", "unigram", "char", "byte", "word", "none"])
    symbols = ",".join(draw.choice([*PIECES, "<sep>", "é"]).replace("\0", "") for _ in range(draw.randrange(1, 3)))
    more = [["--symbols", symbols], ["--split-digits"], ["--min-count", draw.choice(NUMBERS)], ["--lowercase"]]
    chosen = [word for words in draw.sample(more, draw.randrange(3)) for word in words]
    return ["vocab", "-", "-o", "out.model", "--force", "--type", kind, *size, *chosen]


def write_from_prompts(draw: random.Random, here: Path) -> list[str]:
    return [
        "generate",
        a_run(draw),
        "-",
        "--max-tokens",
        "5",
        *draw.choice([[], ["--json"], ["--beam", "2"], ["-n", "2"]]),
    ]


def write_with_flags(draw: random.Random, here: Path) -> list[str]:
    flags = ["--temperature", "--top-k", "--top-p", "--min-p", "--typical", "--repetition-penalty", "--beam", "--seed",
             "--length-penalty", "--batch-size", "-n", "--precision", "--stop", "--prompt", "--ban", "--favour",
             "--min-tokens", "--no-repeat-ngram", "--alternatives", "--prompts"]  # fmt: skip
    switches = ["--greedy", "--json", "--allow-unk", "--keep-stop", "--no-heal", "--no-escapes", "--until-end"]
    words = [word for flag in draw.sample(flags, draw.randrange(4)) for word in (flag, draw.choice(NUMBERS))]
    words += draw.sample(switches, draw.randrange(3))
    return ["generate", a_run(draw), "--max-tokens", draw.choice(["0", "1", "40", "-3", "x"]), *words]


def write_steered(draw: random.Random, here: Path) -> list[str]:
    texts = [text.replace("\0", "") for text in (*PIECES, *NUMBERS, "\\n", "\\x41", "\\u00e9", "\\", "the")]
    flags = {"--ban": "", "--stop": "", "--prompt": "", "--favour": f"={draw.choice(NUMBERS)}"}
    names = draw.sample(list(flags), draw.randrange(1, 4))
    words = [word for name in names for word in (name, draw.choice(texts) + flags[name])]
    way = draw.choice(
        [[], ["--greedy"], ["--beam", "2"], ["-n", "3"], ["--no-repeat-ngram", "1"], ["--min-tokens", "9"]]
    )
    return ["generate", a_run(draw), "--max-tokens", "20", *words, *way, *draw.choice([[], ["--no-escapes"]])]


def write_constrained(draw: random.Random, here: Path) -> list[str]:
    pattern = "".join(draw.choices(PATTERNS, k=draw.randrange(1, 9)))
    return ["generate", a_run(draw), "--max-tokens", "30", "--constrain", pattern]


def eval_flags(draw: random.Random, here: Path) -> list[str]:
    flags = ["--context", "--stride", "--batch-size", "--per", "--document", "--errors", "--device", "--given",
             "--oov"]  # fmt: skip
    words = [word for flag in draw.sample(flags, draw.randrange(1, 4)) for word in (flag, draw.choice(NUMBERS))]
    return ["eval", a_run(draw), "text", *words]


def spoil(folder: Path, draw: random.Random) -> None:
    """Damage one file of a folder, or a file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else [folder]
    file = draw.choice(files)
    file.write_bytes(damaged(file.read_bytes(), draw))


def spoiled_vocabulary(draw: random.Random, here: Path) -> list[str]:
    name = draw.choice(["char", "bpe", "word"])
    shutil.copy(here / name, here / "spoiled")
    spoil(here / "spoiled", draw)
    return draw.choice([["encode", "-", "--vocab", "spoiled"], ["decode", "--vocab", "spoiled"], ["info", "spoiled"]])


def spoiled_store(draw: random.Random, here: Path) -> list[str]:
    shutil.rmtree(here / "spoiled.store", ignore_errors=True)
    shutil.copytree(here / "store", here / "spoiled.store")
    spoil(here / "spoiled.store", draw)
    return draw.choice(
        [
            ["info", "spoiled.store"],
            ["eval", "transformer", "spoiled.store"],
            ["train", "spoiled.store", "-o", "out.run", "--dry-run"],
        ]
    )


def spoiled_run(draw: random.Random, here: Path) -> list[str]:
    shutil.rmtree(here / "spoiled.run", ignore_errors=True)
    shutil.copytree(here / a_run(draw), here / "spoiled.run", ignore=shutil.ignore_patterns("checkpoint", "metrics*"))
    spoil(here / "spoiled.run", draw)
    return draw.choice(
        [["eval", "spoiled.run", "-"], ["generate", "spoiled.run", "--max-tokens", "3"], ["info", "spoiled.run"]]
    )


def flags_of(kinds: tuple[type[Any], ...], draw: random.Random, but: tuple[str, ...] = ()) -> list[str]:
    """Some flags of these settings, with values that are good or bad."""
    words = []
    items = [item for kind in kinds for item in dataclasses.fields(kind) if item.name not in but]
    for item in draw.sample(items, draw.randrange(1, 4)):
        words.append(draw.choice(flag_of(item).split("/")))
        if not isinstance(item.default, bool):
            words.append(draw.choice([*NUMBERS, *(item.metadata["choices"] or ["3", "0.5"])]))
    return words


def plan_training(draw: random.Random, here: Path) -> list[str]:
    data = draw.choice(
        [["text"], ["-"], ["text", "text=2"], ["text", "-=0.5"], ["store"], ["text", f"text={draw.choice(NUMBERS)}"]]
    )
    vocabulary = draw.choice([[], ["--vocab", "char"], ["--vocab-type", draw.choice(["char", "word", "bpe", "x"])],
                              ["--vocab-size", draw.choice(NUMBERS)], ["--min-count", draw.choice(NUMBERS)]])  # fmt: skip
    more = draw.choice(
        [[], ["--valid", draw.choice(NUMBERS)], ["--document", "line"], ["--config", "lstm/config.json"]]
    )
    return ["train", *data, "--dry-run", *vocabulary, *more, *flags_of((ModelConfig, TrainConfig), draw)]


SIZES = ("hidden", "embed", "layers", "last_hidden", "context", "bptt", "batch_size", "accumulate", "probe_gradients")


def train_a_little(draw: random.Random, here: Path) -> list[str]:
    lengths = ("steps", "epochs", "time")
    words = flags_of((ModelConfig, TrainConfig), draw, (*SIZES, *lengths, "compile", "model"))
    small = ["--vocab", "char", "--hidden", "8", "--steps", "2", "--batch-size", "2", "-q"]
    return ["train", draw.choice(["text", "-"]), "-o", "out.run", "--force", *small, *words]


def go_on_with_a_spoiled_run(draw: random.Random, here: Path) -> list[str]:
    shutil.rmtree(here / "spoiled.run", ignore_errors=True)
    shutil.copytree(here / "words", here / "spoiled.run")
    spoil(here / "spoiled.run", draw)
    how = draw.choice(["--resume", "--resume-or-begin"])
    return [
        "train",
        draw.choice(["text", "-"]),
        "-o",
        "spoiled.run",
        how,
        "--steps",
        draw.choice(["1", "2", "3"]),
        "-q",
    ]


def learn_embeddings(draw: random.Random, here: Path) -> list[str]:
    flags = ["--dim", "--window", "--negative", "--noise-power", "--subsample", "--lr", "--min-count", "--vocab-size",
             "--shortest-ngram", "--longest-ngram", "--ngram-rows", "--seed", "--checkpoint-every"]  # fmt: skip
    words = [word for flag in draw.sample(flags, draw.randrange(3)) for word in (flag, draw.choice(NUMBERS[:-3]))]
    method = draw.choice(["skipgram", "skipgram", "cbow", "glove", "svd", "one-hot", "none"])
    length = ["--epochs", "1"] if method in ("skipgram", "cbow", "glove") else []
    kind = ["--method", method, *draw.choice([[], ["--subword"], ["--vocab-type", "char"], ["--vocab", "bpe"]])]
    return ["embed", "train", draw.choice(["-", "text"]), "-o", "out.vectors", "--force", *kind, *length, *words]


def ask_vectors(draw: random.Random, here: Path) -> list[str]:
    command = draw.choice(["nearest", "analogy", "similarity"])
    more = draw.choice([[], ["--json"], ["-n", draw.choice(NUMBERS)] if command != "similarity" else []])
    if draw.random() < 0.5:
        return ["embed", command, "vectors", "-", *more]
    words = [draw.choice(["the", "a", *PIECES]).replace("\0", "") for _ in range(draw.randrange(4))]
    return ["embed", command, "vectors", *more, "--", *words]


def judge_vectors(draw: random.Random, here: Path) -> list[str]:
    return ["embed", "evaluate", "vectors", "-", *draw.choice([[], ["--json"], ["--top", draw.choice(NUMBERS)]])]


def spoiled_vectors(draw: random.Random, here: Path) -> list[str]:
    name = draw.choice(["vectors", "vectors.txt", "vectors.bin"])
    shutil.copy(here / name, here / "spoiled.file")
    spoil(here / "spoiled.file", draw)
    if name == "vectors":
        use = [["nearest", "spoiled.file", "the"], ["export", "spoiled.file", "-o", "-", "--format", "glove"]]
        return ["embed", *draw.choice(use)]
    return ["embed", "import", "spoiled.file", "-o", "in.vectors", "--force"]


def forged(value: Any, draw: random.Random) -> Any:
    """Something else in the place of a value in JSON."""
    if isinstance(value, int) and draw.random() < 0.3:
        return draw.choice([value + 1, 2 * value, -value, float(value)])
    return draw.choice([
        0, 1, -1, True, None, 0.5, 1e308, float("nan"), float("inf"), 10**9, 1 << 20, 1 << 16, 10**30, 10**400, "", "x", "9" * 5000, [], {},
        [[]], ["x"] * 9, "auto", "cuda", "../text", "\0",
    ])  # fmt: skip


def forge_json(value: Any, draw: random.Random) -> None:
    """Change, leave out or add an entry somewhere in a JSON object."""
    while True:
        within = [
            part
            for part in (value.values() if isinstance(value, dict) else value)
            if part and isinstance(part, (dict, list))
        ]
        if not within or draw.random() < 0.3:
            break
        value = draw.choice(within)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = draw.choice(keys)
    kind = draw.random()
    if kind < 0.8:
        value[key] = forged(value[key], draw)
    elif kind < 0.9:
        del value[key]
    elif isinstance(value, dict):
        value["other"] = forged(0, draw)


def forge_tensors(tensors: dict[str, torch.Tensor], draw: random.Random) -> None:
    """Give one another shape, type or values, leave it out, or add one."""
    name = draw.choice(sorted(tensors))
    tensor = tensors[name]
    kind = draw.randrange(7)
    if kind == 0:
        tensors[name] = tensor.to(
            draw.choice([torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.complex64, torch.bool])
        )
    elif kind == 1:
        tensors[name] = tensor.flatten()[: draw.choice([0, 1, max(len(tensor.flatten()) - 1, 0)])].clone()
    elif kind == 2 and tensor.dim():
        tensors[name] = tensor[..., :1].clone() if draw.random() < 0.5 else tensor[:1].clone()
    elif kind == 3:
        tensors[name] = tensor.reshape(draw.choice([(1, *tensor.shape), (-1,), (*tensor.shape, 1)])).clone()
    elif kind == 4:
        tensors[name] = (
            torch.full_like(tensor, draw.choice([0, 1, 3, 77]))
            if draw.random() < 0.6
            else torch.randn(tensor.shape).to(tensor.dtype)
        )
    elif kind == 5:
        del tensors[name]
    else:
        tensors[draw.choice([name + "/0", "other", "state/0/0", "optimizer/0/0/step", "average/0"])] = torch.zeros(
            draw.choice([(), (1,), (4, 9)])
        )


def forged_run(draw: random.Random, here: Path) -> list[str]:
    """A run of which the settings, the weights or the checkpoint are others, with hashes that fit."""
    run, of = here / "forged.run", draw.choice([*TRAINED, "words"])
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(here / of, run)
    config = json.loads((run / "config.json").read_text())
    part = draw.choice(["config", "weights", "checkpoint", "checkpoint", "progress"])
    if part == "config":
        forge_json(config, draw)
        (run / "config.json").write_text(json.dumps(config))
    for file in (run / "model.safetensors", run / "checkpoint" / "state.safetensors"):
        tensors = safetensors.torch.load_file(file)
        with safetensors.safe_open(str(file), "pt") as content:
            metadata = json.loads(content.metadata()[METADATA])
        if part == ("checkpoint" if "progress" in metadata else "weights"):
            forge_tensors(tensors, draw)
        if part == "progress" and "progress" in metadata:
            progress = json.loads(metadata["progress"])
            forge_json(progress, draw)
            metadata["progress"] = json.dumps(progress)
        if isinstance(config.get("training"), dict):
            metadata["model_sha256"] = canonical_sha256([config.get("model"), config.get("symbols")])
        if "training_sha256" in metadata and isinstance(config.get("training"), dict):
            fixed = {
                name: value for name, value in config["training"].items() if name not in (*MAY_CHANGE, *RATE_SETTINGS)
            }
            metadata["training_sha256"] = canonical_sha256([fixed, config.get("data")])
        del metadata["sha256"]
        write_tensors(file, tensors, metadata)
    go_on = ["train", "text", "-o", "forged.run", "--resume", "--steps", "3", "-q"]
    if part in ("checkpoint", "progress"):
        return go_on
    return draw.choice(
        [["eval", "forged.run", "-"], ["generate", "forged.run", "--max-tokens", "3"], ["info", "forged.run"], go_on]
    )


def forged_settings(draw: random.Random, here: Path) -> list[str]:
    """A file of settings that is large, deep, or says what cannot be."""
    names = [
        "steps",
        "hidden",
        "heads",
        "accumulate",
        "context",
        "lr",
        "bptt",
        "tied",
        "model",
        "vocab-size",
        "document",
        "other",
        "time",
    ]
    values = ["0", "-1", "true", "1.5", "nan", "inf", "'x'", "'full'", "[]", "{}", "1979-05-27", "1e400", "9" * 5000, "0x" + "f" * 60_000,
              "'" + "y" * 50_000 + "'", "[" * 10_000, "{a=" * 5000, "1." * 20_000, "1_0" * 10_000]  # fmt: skip
    lines = [f"{name} = {draw.choice(values)}" for name in draw.sample(names, draw.randrange(1, 3))]
    lines += draw.choice(
        [
            [],
            ["a" + ".a" * 40_000 + " = 1"],
            ["[" + "a." * 40_000 + "a]"],
            ["x = {" + "a." * 40_000 + "a = 1}"],
            ["[model]"],
        ]
    )
    (here / "forged.toml").write_text("\n".join(lines))
    return ["train", "text", "-o", "out.run", "--force", "--dry-run", "--config", "forged.toml"]


def forged_vocabulary(draw: random.Random, here: Path) -> list[str]:
    """A SentencePiece model made by hand."""

    def field(number: int, content: bytes) -> bytes:
        length, digits = len(content), bytearray()
        while length > 0x7F:
            digits.append(length & 0x7F | 0x80)
            length >>= 7
        return bytes([number << 3 | 2, *digits, length]) + content

    def piece(text: str, score: float, kind: int) -> bytes:
        return field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + bytes([3 << 3, kind]))

    special = [piece("<unk>", 0, 2), piece("<s>", 0, 3), piece("</s>", 0, 3)]
    special += draw.choice([[], [piece(f"<0x{byte:02X}>", 0, 6) for byte in range(256)]])
    if draw.random() < 0.4:
        special.pop(draw.randrange(len(special)))
    texts = [
        "",
        "a",
        "b",
        "ab",
        "\u2581",
        "\u2581a",
        "<eos>",
        "a" * 1_000_000,
        "a" * 7000,
        "\n",
        "\0",
        "<unk>",
        "\u2581" * 3000,
    ]
    pieces = [
        piece(
            draw.choice(texts),
            draw.choice([-1.0, 0.0, 1e38, float("nan"), float("-inf")]),
            draw.choice([1, 1, 1, 2, 3, 4, 5, 6, 9]),
        )
        for _ in range(draw.randrange(6))
    ]
    model = b"".join([*special, *pieces]) + field(2, bytes([3 << 3, draw.choice([1, 2, 3, 4])]))
    kind = draw.choice(["bpe", "unigram", "char", "byte", "word", "none", 7, None])
    (here / "forged.model").write_bytes(
        with_metadata(model, {"type": kind, "normalize": draw.choice(["none", "nfkc", 3])})
    )
    return draw.choice(
        [["encode", "-", "--vocab", "forged.model"], ["decode", "--vocab", "forged.model"], ["info", "forged.model"]]
    )


def forged_store(draw: random.Random, here: Path) -> list[str]:
    """A store whose description says something else, and signs it."""
    shutil.rmtree(here / "forged.store", ignore_errors=True)
    shutil.copytree(here / "store", here / "forged.store")
    file = here / "forged.store" / "store.json"
    description = json.loads(file.read_text())
    forge_json(description, draw)
    description["sha256"] = canonical_sha256({name: value for name, value in description.items() if name != "sha256"})
    file.write_text(json.dumps(description))
    return draw.choice([["info", "forged.store"], ["train", "forged.store", "-o", "out.run", "--force", "--dry-run"]])


def forged_vectors(draw: random.Random, here: Path) -> list[str]:
    """Vectors with other metadata or arrays, signed."""
    arrays, metadata = map_arrays(here / "vectors", ARRAYS, VECTORS_FORMAT, FOREIGN)
    if draw.random() < 0.5:
        forge_json(metadata, draw)
    else:
        name = draw.choice(sorted(arrays))
        array = arrays[name]
        arrays[name] = draw.choice(
            [
                array[:0],
                array[:1],
                array[::-1],
                np.zeros_like(array),
                array + array.dtype.type(1),
                array[: len(array) // 2],
            ]
        )
    write_tensors(here / "forged.vectors", arrays, metadata, AS_GIVEN)
    use = [
        ["nearest", "forged.vectors", "the"],
        ["nearest", "forged.vectors", "unseenword"],
        ["export", "forged.vectors", "-o", "-", "--format", "glove"],
    ]
    return draw.choice([["info", "forged.vectors"], *(["embed", *words] for words in use)])


TRAINED = [f"trained-{optimizer}" for optimizer in OPTIMIZER_NAMES]
FORGERIES = [forged_run, forged_settings, forged_vocabulary, forged_store, forged_vectors]
KINDS: list[Callable[[random.Random, Path], list[str]]] = [
    eval_text, encode_text, decode_ids, learn_vocabulary, write_from_prompts, write_with_flags, write_constrained, write_steered,
    eval_flags, spoiled_vocabulary, spoiled_store, spoiled_run, learn_embeddings, ask_vectors, judge_vectors, spoiled_vectors,
    plan_training, train_a_little, go_on_with_a_spoiled_run, *FORGERIES,
]  # fmt: skip


def survive(
    seqtool: Command, things: Path, here: Path, kind: Callable[[random.Random, Path], list[str]], numbers: range
) -> None:
    shutil.copytree(things, here, dirs_exist_ok=True)
    for number in numbers:
        draw = random.Random(f"{kind.__name__} {number}")
        words, stdin = kind(draw, here), some_bytes(draw)
        began = time.monotonic()
        result = seqtool(*words, stdin=stdin, cwd=here, memory=MOST_BYTES)
        told = (number, words, stdin[:200], result.returncode, result.stderr.decode(errors="replace"))
        assert result.returncode in CODES, told
        assert b"Traceback" not in result.stderr, told
        assert b"this is a bug" not in result.stderr, told
        assert b"not enough memory" not in result.stderr, told
        assert (result.returncode == 0) == (b"seqtool: error: " not in result.stderr), told
        assert time.monotonic() - began < MOST_S, told


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_whatever_comes_is_answered(seqtool: Command, things: Path, tmp_path: Path, kind: Callable[..., list[str]]):
    survive(seqtool, things, tmp_path / "here", kind, range(IN_THE_DEFAULT_SUITE))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_whatever_comes_is_answered_ten_thousand_times(
    seqtool: Command, things: Path, tmp_path: Path, kind: Callable[..., list[str]], part: int
):
    each = KINDS_IN_ALL // (10 * len(KINDS)) + 1
    survive(seqtool, things, tmp_path / "here", kind, range(1000 + part * each, 1000 + (part + 1) * each))


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "seqtool encode text --vocab bpe | head -1",
        "seqtool encode text --vocab bpe --pieces | head -1",
        "seqtool encode text --vocab bpe | seqtool decode --vocab bpe | head -1",
        "seqtool eval lstm text --per line | head -1",
        "seqtool eval lstm text --per token | head -1",
        "seqtool generate lstm -n 100 --max-tokens 100000 | head -1",
        "yes the | head -1000 | seqtool generate lstm - --max-tokens 300 | head -1",
        "yes the | head -100000 | seqtool embed nearest vectors - | head -1",
    ],
)
def test_a_reader_that_goes_away_a_hundred_times(shell: Command, things: Path, line: str):
    for _ in range(100):
        result = shell(line.replace("text", "long"), things) if (things / "long").exists() else None
        if result is None:
            (things / "long").write_bytes((things / "text").read_bytes() * 100)
            result = shell(line.replace("text", "long"), things)
        notes = [part for part in result.stderr.splitlines() if not part.startswith((b"seed ", b"beyond "))]
        assert (result.returncode, notes) == (141, []), line
