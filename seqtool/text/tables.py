"""Ids to text and text to ids for whole arrays at once: joining a byte string per id, and parsing decimal numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError
from seqtool.files.streams import chunks_of

JOINED_ROWS = 1 << 15  # at a time, so that they stay in the processor's cache
MAX_DIGITS = 9
SPACE = b" \t\n\v\f\r"
NO_SPACE = bytes(byte for byte in range(256) if byte not in SPACE)
IS_SPACE = np.isin(np.arange(256), list(SPACE))


class ByteTable:
    """A byte string for each index, in one array."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        self._bytes = np.frombuffer(b"".join(rows), dtype=np.uint8)
        self.lengths = np.array([len(row) for row in rows], dtype=np.int64)
        self._starts = np.cumsum(self.lengths) - self.lengths

    def first_bytes(self, indices: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """The first byte of each row; none of them may be empty."""
        return self._bytes[self._starts[indices]]

    def join(self, indices: npt.NDArray[np.integer], skip: npt.NDArray[np.integer] | None = None) -> bytes:
        """The rows of some indices one after the other, each without its first `skip` bytes."""
        parts = []
        for start in range(0, len(indices), JOINED_ROWS):
            part = slice(start, start + JOINED_ROWS)
            lengths, starts = self.lengths[indices[part]], self._starts[indices[part]]
            if skip is not None:
                lengths, starts = lengths - skip[part], starts + skip[part]
            ends = np.cumsum(lengths)
            places = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
            parts.append(self._bytes[places].tobytes())
        return b"".join(parts)


class LineJoiner:
    """Joins rows into lines as they come, dropping the leading space of each line's first row.

    `newline` is the row that ends a line (-1: none does); `inside_line` says that a line has begun already.
    """

    def __init__(self, table: ByteTable, newline: int, inside_line: bool = False) -> None:
        self._table, self._newline = table, newline
        self.inside_line = inside_line

    def join(self, indices: npt.NDArray[np.integer]) -> bytes:
        """The bytes of these further rows; an empty row does not begin a line."""
        indices = indices[self._table.lengths[indices] > 0]
        inside = np.concatenate([[self.inside_line], indices != self._newline])
        self.inside_line = bool(inside[-1])
        return self._table.join(indices, skip=~inside[:-1] & (self._table.first_bytes(indices) == ord(" ")))

    def end_line(self) -> bytes:
        """End a line without a row, and return the newline."""
        self.inside_line = False
        return b"\n"


def read_ids(stream: IO[bytes], name: str) -> Iterator[npt.NDArray[np.int64]]:
    """The decimal numbers in a stream, as they arrive; InputError names the first word that is not a number."""
    rest = b""
    for chunk in chunks_of(stream, name):
        data = rest + chunk
        cut = len(data.rstrip(NO_SPACE))
        # The last word may continue in the next chunk; one that is already too long is refused here.
        cut = cut if len(data) - cut <= MAX_DIGITS else len(data)
        yield _numbers(data[:cut], name)
        rest = data[cut:]
    yield _numbers(rest, name)


def _numbers(data: bytes, name: str) -> npt.NDArray[np.int64]:
    digits = np.frombuffer(data, dtype=np.uint8) - ord("0")  # a byte below "0" wraps around to a large number
    inside = np.concatenate([[False], digits < 10, [False]])
    starts = np.flatnonzero(inside[1:-1] & ~inside[:-2])
    ends = np.flatnonzero(inside[1:-1] & ~inside[2:])
    lengths = ends - starts + 1
    longest = int(lengths.max(initial=0))
    if longest > MAX_DIGITS or not (inside[1:-1] | IS_SPACE[np.frombuffer(data, dtype=np.uint8)]).all():
        bad = next(word for word in data.split() if not word.isdigit() or len(word) > MAX_DIGITS)
        raise InputError(f"{name} holds {bad[:40].decode(errors='replace')!r}, which is not an id: give numbers only")
    values = digits[ends].astype(np.int64)
    for place in range(1, longest):
        longer = np.flatnonzero(lengths > place)
        values[longer] += 10**place * digits[ends[longer] - place].astype(np.int64)
    return values
