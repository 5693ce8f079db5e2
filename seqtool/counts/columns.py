"""Long arrays that are written from their beginning and read in parts: in memory, or where that is full on disk."""

from __future__ import annotations

import os
import tempfile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from seqtool.files.memory import free_bytes
from seqtool.files.spools import PREFIX, room_for

Array = npt.NDArray[Any]

BLOCK_NUMBERS = 1 << 22  # of an array that are worked on at once: more do not make it faster
LEAST_BLOCK = 1 << 12
BYTES_PER_NUMBER = 160  # that counting takes at most for each number of a block
SHARE_HELD = 2  # of the memory, one in so many bytes is for arrays that are kept; the rest for blocks


class Storage:
    """So many bytes of memory: how much is worked on at once, and which arrays wait on disk. None: no limit."""

    def __init__(self, memory: int | None = None) -> None:
        self._free = None if memory is None else memory // SHARE_HELD
        most = BLOCK_NUMBERS if self._free is None else self._free // BYTES_PER_NUMBER
        self.block = max(LEAST_BLOCK, min(BLOCK_NUMBERS, most))

    @classmethod
    def of_half_the_free_memory(cls) -> Storage:
        """Room in half of the memory that is free; without a limit where that is not known."""
        free = free_bytes()
        return cls(None if free is None else free // 2)

    def take(self, size: int) -> bool:
        """Whether so many bytes of memory are left; they are then no longer."""
        if self._free is None:
            return True
        if size > self._free:
            return False
        self._free -= size
        return True

    def give_back(self, size: int) -> None:
        """Have so many bytes that were taken again."""
        if self._free is not None:
            self._free += size


class Column:
    """An array of one type. It is in memory while its storage has room, else in an unnamed temporary file."""

    def __init__(self, storage: Storage, dtype: npt.DTypeLike) -> None:
        self._storage, self.dtype = storage, np.dtype(dtype)
        self._size = self._held = 0
        self._parts: list[Array] = []
        self._file: IO[bytes] | None = None

    def __del__(self) -> None:
        self._storage.give_back(self._held)

    def __len__(self) -> int:
        return self._size

    def append(self, values: Array) -> None:
        """Add numbers at the end; SeqtoolError when the disk has no room for them."""
        values = np.ascontiguousarray(values, self.dtype)
        if self._file is None and self._storage.take(values.nbytes):
            self._held += values.nbytes
            self._parts.append(values if values.base is None else values.copy())  # not what it is a part of
        else:
            self._write(self._size, values)
        self._size += len(values)

    def grow(self, size: int) -> None:
        """Add so many numbers whose values are not known yet: `put` gives them."""
        if self._file is None and self._storage.take(size * self.dtype.itemsize):
            self._held += size * self.dtype.itemsize
            self._parts.append(np.empty(size, self.dtype))
        else:
            with room_for("n-grams"):
                os.truncate(self._opened.fileno(), (self._size + size) * self.dtype.itemsize)
        self._size += size

    def put(self, start: int, values: Array) -> None:
        """Set the numbers from `start` on."""
        if self._file is None:
            self._joined()[start : start + len(values)] = values
        else:
            self._write(start, np.ascontiguousarray(values, self.dtype))

    def __getitem__(self, span: slice) -> Array:
        """A part of the array, which is not to be written to."""
        start, stop, _ = span.indices(self._size)
        if self._file is None:
            return self._joined()[start:stop]
        found = np.empty(max(0, stop - start), self.dtype)
        rest, at = found.data.cast("B") if len(found) else memoryview(b""), start * self.dtype.itemsize
        with room_for("n-grams"):
            while len(rest):
                done = os.preadv(self._file.fileno(), [rest], at)
                assert done
                rest, at = rest[done:], at + done
        return found

    def mapped(self) -> Array:
        """All of it, read from the file when it is looked at."""
        if self._file is None or not self._size:
            return self._joined()
        with room_for("n-grams"):
            return np.memmap(self._file, self.dtype, mode="r")

    @property
    def _opened(self) -> IO[bytes]:
        if self._file is None:
            with room_for("n-grams"):
                self._file = tempfile.TemporaryFile(prefix=PREFIX)
            parts, self._parts, start = self._parts, [], 0
            for part in parts:
                self._write(start, part)
                start += len(part)
            self._storage.give_back(self._held)
            self._held = 0
        return self._file

    def _write(self, start: int, values: Array) -> None:
        handle, at = self._opened.fileno(), start * self.dtype.itemsize
        rest = values.data.cast("B") if len(values) else memoryview(b"")
        with room_for("n-grams"):
            while len(rest):
                done = os.pwrite(handle, rest, at)
                rest, at = rest[done:], at + done

    def _joined(self) -> Array:
        if len(self._parts) != 1:
            self._parts = [np.concatenate([np.empty(0, self.dtype), *self._parts])]
        return self._parts[0]


def column_of(storage: Storage, values: Array) -> Column:
    """An array as a column."""
    column = Column(storage, values.dtype)
    column.append(values)
    return column


def blocks(size: int, block: int) -> list[tuple[int, int]]:
    """Where the blocks of so many numbers begin and end."""
    return [(start, min(start + block, size)) for start in range(0, size, block)]


def gathered(values: Column, places: Column, storage: Storage) -> Column:
    """The values at some places, each in the range of the values: as many at once as are worked on."""
    found = Column(storage, values.dtype)
    for start, stop in blocks(len(places), storage.block):
        at, part = places[start:stop], np.empty(stop - start, values.dtype)
        for begin, end in blocks(len(values), storage.block):
            inside = np.flatnonzero((at >= begin) & (at < end))
            part[inside] = values[begin:end][at[inside] - begin]
        found.append(part)
    return found


def occurrences(places: Column, size: int, storage: Storage) -> Column:
    """How often each of the numbers 0..size-1 is among some."""
    found = Column(storage, np.int32)
    for begin, end in blocks(size, storage.block):
        total = np.zeros(end - begin, np.int32)
        for start, stop in blocks(len(places), storage.block):
            at = places[start:stop]
            if size > storage.block:
                at = at[(at >= begin) & (at < end)] - begin
            total += np.bincount(at, minlength=end - begin).astype(np.int32)
        found.append(total)
    return found
