"""Blocks of text: ids, documents and rows do not depend on how the bytes of a text arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtool.cli.encode import printed
from seqtool.files import streams
from seqtool.scoring.lines import arrivals, encode_lines
from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig
from seqtool.text import blocks, documents, units
from seqtool.text.blocks import encode_blocks
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.vocabulary import Vocabulary
from tests.text.small_byte_level import small_vocabulary

BYTE_LEVEL = {
    "gpt-2": small_vocabulary("gpt-2", normalize="nfc"),
    "llama-3": small_vocabulary("llama-3", ("x\n", "a ", "  ")),
}
WORDS = ["alpha", "beta,", "γάμμα", "🙂🙂", "naïve", "x", "\u2581", "<unk>", "\ufeff"]


def hostile_text(random: np.random.Generator) -> bytes:
    """Lines longer than a segment and than what is read at once, CRLF, odd white space, characters of up to four bytes,
    a word that is longer than a segment."""
    parts: list[str] = []
    for _ in range(12):
        size = int(random.choice([0, 1, 30, 150]))
        parts += [str(random.choice(WORDS)) + str(random.choice([" ", "  ", "\t", "\u3000", " "])) for _ in range(size)]
        parts.append(str(random.choice(["\r\n", "\n", "\n\n", "end\r\n \n", " " * 300 + "x\n", "y" * 700 + " "])))
    return "".join(parts).encode()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("arrival") / "text"
    path.write_bytes(hostile_text(np.random.default_rng(5)))
    return path


@pytest.fixture(scope="module")
def hostile_vocabularies(text: Path) -> dict[str, Vocabulary]:
    learned = {
        kind: learn_vocabulary(TextSource([str(text)]), VocabularyConfig(type=kind)) for kind in VOCABULARY_TYPES
    }
    return learned | BYTE_LEVEL


def in_chunks(data: bytes, sizes: Callable[[], int]) -> Callable[..., Iterator[bytes]]:
    def chunks(*_: Any) -> Iterator[bytes]:
        start = 0
        while start < len(data):
            size = sizes()
            yield data[start : start + size]
            start += size

    return chunks


def everything(words: Vocabulary, path: Path, document: str) -> list[Any]:
    """What `encode` prints, what a store and `eval` hold, and the tokens of each line of `eval --per`."""
    source = TextSource([str(path)], document=document)
    at = document if document.startswith("at:") else "file"
    lines = [encode_lines(words, blocks) for blocks in arrivals(TextSource([str(path)], document=at), words, document)]
    return [
        b"".join(printed(words, source, pieces=False)),
        np.concatenate(list(encode_blocks(words, source.blocks()))).tolist(),
        np.concatenate([ids for ids, _ in lines]).tolist(),
    ]


@pytest.mark.parametrize("document", ["file", "blank-line", "line", "at:beta,"])
@pytest.mark.parametrize("kind", [*VOCABULARY_TYPES, *BYTE_LEVEL])
def test_ids_do_not_depend_on_how_the_text_arrives(
    hostile_vocabularies: dict[str, Vocabulary], text: Path, monkeypatch: pytest.MonkeyPatch, kind: str, document: str
):
    for module in (documents, units):
        monkeypatch.setattr(module, "SEGMENT_CHARACTERS", 200)
    monkeypatch.setattr(blocks, "MAX_HELD_CHARACTERS", 300)
    words, data = hostile_vocabularies[kind], text.read_bytes()
    random = np.random.default_rng(0)
    monkeypatch.setattr(streams, "chunks_of", in_chunks(data, lambda: 50))
    expected = everything(words, text, document)
    printed_ids = [int(number) for number in expected[0].split()]
    assert printed_ids == expected[2] == [index for index in expected[1] if index != words.begin_id]
    if kind != "word" and document == "file":
        assert words.decode(expected[1][1:]).encode() == data
    for most in (3, 40, 299):
        monkeypatch.setattr(streams, "chunks_of", in_chunks(data, lambda most=most: int(random.integers(1, most))))
        assert everything(words, text, document) == expected


def test_words_of_a_long_line_are_whole_in_what_encode_prints(tmp_path: Path):
    (tmp_path / "text").write_text("alpha beta gamma " * 5000)
    words = learn_vocabulary(TextSource([str(tmp_path / "text")]), VocabularyConfig(type="word"))
    ids = b"".join(printed(words, TextSource([str(tmp_path / "text")]), pieces=False)).split()
    assert len(ids) == 15_000
    assert str(words.unknown_id).encode() not in ids


def test_only_the_beginning_of_a_very_long_line_says_whether_it_is_blank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "text").write_text("one\n" + " " * 10_000 + "two\nthree\n")
    for size in (1 << 18, 5000):
        monkeypatch.setattr(streams, "READ_BYTES", size)
        blocks = list(TextSource([str(tmp_path / "text")], document="blank-line").blocks())
        assert [block.text for block in blocks if block.starts_document] == ["one\n", "three\n"]


@pytest.mark.parametrize("kind", VOCABULARY_TYPES)
@pytest.mark.parametrize("document", ["line", "blank-line"])
def test_documents_encoded_together_are_those_encoded_alone(
    vocabularies: dict[str, Vocabulary], prose_file: Path, kind: str, document: str
):
    vocabulary = vocabularies[kind]
    source = TextSource([str(prose_file)], document=document)
    expected: list[int] = []
    for block in source.blocks():
        expected += [vocabulary.begin_id] * block.starts_document + vocabulary.encode(block.text).tolist()
    assert np.concatenate(list(encode_blocks(vocabulary, source.blocks()))).tolist() == expected


def test_words_do_not_run_over_documents_nor_break_in_long_lines(tmp_path: Path):
    (tmp_path / "a").write_text("alpha end")
    (tmp_path / "b").write_text("begin beta")
    (tmp_path / "c").write_text("one two three " * 5000)
    source = TextSource([str(tmp_path / name) for name in "abc"])
    vocabulary = learn_vocabulary(source, VocabularyConfig(type="word", min_count=1))
    pieces = {vocabulary.piece(index) for index in range(3, vocabulary.size)}
    assert pieces == {"▁alpha", "▁end", "▁begin", "▁beta", "▁one", "▁two", "▁three"}
    ids = np.concatenate(list(encode_blocks(vocabulary, source.blocks())))
    assert (ids == vocabulary.unknown_id).sum() == 0
    assert len(ids) == 3 + 2 + 2 + 15000


@pytest.mark.parametrize("kind", BYTE_LEVEL)
def test_blocks_of_byte_level_bpe_have_the_ids_of_the_whole(kind: str, monkeypatch: pytest.MonkeyPatch):
    text = hostile_text(np.random.default_rng(6)).decode() + "in the end.\n\nx\n the  \n\n  aba"
    expected = BYTE_LEVEL[kind].encode(text).tolist()
    monkeypatch.setattr(streams, "chunks_of", in_chunks(text.encode(), lambda: 7))
    for size in (7, 100):
        monkeypatch.setattr(documents, "SEGMENT_CHARACTERS", size)
        found = list(blocks.encodable(BYTE_LEVEL[kind], TextSource(["-"]).blocks()))
        assert len(found) > 20
        assert np.concatenate([BYTE_LEVEL[kind].encode(block.text) for block in found]).tolist() == expected


def test_a_line_of_byte_level_bpe_that_is_a_document_is_whole_with_its_newline():
    taken: list[str] = []

    def arriving() -> Iterator[documents.TextBlock]:
        for text in ("a", "b\n", "c\n"):
            yield documents.TextBlock(text, text != "b\n")
            taken.append(text)

    found = blocks.encodable(small_vocabulary("llama-3"), arriving(), lines=True)
    assert next(found) == documents.TextBlock("ab\n", True)
    assert taken == ["a"]  # nothing behind the newline was asked for
    assert list(found) == [documents.TextBlock("c\n", True)]
