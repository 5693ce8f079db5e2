"""`seqtool encode`, by the real command: any text, in parts, from and to everywhere."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from seqtool.cli.encode import printed
from seqtool.text.documents import SEGMENT_CHARACTERS, TextSource
from seqtool.text.store import open_store
from tests.cli.test_contract import error_of
from tests.conftest import ODD_STRINGS, Command
from tests.text.small_byte_level import small_vocabulary

LOSSLESS = ["bpe", "unigram", "char", "byte"]


@pytest.fixture(scope="module")
def models(seqtool: Command, prose_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    for kind in LOSSLESS:
        assert seqtool("vocab", prose_file, "-o", folder / kind, "--type", kind, "-q").returncode == 0
    return {kind: folder / kind for kind in LOSSLESS}


def odd_text(seed: int) -> bytes:
    """Odd strings, random characters of every plane, CRLF, and words, spaces and U+2581 across a segment's end."""
    random = np.random.default_rng(seed)
    points = np.concatenate([random.integers(0xD800, size=2000), random.integers(0xE000, 0x110000, size=500)])
    edge = [
        ".\r\n" + "x" * (SEGMENT_CHARACTERS - 1 - at) + part + "y z\n" for at in (0, 1) for part in ("  ", "▁", " w")
    ]
    return "".join([".", *ODD_STRINGS, *map(chr, points), *edge, "no end"]).encode()


@pytest.mark.parametrize("kind", LOSSLESS)
def test_decode_gives_back_what_encode_was_given(seqtool: Command, models: dict[str, Path], kind: str, tmp_path: Path):
    text = odd_text(seed=LOSSLESS.index(kind))
    encoded = seqtool("encode", "--vocab", models[kind], stdin=text)
    assert encoded.returncode == 0
    assert encoded.stderr == b""
    assert seqtool("decode", "--vocab", models[kind], stdin=encoded.stdout).stdout == text
    lines = encoded.stdout.decode().split("\n")
    assert len(lines) == text.count(b"\n") + 2
    assert not any(line != line.strip() for line in lines)
    (tmp_path / "text").write_bytes(text)
    assert seqtool("encode", tmp_path / "text", "--vocab", models[kind], "-o", tmp_path / "store").returncode == 0
    ids = open_store(tmp_path / "store").ids
    assert ids[1 : len(ids)].tolist() == [int(word) for word in encoded.stdout.split()]


def test_pieces_of_a_long_line_stay_on_one_line(seqtool: Command, models: dict[str, Path]):
    text = b"so long " * 60_000 + b"\n\nend"
    for arguments in ([], ["--pieces"]):
        printed = seqtool("encode", "--vocab", models["bpe"], *arguments, stdin=text).stdout.decode().split("\n")
        assert [bool(line) for line in printed] == [True, not arguments, True, False]
    assert printed[0].replace(" ", "").replace("▁", " ").encode() == text.split(b"\n")[0]


def test_encode_appends_to_a_store(seqtool: Command, models: dict[str, Path], tmp_path: Path):
    (tmp_path / "a").write_text("one text\n")
    (tmp_path / "b").write_text("an other\n")
    vocab, store = models["bpe"], tmp_path / "store"
    assert b"not a token store" in seqtool("encode", tmp_path / "a", "--vocab", vocab, "-o", store, "--append").stderr
    assert seqtool("encode", tmp_path / "a", "--vocab", vocab, "-o", store).returncode == 0
    result = seqtool("encode", tmp_path / "b", "--vocab", vocab, "-o", store, "--append", "--json")
    assert json.loads(result.stdout)["documents"] == 2
    described = json.loads(seqtool("info", store, "--json").stdout)
    assert described["dtype"] == "uint16"
    assert [entry["documents"] for entry in described["inputs"]] == [1, 1]
    error_of(seqtool("encode", tmp_path / "b", "--vocab", models["char"], "-o", store, "--append"), 3)
    error_of(seqtool("encode", tmp_path / "b", "--vocab", vocab, "--append"), 2)
    error_of(seqtool("encode", tmp_path / "b", "--vocab", vocab, "-o", store, "--append", "--force"), 2)
    error_of(seqtool("encode", tmp_path / "b", "--vocab", vocab, "-o", store), 2)


def test_a_vocabulary_says_what_it_was_learned_from(seqtool: Command, models: dict[str, Path], prose_file: Path):
    described = json.loads(seqtool("info", models["unigram"], "--json").stdout)
    assert described["sample_bytes"] == described["text_bytes"] == prose_file.stat().st_size


def test_pieces_are_those_of_sentencepiece(seqtool: Command, small_run: Path):
    import sentencepiece

    plain = sentencepiece.SentencePieceProcessor(model_file=str(small_run / "vocab.model"))
    result = seqtool("encode", "-", "--vocab", small_run / "vocab.model", "--pieces", stdin=b"a line\nan other")
    assert result.stdout.decode().splitlines() == [
        " ".join(plain.encode(line, out_type=str)) for line in ("a line", "an other")
    ]


@pytest.mark.parametrize(("words", "named"), [
    (["encode", "--vocab", "bpe", "--json"], "--json"),
    (["encode", "--vocab", "bpe", "--document", "line"], "--document"),
    (["encode", "--vocab", "bpe", "--force"], "--force"),
    (["encode", "--vocab", "bpe", "-o", "new", "--pieces"], "--pieces"),
])  # fmt: skip
def test_a_flag_that_has_no_effect_is_refused_by_name(
    seqtool: Command, models: dict[str, Path], words: list[object], named: str
):
    assert named in error_of(seqtool(*words, stdin=b"a text\n", cwd=models["bpe"].parent), 2)
    assert not (models["bpe"].parent / "new").exists()


@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_archives_are_refused_wherever_text_is_read(seqtool: Command, small_run: Path, tmp_path: Path, errors: str):
    vocab, packed = small_run / "vocab.model", tmp_path / "a text.tar"
    with tarfile.open(packed, "w") as archive:
        archive.add(vocab, "a text")
    given = ["--errors", errors]
    commands: list[list[object]] = [
        ["vocab", packed, "-o", tmp_path / "new", *given],
        ["encode", packed, "--vocab", vocab, *given],
        ["train", packed, "-o", tmp_path / "new", *given],
        ["eval", small_run, packed, *given],
        ["embed", "train", packed, "-o", tmp_path / "new", *given],
        ["generate", small_run, "-", "-q", *given],
    ]
    for words in commands:
        message = error_of(seqtool(*words, stdin=packed.read_bytes()), 3)
        assert "tar -xOf FILE |" in message if words[0] == "generate" else f"tar -xOf '{packed}' |" in message


def test_compressed_text_is_read_as_what_it_was(seqtool: Command, small_run: Path, tmp_path: Path):
    text = "some text, and more of it\n" * 300
    plain, packed = tmp_path / "a.txt", tmp_path / "a.txt.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    vocab = small_run / "vocab.model"
    same: list[list[object]] = [
        ["encode", "FILE", "--vocab", vocab],
        ["eval", small_run, "FILE", "--per", "line"],
        ["generate", small_run, "--prompts", "FILE", "--max-tokens", 0],
    ]
    for words in same:
        found = [
            seqtool(*[file if word == "FILE" else word for word in words], stdin=stdin)
            for file, stdin in ((plain, b""), (packed, b""), ("-", packed.read_bytes()))
            if file != "-" or "--prompts" not in words
        ]
        assert all(one.returncode == 0 for one in found), found[-1].stderr
        assert len({one.stdout for one in found}) == 1, words
    cut = error_of(seqtool("eval", small_run, "-", stdin=packed.read_bytes()[:-9]), 3)
    assert "standard input was cut short: what gzip compressed ends too early" in cut


def test_an_empty_file_among_several_is_an_empty_document(seqtool: Command, models: dict[str, Path], tmp_path: Path):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("some text\n")
    names = [tmp_path / "empty", tmp_path / "text", tmp_path / "empty"]
    assert seqtool("vocab", *names, "-o", tmp_path / "new", "--type", "char").returncode == 0
    printed = seqtool("encode", *names, "--vocab", models["bpe"])
    assert printed.stdout == seqtool("encode", names[1], "--vocab", models["bpe"]).stdout != b""
    stored = seqtool("encode", *names, "--vocab", models["bpe"], "-o", tmp_path / "store", "--json")
    assert json.loads(stored.stdout)["documents"] == 3
    other = ["-o", tmp_path / "other"]
    encode = ["encode", "--vocab", models["bpe"]]
    for words in (["vocab", *other], encode, [*encode, *other]):
        assert "empty" in error_of(seqtool(*words, names[0], names[0]), 3)
    assert not (tmp_path / "other").exists()
    adding = seqtool(*encode, names[0], "-o", tmp_path / "store", "--append")
    assert "empty" in error_of(adding, 3)
    assert len(open_store(tmp_path / "store").ids) == json.loads(stored.stdout)["tokens"]


def test_a_delimiter_of_ones_own_separates_documents_everywhere(
    seqtool: Command, models: dict[str, Path], prose: str, tmp_path: Path
):
    parts = [prose[start : start + 300].strip("\n") + "\n" for start in range(0, 3000, 300)]
    (tmp_path / "text").write_text("<|e|>\n".join(parts))
    given = ["--document", "at:<|e|>"]
    stored = seqtool("encode", tmp_path / "text", "--vocab", models["char"], "-o", tmp_path / "store", "--json", *given)
    assert json.loads(stored.stdout)["documents"] == 10
    assert json.loads(stored.stdout)["characters"] == sum(map(len, parts))
    run, model = tmp_path / "run", ["--vocab", models["char"], "--hidden", 8, "--steps", 2, "-q"]
    assert seqtool("train", tmp_path / "text", "-o", run, *model, *given).returncode == 0
    record = json.loads((run / "config.json").read_text())["data"]
    assert (record["document"], record["documents"]) == ("at:<|e|>", 10)
    report = json.loads(seqtool("eval", run, tmp_path / "text", "--json", "-q").stdout)
    assert (report["documents"], report["bytes"]) == (10, sum(len(part.encode()) for part in parts))
    rows = seqtool("eval", run, tmp_path / "text", "--per", "document", "-q").stdout.decode().splitlines()
    assert [row.split("\t")[3] for row in rows] == [part.split("\n")[0][:200].replace("\t", "\\t") for part in parts]
    learned = ["--method", "svd", "--dim", 3, "--vocab", models["char"], "-q"]
    assert seqtool("embed", "train", tmp_path / "text", "-o", tmp_path / "v", *learned, *given).returncode == 0
    for wrong in ("at:", "lines"):
        named = error_of(seqtool("train", tmp_path / "text", "-o", tmp_path / "r", "--document", wrong), 2)
        assert "choose from file, blank-line, line, at:TEXT" in named


def test_lines_of_tokens_that_hold_newlines_stay_lines(tmp_path: Path):
    vocabulary = small_vocabulary("llama-3")
    for name, text in (("a", "in the end.\n\n\nx the\n"), ("b", "no end"), ("c", "\nthe\n")):
        (tmp_path / name).write_text(text)
    source = TextSource([str(tmp_path / name) for name in "abc"])
    pieces = b"".join(printed(vocabulary, source, pieces=True)).decode()
    assert pieces == "in Ġthe Ġ e n d .ĊĊ\n\nĊ\nx Ġthe Ċ\nn o Ġ e n d\nĊ\nthe Ċ\n"
    ids = b"".join(printed(vocabulary, source, pieces=False))
    assert vocabulary.decode(map(int, ids.split())) == "in the end.\n\n\nx the\nno end\nthe\n"
