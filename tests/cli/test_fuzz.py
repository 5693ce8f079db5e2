"""Bytes, lines, prompts, flags, stores, vocabularies and runs made at random: whatever comes, an exit code of the contract,
no traceback, no hang."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ODD_STRINGS, Command

KINDS_IN_ALL, IN_THE_DEFAULT_SUITE = 10_000, 4
MOST_S = 5.0
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
    options = [[], ["--per", "line"], ["--per", "line", "--carry"], ["--per", "token"], ["--per", "document"]]
    more = [[], ["--json"], ["--errors", "replace"], ["--document", "line"], ["--document", "blank-line"]]
    return ["eval", a_run(draw), "-", *draw.choice(options), *draw.choice(more)]


def encode_text(draw: random.Random, here: Path) -> list[str]:
    more = [[], ["--pieces"], ["--errors", "replace"], ["-o", "out", "--force"]]
    return ["encode", "-", "--vocab", draw.choice(["char", "bpe", "word"]), *draw.choice(more)]


def decode_ids(draw: random.Random, here: Path) -> list[str]:
    return ["decode", "--vocab", draw.choice(["char", "bpe", "word"])]


def learn_vocabulary(draw: random.Random, here: Path) -> list[str]:
    size = draw.choice([[], ["--size", draw.choice(NUMBERS)]])
    kind = draw.choice(["bpe", "unigram", "char", "byte", "word", "none"])
    return ["vocab", "-", "-o", "out.model", "--force", "--type", kind, *size]


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
             "--length-penalty", "--batch-size", "-n", "--precision", "--stop", "--prompt"]  # fmt: skip
    words = [word for flag in draw.sample(flags, draw.randrange(4)) for word in (flag, draw.choice(NUMBERS))]
    return ["generate", a_run(draw), "--max-tokens", draw.choice(["0", "1", "40", "-3", "x"]), *words]


def write_constrained(draw: random.Random, here: Path) -> list[str]:
    pattern = "".join(draw.choices(PATTERNS, k=draw.randrange(1, 9)))
    return ["generate", a_run(draw), "--max-tokens", "30", "--constrain", pattern]


def eval_flags(draw: random.Random, here: Path) -> list[str]:
    flags = ["--context", "--stride", "--batch-size", "--per", "--document", "--errors", "--device"]
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
    return draw.choice([["info", "spoiled.store"], ["train", "spoiled.store", "-o", "out.run", "--dry-run"]])


def spoiled_run(draw: random.Random, here: Path) -> list[str]:
    shutil.rmtree(here / "spoiled.run", ignore_errors=True)
    shutil.copytree(here / a_run(draw), here / "spoiled.run", ignore=shutil.ignore_patterns("checkpoint", "metrics*"))
    spoil(here / "spoiled.run", draw)
    return draw.choice(
        [["eval", "spoiled.run", "-"], ["generate", "spoiled.run", "--max-tokens", "3"], ["info", "spoiled.run"]]
    )


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


KINDS: list[Callable[[random.Random, Path], list[str]]] = [
    eval_text, encode_text, decode_ids, learn_vocabulary, write_from_prompts, write_with_flags, write_constrained, eval_flags,
    spoiled_vocabulary, spoiled_store, spoiled_run, learn_embeddings, ask_vectors, judge_vectors, spoiled_vectors,
]  # fmt: skip


def survive(
    seqtool: Command, things: Path, here: Path, kind: Callable[[random.Random, Path], list[str]], numbers: range
) -> None:
    shutil.copytree(things, here, dirs_exist_ok=True)
    for number in numbers:
        draw = random.Random(f"{kind.__name__} {number}")
        words, stdin = kind(draw, here), some_bytes(draw)
        began = time.monotonic()
        result = seqtool(*words, stdin=stdin, cwd=here)
        told = (number, words, stdin[:200], result.returncode, result.stderr.decode(errors="replace"))
        assert result.returncode in CODES, told
        assert b"Traceback" not in result.stderr, told
        assert b"this is a bug" not in result.stderr, told
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
