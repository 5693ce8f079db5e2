"""Words to rows of tables: what is read of their spelling, and the list that a run keeps."""

from __future__ import annotations

import json

import pytest

from seqtool.errors import InputError
from seqtool.tasks.examples import words as module
from seqtool.tasks.examples.words import BEGIN, FIRST, SPELLINGS, UNKNOWN, WordCounter, WordReader, hashed, words_from


def counted(*sentences: str) -> WordCounter:
    """Counts words written as word/label."""
    counter = WordCounter()
    for sentence in sentences:
        pairs = [token.rsplit("/", 1) for token in sentence.split()]
        counter.add([word for word, _ in pairs], [label for _, label in pairs])
    return counter


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("The", "Xx"),
        ("NATO", "X"),
        ("e-mail", "x-x"),
        ("Élan", "Xx"),
        ("12.50", "0.0"),
        ("漢字", "x"),
        ("x" * 99, "x"),
        ("", ""),
        ("-" * 99, "-" * 16),
    ],
)
def test_a_shape_tells_letters_digits_and_marks(word: str, shape: str):
    assert module.shape(word) == shape


def test_frequent_words_have_rows_and_the_others_are_unknown_but_spelt():
    record = counted("the/D cat/N the/D", "The/D cat/V sat/V").record(["D", "N", "V"])
    words = words_from(json.loads(json.dumps(record)), 3, "here")
    reader = WordReader(words)
    the, large, cat, sat, unseen = reader.rows(["the", "THE", "cat", "sat", "sits"])
    assert the[0] == large[0] >= FIRST
    assert cat[0] >= FIRST
    assert sat[0] == unseen[0] == UNKNOWN
    assert (sat[1:] != unseen[1:]).any()
    assert sat[2] == unseen[2] == hashed("s", SPELLINGS[1].rows)
    assert words.label_of == {"the": 0, "cat": 1, "The": 0, "sat": 2}  # N and V are as frequent for cat: the first
    rows = reader.rows(["", "\ud800", "a" * 1_000_000, "🙂"])
    assert ((rows > BEGIN) & (rows < words.tables)).all()


def test_rows_are_the_same_on_every_machine():
    assert [hashed(text, 1 << 11) for text in ("", "ing", "é")] == [1, 935, 1544]


def test_the_list_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LIST_BYTES", 60)
    monkeypatch.setattr(module, "COUNTED", 50)
    counter = counted("a/X a/X a/X b/X b/X " + "w" * 100 + "/X " + "w" * 100 + "/X")
    for number in range(200):
        counter.add([f"rare{number}"], ["X"])
    record = counter.record(["X"])
    assert record["listed"].split("\n")[:2] == ["a", "b"]
    assert len(record["listed"]) < 60
    assert record["frequent"] == 2
    assert 0 < record["left_out"] <= 51


@pytest.mark.parametrize(
    "change",
    [
        {"listed": None},
        {"listed": "a\na"},
        {"labels": "0 9"},
        {"labels": "0 x"},
        {"labels": "0"},
        {"frequent": 3},
        {"frequent": True},
    ],
)
def test_a_list_that_was_edited_is_refused(change: dict[str, object]):
    record = counted("a/X b/Y").record(["X", "Y"])
    assert words_from(record, 2, "here").label_of == {"a": 0, "b": 1}
    with pytest.raises(InputError, match="here does not say which words are known"):
        words_from({**record, **change}, 2, "here")
