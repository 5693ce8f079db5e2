"""Columns hold what they were given, in memory or on disk, and no more memory than there is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from seqtool.counts.columns import BLOCK_NUMBERS, Column, Storage, blocks, column_of, gathered, occurrences
from seqtool.errors import SeqtoolError


@pytest.mark.parametrize("memory", [None, 0, 100, 1000])
def test_numbers_come_back_from_memory_and_from_disk(memory: int | None):
    storage, values = Storage(memory), np.arange(60, dtype=np.int32) ** 2
    column = Column(storage, np.int32)
    assert len(column) == len(column[:]) == len(column.mapped()) == 0
    for start, stop in blocks(60, 7):
        column.append(values[start:stop])
        assert np.array_equal(column[: stop + 5], values[:stop])
    column.grow(3)
    column.put(60, np.array([7, 8, 9]))
    column.put(2, np.array([-5]))
    expected = np.concatenate([[0, 1, -5], values[3:], [7, 8, 9]])
    assert np.array_equal(column[:], expected)
    assert np.array_equal(column.mapped(), expected)
    assert np.array_equal(column[58:61], expected[58:61])
    assert column[:].dtype == column.mapped().dtype == np.int32


def test_memory_is_taken_while_there_is_some_and_given_back():
    storage = Storage(2000)
    first = column_of(storage, np.zeros(100))
    second = column_of(storage, np.zeros(50))  # goes to disk: 200 bytes are left
    assert storage.take(200)
    assert not storage.take(1)
    assert np.array_equal(second[:], np.zeros(50))
    del first
    assert storage.take(800)


def test_blocks_suit_the_memory():
    assert Storage().block == Storage(1 << 40).block == BLOCK_NUMBERS
    assert Storage(0).block < Storage(100 << 20).block < BLOCK_NUMBERS


@pytest.mark.parametrize("block", [1, 3, 100])
def test_values_are_gathered_and_places_counted_in_parts(block: int):
    random, storage = np.random.default_rng(0), Storage(0)
    storage.block = block
    values, places = random.random(20), random.integers(0, 20, 70).astype(np.int32)
    columns = column_of(storage, values), column_of(storage, places)
    assert np.array_equal(gathered(*columns, storage)[:], values[places])
    assert np.array_equal(occurrences(columns[1], 20, storage)[:], np.bincount(places, minlength=20))


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch):
    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(SeqtoolError, match=r"cannot keep n-grams in .*: No space left on device; set TMPDIR"):
        column_of(Storage(0), np.zeros(3))


def test_nothing_is_left_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    column = column_of(Storage(0), np.arange(9))
    assert list(tmp_path.iterdir()) == []
    assert column[8:].tolist() == [8]
