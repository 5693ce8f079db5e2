"""Ids to bytes and back, whatever the chunks they come in."""

from __future__ import annotations

import io

import numpy as np
import pytest

from seqtool.errors import InputError
from seqtool.files import streams
from seqtool.text import tables
from seqtool.text.tables import ByteTable, LineJoiner, read_ids


def numbers_of(data: bytes) -> list[int]:
    return [number for part in read_ids(io.BytesIO(data), "ids") for number in part.tolist()]


def test_rows_are_joined_in_order(monkeypatch: pytest.MonkeyPatch):
    rows = [b"", b"a", b"\0\xff", b"long row", b" "]
    indices = np.random.default_rng(0).integers(len(rows), size=1000).astype(np.uint16)
    expected = b"".join(rows[index] for index in indices)
    for size in (1, 7, 1000):
        monkeypatch.setattr(tables, "JOINED_ROWS", size)
        assert ByteTable(rows).join(indices) == expected


def test_lines_begin_without_their_space_in_whatever_parts_they_come():
    table = ByteTable([b" a", b" b", b"\n", b"", b"c"])
    ids = np.array([0, 1, 2, 3, 0, 3, 2, 2, 4, 1])
    for size in (1, 3, 10):
        joiner = LineJoiner(table, 2)
        assert b"".join(joiner.join(ids[i : i + size]) for i in range(0, 10, size)) == b"a b\na\n\nc b"
        assert joiner.inside_line


@pytest.mark.parametrize("data", [
    b"", b" ", b"7", b"1 22 333\n4\t\r\n\x0b\x0c 999999999 0", b"12\n" * 3000, b"000000007 10",
])  # fmt: skip
def test_numbers_are_read_in_whatever_chunks_they_come(monkeypatch: pytest.MonkeyPatch, data: bytes):
    for size in (1, 2, 3, 1 << 18):
        monkeypatch.setattr(streams, "READ_BYTES", size)
        assert numbers_of(data) == [int(word) for word in data.split()]


@pytest.mark.parametrize(("data", "word"), [
    (b"1 2 x3 4y", "x3"), (b"1 -2", "-2"), (b"1.5", "1.5"), (b"5 1234567890 7", "1234567890"), (b"3\x002", "3\x002"),
    (b"1\xa02", "1�2"), (b"1" * 100, "1" * 40), (b"7 8e", "8e"),
])  # fmt: skip
def test_the_first_word_that_is_no_number_is_named(data: bytes, word: str):
    with pytest.raises(InputError) as error:
        numbers_of(data)
    assert f"ids holds {word!r}, which is not an id" in str(error.value)
