from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from seqtool.files.spools import HELD_BYTES
from seqtool.text import sequences
from seqtool.text.sequences import (
    IdSlice,
    JoinedIds,
    document_numbers,
    document_spans,
    documents_of,
    spooled,
    without_begins,
)

BEGIN = 1
TEXTS = {
    "of three documents": [1, 5, 6, 1, 1, 7],
    "that begins inside a document": [5, 6, 1, 7, 1],
    "of one document": [1, 2, 3],
    "without a mark": [2, 3],
    "of a mark": [1],
    "without anything": [],
}


def test_parts_and_joins():
    joined = JoinedIds([np.arange(3, dtype=np.uint16), np.arange(3, 10, dtype=np.uint16)])
    assert len(joined) == 10
    assert joined[2:5].tolist() == [2, 3, 4]
    assert IdSlice(joined, 2, 8)[1:100].tolist() == [3, 4, 5, 6, 7]
    assert len(IdSlice(joined, 2, 8)) == 6


def test_spooled_arrays_are_one():
    short = spooled(iter([np.array([1, 2]), np.array([], np.uint16), np.array([3])]), np.dtype(np.uint16))
    assert short[0:9].tolist() == [1, 2, 3]
    assert short[0:9].dtype == np.uint16
    long = spooled([np.arange(HELD_BYTES)] * 2, np.dtype(np.uint32))
    assert isinstance(long, np.memmap)
    assert np.array_equal(long, np.tile(np.arange(HELD_BYTES), 2))
    assert len(spooled([], np.dtype(np.uint16))) == 0


@pytest.mark.parametrize("scanned", [1, 2, 100])
@pytest.mark.parametrize("ids", TEXTS.values(), ids=TEXTS)
def test_documents_lie_between_the_beginning_symbols(monkeypatch: pytest.MonkeyPatch, ids: list[int], scanned: int):
    monkeypatch.setattr(sequences, "SCANNED_TOKENS", scanned)
    borders = [-1, *(place for place, index in enumerate(ids) if index == BEGIN), len(ids)]
    expected = [ids[before + 1 : after] for before, after in pairwise(borders)]
    if ids[:1] == [BEGIN]:
        expected = expected[1:]
    array = np.array(ids, dtype=np.uint16)
    starts, ends = document_spans(array, BEGIN)
    assert [array[start:end].tolist() for start, end in zip(starts, ends, strict=True)] == expected
    assert [document[0 : len(document)].tolist() for document in documents_of(array, BEGIN)] == expected


@pytest.mark.parametrize("ids", TEXTS.values(), ids=TEXTS)
def test_numbers_and_beginnings_of_documents_are_those_of_the_spans(ids: list[int]):
    array = np.array(ids, dtype=np.uint16)
    numbers = document_numbers(array, BEGIN)
    text, begins = without_begins(array, BEGIN)
    assert text.tolist() == [index for index in ids if index != BEGIN]
    goes_on = ids[:1] != [BEGIN]
    documents = list(documents_of(array, BEGIN))
    for number, document in enumerate(documents, start=0 if goes_on else 1):
        own = array[(numbers == number) & (array != BEGIN)]
        assert own.tolist() == document[0 : len(document)].tolist()
    lengths = [len(document) for document in documents]
    assert [0, *begins][0 if goes_on else 1 :] == np.cumsum([0, *lengths[:-1]]).tolist()


def test_documents_of_a_long_sequence_are_taken_from_it_a_part_at_a_time():
    joined = JoinedIds([np.array([1, 5], np.uint16), np.array([6, 1, 7], np.uint16)])
    assert [document[0 : len(document)].tolist() for document in documents_of(joined, BEGIN)] == [[5, 6], [7]]
