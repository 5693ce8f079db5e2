"""Rows: in order, equal to scoring each unit alone, however the text arrives and whatever it holds."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtool.errors import InputError, UsageError
from seqtool.models.language_model import LanguageModel, build_model
from seqtool.runs.loading import load_run
from seqtool.scoring import lines, rows
from seqtool.scoring.rows import LongText, Row, score_pieces, score_rows
from seqtool.scoring.scorer import score_documents
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.scoring import EvalConfig
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.store import open_store, write_store
from seqtool.text.vocabulary import Vocabulary
from tests.text.small_byte_level import small_vocabulary

TEXT = "one\n\na much longer line, with\ttabs and é\nx\r\n  \nlast but one\nno end"
MODELS = pytest.mark.parametrize("kind", ["rnn", "gru", "lstm", "ffn", "mingru", "gdn", "transformer"])


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Vocabulary]:
    file = tmp_path_factory.mktemp("text") / "text"
    file.write_text(TEXT.replace("é", "e") * 20)
    return {
        kind: learn_vocabulary(TextSource([str(file)]), VocabularyConfig(type=kind))
        for kind in ("char", "byte", "word")
    } | {"byte-bpe": small_vocabulary("llama-3")}


def model_for(vocabulary: Vocabulary, kind: str) -> LanguageModel:
    config = ModelConfig(model=kind, hidden=16, context=12, heads=2, init="default")
    counts = {index: 1 + index % 5 for index in range(vocabulary.size)}
    return build_model(config, Symbols(vocabulary.size, vocabulary.begin_id, vocabulary.size, 1000), counts).eval()


class Trickle(io.RawIOBase):
    """Standard input that gives some bytes at each read."""

    def __init__(self, content: bytes, size: int) -> None:
        self._content, self._size = io.BytesIO(content), size

    def read1(self, size: int) -> bytes:
        return self._content.read(min(size, self._size))


def source_of(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> TextSource:
    monkeypatch.setattr("seqtool.text.documents.open_bytes", lambda path: Trickle(text.encode(), size))
    return TextSource(["-"])


def cost(model: LanguageModel, ids: np.ndarray) -> float:
    return float(sum(part.nats.sum(dtype=np.float64) for part in score_documents(model, [ids])))


def alone(model: LanguageModel, vocabulary: Vocabulary, text: str) -> float:
    return cost(model, vocabulary.encode(text))


def flat(found: Iterator[list[Row]]) -> list[tuple[float, int, str]]:
    return [(row.nats, row.tokens, "".join(row.text)) for group in found for row in group]


@MODELS
@pytest.mark.parametrize("size", [1, 7, 1 << 18])
def test_lines_equal_single_calls_in_order(
    vocabularies: dict[str, Vocabulary], monkeypatch: pytest.MonkeyPatch, kind: str, size: int
):
    for vocabulary in vocabularies.values():
        model = model_for(vocabulary, kind)
        found = flat(score_rows(model, vocabulary, source_of(monkeypatch, TEXT, size), EvalConfig(), per="line"))
        lines = [line + "\n" for line in TEXT.split("\n")[:-1]] + ["no end"]
        assert [text for _, _, text in found] == lines
        for (nats, tokens, text), line in zip(found, lines, strict=True):
            assert tokens == len(vocabulary.encode(line)), text
            assert nats == pytest.approx(alone(model, vocabulary, line), rel=1e-5)


@MODELS
@pytest.mark.parametrize("document", ["file", "line", "blank-line"])
def test_parts_of_documents_add_up_to_them(
    vocabularies: dict[str, Vocabulary], monkeypatch: pytest.MonkeyPatch, kind: str, document: str
):
    """Carried lines, tokens and documents, from a stream that comes in small pieces, against whole documents."""
    vocabulary = vocabularies["byte-bpe" if kind in ("lstm", "transformer") else "char"]
    model = model_for(vocabulary, kind)
    documents = {
        "file": [TEXT],
        "line": [line + "\n" for line in TEXT.split("\n")[:-1]] + ["no end"],
        "blank-line": ["one\n\n", "a much longer line, with\ttabs and é\nx\r\n  \n", "last but one\nno end"],
    }[document]
    expected = [alone(model, vocabulary, text) for text in documents]
    for size in (5, 1 << 18):
        for per, carry in (("line", True), ("token", False), ("document", False)):
            source = source_of(monkeypatch, TEXT, size)
            found = flat(score_rows(model, vocabulary, source, EvalConfig(), per=per, carry=carry, document=document))
            assert sum(nats for nats, _, _ in found) == pytest.approx(sum(expected), rel=1e-5), (per, size)
            assert sum(tokens for _, tokens, _ in found) == sum(len(vocabulary.encode(text)) for text in documents)
            if per == "document":
                np.testing.assert_allclose([nats for nats, _, _ in found], expected, rtol=1e-5)
                assert [text for _, _, text in found] == [text.split("\n")[0] for text in documents]
            if per == "line":
                assert "".join(text for _, _, text in found) == TEXT


def test_a_row_comes_before_more_is_read(vocabularies: dict[str, Vocabulary], monkeypatch: pytest.MonkeyPatch):
    """What a read completes is answered before the next one, for every unit and kind of document that has ended."""
    vocabulary = vocabularies["word"]
    model = model_for(vocabulary, "lstm")
    asked = 0

    class Counting(Trickle):
        def read1(self, size: int) -> bytes:
            nonlocal asked
            asked += 1
            return super().read1(size)

    for per, carry, document in [("line", False, "file"), ("line", True, "line"), ("token", False, "line"),
                                 ("document", False, "line")]:  # fmt: skip
        monkeypatch.setattr("seqtool.text.documents.open_bytes", lambda path: Counting(b"one\ntwo\nsix\n", 4))
        asked = 0
        found = score_rows(model, vocabulary, TextSource(["-"]), EvalConfig(), per=per, carry=carry, document=document)
        for reads in (1, 2, 3):
            next(found)
            assert asked == reads, (per, carry)


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
@pytest.mark.parametrize("type", ["char", "word"])
def test_a_line_longer_than_anything_held(
    vocabularies: dict[str, Vocabulary], monkeypatch: pytest.MonkeyPatch, kind: str, type: str
):
    monkeypatch.setattr(rows, "HELD_LINE_BYTES", 1000)
    monkeypatch.setattr(rows, "PART_BYTES", 777)
    vocabulary = vocabularies[type]
    model = model_for(vocabulary, kind)
    long = "longer x " * 3000 + "é\n"
    source = source_of(monkeypatch, "one\n" + long + "x\n", 9001)
    found = flat(score_rows(model, vocabulary, source, EvalConfig(), per="line"))
    assert [text for _, _, text in found] == ["one\n", long, "x\n"]
    ids = np.concatenate([*[vocabulary.encode("longer x " * 100)] * 30, vocabulary.encode("é\n")])
    assert found[1][1] == len(ids)
    assert found[1][0] == pytest.approx(cost(model, ids), rel=1e-5)


def test_lines_before_broken_input_are_answered(vocabularies: dict[str, Vocabulary], monkeypatch: pytest.MonkeyPatch):
    vocabulary = vocabularies["char"]
    monkeypatch.setattr("seqtool.text.documents.open_bytes", lambda path: Trickle(b"one\ntwo\nth\xffee\n", 64))
    found = score_rows(model_for(vocabulary, "rnn"), vocabulary, TextSource(["-"]), EvalConfig(), per="line")
    assert ["".join(row.text) for row in next(found)] == ["one\n", "two\n"]
    with pytest.raises(InputError, match="at offset 10"):
        next(found)


def test_unknown_words_are_read_but_not_counted(vocabularies: dict[str, Vocabulary], monkeypatch: pytest.MonkeyPatch):
    vocabulary = vocabularies["word"]
    model = model_for(vocabulary, "lstm")
    text = "one xyzzy x\nxyzzy"
    ids = vocabulary.encode(text)
    (nats,) = (part.nats for part in score_documents(model, [ids]))
    assert (ids == vocabulary.unknown_id).tolist() == [False, True, False, False, True]
    config = EvalConfig(oov="exclude")
    found = flat(score_rows(model, vocabulary, source_of(monkeypatch, text, 99), config, per="line", carry=True))
    assert [tokens for _, tokens, _ in found] == [3, 0]
    assert found[0][0] == pytest.approx(float(nats[[0, 2, 3]].sum()), rel=1e-5)
    assert found[1][0] == 0.0
    with pytest.raises(UsageError, match="type word"):
        next(score_rows(model, vocabularies["byte"], TextSource(["-"]), config, per="line"))


@pytest.mark.parametrize("kind", ["char", "byte", "word", "byte-bpe"])
def test_a_store_read_in_parts_has_the_rows_of_its_text(
    vocabularies: dict[str, Vocabulary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    vocabulary = vocabularies[kind]
    model = model_for(vocabulary, "lstm")
    for name, content in (("a", TEXT), ("b", " x é" * 20), ("c", "one\n\ntwo x\n")):
        (tmp_path / name).write_text(content)
    source = TextSource([str(tmp_path / name) for name in "abc"])
    write_store(tmp_path / "store", vocabulary, source)
    store = open_store(tmp_path / "store")
    for at_once in (5, 29, 1 << 16):
        monkeypatch.setattr(lines, "TOKENS_AT_ONCE", at_once)
        for per, carry in (("line", False), ("line", True), ("word", False), ("token", False), ("document", False)):
            if kind == "byte-bpe" and per == "line" and not carry:
                with pytest.raises(UsageError, match="go on over the ends of lines: give the text, or --carry"):
                    next(score_rows(model, vocabulary, store, EvalConfig(), per=per))
                continue
            ours, theirs = (
                flat(score_rows(model, vocabulary, given, EvalConfig(), per=per, carry=carry))
                for given in (store, source)
            )
            assert [tokens for _, tokens, _ in ours] == [tokens for _, tokens, _ in theirs], (at_once, per)
            assert [nats for nats, _, _ in ours] == pytest.approx([nats for nats, _, _ in theirs], rel=1e-4)
            # Of words not the space between them is known, and of a document a part's beginning is shown.
            if kind != "word" and (per != "document" or at_once > 1000):
                assert [text for _, _, text in ours] == [text for _, _, text in theirs], (at_once, per)
            assert kind != "word" or not any(text.startswith(" ") for _, _, text in ours), (at_once, per)


def test_rows_of_no_token_have_no_perplexity():
    assert Row(0.0, 0, ("",)).perplexity is None
    assert Row(math.log(8), 1, ("",)).perplexity == pytest.approx(8)


def test_long_text_keeps_every_character():
    text = LongText()
    for part in ("a\r\n", "", "é🙂\r", "\n\u2028"):
        text.add(part)
    assert "".join(text) == "a\r\né🙂\r\n\u2028"


def test_files_end_lines_and_documents(vocabularies: dict[str, Vocabulary], tmp_path: Path):
    for name, content in (("a", "one\ntwo"), ("b", "\nsix"), ("c", "x\n")):
        (tmp_path / name).write_text(content)
    vocabulary = vocabularies["char"]
    model = model_for(vocabulary, "gru")
    source = TextSource([str(tmp_path / name) for name in "abc"])
    assert [row[2] for row in flat(score_rows(model, vocabulary, source, EvalConfig(), per="line"))] == [
        "one\n", "two", "\n", "six", "x\n"
    ]  # fmt: skip
    for document, texts in (("file", ["one", "", "x"]), ("blank-line", ["one", "", "six", "x"])):
        found = flat(score_rows(model, vocabulary, source, EvalConfig(), per="document", document=document))
        assert [row[2] for row in found] == texts


@pytest.mark.parametrize("document", ["file", "line"])
def test_pieces_are_the_text_and_their_nats_add_up(small_run: Path, document: str, tmp_path: Path):
    run = load_run(small_run, torch.device("cpu"))
    text = "It was late.\n\nNaïve 王 🙂\t\x1b end"
    (tmp_path / "t").write_text(text, encoding="utf-8")

    def source() -> TextSource:
        return TextSource([str(tmp_path / "t")])

    lists = list(score_pieces(run.model, run.vocabulary, source(), EvalConfig(), document=document))
    pieces = [piece for pieces in lists for piece in pieces]
    assert "".join(piece for piece, _ in pieces) == text
    assert "王" in [piece for piece, _ in pieces]
    rows = score_rows(run.model, run.vocabulary, source(), EvalConfig(), per="document", document=document)
    assert sum(nats for _, nats in pieces) == pytest.approx(sum(row.nats for part in rows for row in part), rel=1e-5)
