from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from seqtool.errors import InputError
from seqtool.files import streams
from seqtool.text import documents
from seqtool.text.documents import TextBlock, TextCounts, TextSource, split_at, split_documents
from tests.conftest import ODD_STRINGS


def texts_of(source: TextSource) -> list[str]:
    """The text of each document."""
    found: list[str] = []
    for block in source.blocks():
        if block.starts_document:
            found.append("")
        found[-1] += block.text
    return found


@pytest.mark.parametrize("text", [text for text in ODD_STRINGS if text])
@pytest.mark.parametrize("document", ["file", "line", "blank-line"])
def test_reading_loses_nothing(tmp_path: Path, text: str, document: str):
    path = tmp_path / "text"
    path.write_bytes(b"." + text.encode())
    assert "".join(texts_of(TextSource([str(path)], document=document))) == "." + text


def test_documents_by_blank_line_and_by_line():
    text = ["a\nb\n", "\n\nc\n \nd"]
    by_blank = [block for block in split_documents(text, "blank-line")]
    assert "".join(block.text for block in by_blank) == "".join(text)
    assert [block.text for block in by_blank if block.starts_document] == ["a\n", "c\n", "d"]
    assert [block for block in split_documents(["a\n\nb"], "line")] == [
        TextBlock("a\n", True),
        TextBlock("\n", True),
        TextBlock("b", True),
    ]


def test_several_files_are_several_documents(tmp_path: Path):
    paths = []
    for name in "ab":
        (tmp_path / name).write_text(name * 3)
        paths.append(str(tmp_path / name))
    assert texts_of(TextSource(paths)) == ["aaa", "bbb"]


def test_blocks_do_not_depend_on_how_the_text_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Lines are never split but at fixed places, so encoding by block is deterministic."""
    text = "short\n" + "y" * 30_000 + "\nend\n" + "z" * 9_000
    path = tmp_path / "text"
    path.write_text(text)

    def segments() -> list[str]:
        found = []
        for block in TextSource([str(path)]).blocks():
            for line in documents.lines_of(block.text):
                found += documents.segments_of(line)
        return found

    expected = segments()
    for size in (64, 1000, 8192, 10_001):
        monkeypatch.setattr(streams, "READ_BYTES", size)
        assert segments() == expected


def test_counts_match_the_whole_text(tmp_path: Path):
    text = "one two\n three\n" + "long" * 5000 + " é\n\nlast"
    path = tmp_path / "text"
    path.write_text(text)
    counts = TextCounts()
    for block in TextSource([str(path)]).blocks():
        counts.add(block)
    assert (counts.words, counts.characters, counts.bytes) == (len(text.split()), len(text), len(text.encode()))


def test_words_are_counted_as_split_does():
    space = "".join(chr(point) for point in range(0x110000) if chr(point).isspace())
    random = np.random.default_rng(0)
    for alphabet in (space[:10] + "ab\x00\x1b", space + "aé漢🙂\u200b\ufeff\u3001"):
        text = "".join(random.choice(list(alphabet), 3000))
        for size in (1, 2, 17, 3000):
            counts = TextCounts()
            for start in range(0, len(text), size):
                counts.add(TextBlock(text[start : start + size], start == 0))
            assert counts.words == len(text.split())


@pytest.mark.parametrize(("make", "message"), [
    (lambda path: None, "does not exist"),
    (lambda path: path.mkdir(), "is a directory"),
    (lambda path: path.write_bytes(b""), "is empty"),
    (lambda path: path.write_bytes(b"\xef\xbb\xbf"), "is empty"),
])  # fmt: skip
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, make, message: str):
    make(tmp_path / "x")
    with pytest.raises(InputError, match=message):
        list(TextSource([str(tmp_path / "x")]).blocks())


@pytest.mark.parametrize("delimiter", ["<|endoftext|>", "\n\n", "aba", "=", "\r\n--\r\n"])
def test_documents_at_a_text_however_it_arrives(delimiter: str):
    """An independent oracle: what the whole text gives, split in one go."""
    random = np.random.default_rng(0)
    parts = [delimiter, delimiter[:1], delimiter[1:], delimiter[:-1], "\n", "\r\n", "\r", "b", "text"]
    for size in (1, 2, 3, 5, 30):
        text = "".join(random.choice(parts, 60))
        pieces = re.split(re.escape(delimiter) + r"(?:\r?\n)?", text)
        chunks = [text[start : start + size] for start in range(0, len(text), size)]
        assert ["".join(document) for document in split_at(chunks, delimiter)] == [piece for piece in pieces if piece]


@pytest.mark.parametrize(("text", "documents"), [
    ("one\n<|e|>\ntwo\n<|e|>\n", ["one\n", "two\n"]),
    ("one<|e|>two<|e|>", ["one", "two"]),
    ("<|e|><|e|>one<|e|>\r\ntwo", ["one", "two"]),
    ("one<|e|\n" + "x" * 20_000 + "<|e|> y", ["one<|e|\n" + "x" * 20_000, " y"]),
])  # fmt: skip
def test_a_delimiter_is_dropped_with_the_newline_behind_it(tmp_path: Path, text: str, documents: list[str]):
    (tmp_path / "x").write_bytes(text.encode())
    source = TextSource([str(tmp_path / "x")], document="at:<|e|>")
    assert texts_of(source) == documents
    assert source.file_documents == [len(documents)]


def test_a_text_of_nothing_but_delimiters_is_empty(tmp_path: Path):
    (tmp_path / "x").write_text("<|e|>\n<|e|>")
    with pytest.raises(InputError, match="is empty"):
        texts_of(TextSource([str(tmp_path / "x")], document="at:<|e|>"))
