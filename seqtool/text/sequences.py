"""Long sequences of ids, which are read in parts, and finding the documents in them: each begins with `<s>`."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Protocol

import numpy as np
import numpy.typing as npt

from seqtool.files.spools import Spool
from seqtool.text.encoding import Ids

SCANNED_TOKENS = 1 << 20


class IdSequence(Protocol):
    """A long sequence of ids that is read in parts: `len(ids)`, `ids[start:stop]`."""

    def __len__(self) -> int: ...
    def __getitem__(self, span: slice) -> Ids: ...


class IdSlice:
    """A view of `ids[start:stop]` that reads nothing until it is sliced."""

    def __init__(self, ids: IdSequence, start: int, stop: int) -> None:
        self._ids, self._start, self._stop = ids, start, stop

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, span: slice) -> Ids:
        start, stop, _ = span.indices(len(self))
        return self._ids[self._start + start : self._start + max(start, stop)]


class JoinedIds:
    """A view of several sequences, one after the other."""

    def __init__(self, parts: Sequence[IdSequence]) -> None:
        self._parts = parts
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, span: slice) -> Ids:
        start, stop, _ = span.indices(len(self))
        taken: list[Ids] = []
        index = bisect.bisect_right(self._ends, start)
        while start < stop:
            begin = self._ends[index] - len(self._parts[index])
            taken.append(self._parts[index][start - begin : stop - begin])
            start, index = self._ends[index], index + 1
        return taken[0] if len(taken) == 1 else np.concatenate([self._parts[0][:0], *taken])


def spooled(arrays: Iterable[Ids], dtype: npt.DTypeLike) -> IdSequence:
    """Arrays of ids as one sequence, a long one in an unnamed temporary file; SeqtoolError if there is no space."""
    spool = Spool("ids")
    for ids in arrays:
        spool.append(np.ascontiguousarray(ids, dtype))
    return spool.mapped(dtype)


def document_spans(ids: IdSequence, begin_id: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the documents in some ids begin, after the `<s>` of each, and where they end; two arrays (documents,).

    Ids before the first `<s>` are a document too, or the rest of one.
    """
    found = [
        scanned + 1 + np.flatnonzero(ids[scanned : scanned + SCANNED_TOKENS] == begin_id)
        for scanned in range(0, len(ids), SCANNED_TOKENS)
    ]
    starts = np.concatenate([np.empty(0, np.int64), *found]).astype(np.int64)
    if not len(starts) or starts[0] != 1:
        starts = np.concatenate([[0], starts])
    return starts, np.append(starts[1:] - 1, len(ids))


def documents_of(ids: IdSequence, begin_id: int) -> Iterator[IdSlice]:
    """The documents in some ids, each without the `<s>` before it."""
    for start, end in zip(*document_spans(ids, begin_id), strict=True):
        yield IdSlice(ids, int(start), int(end))


def document_numbers(ids: Ids, begin_id: int) -> npt.NDArray[np.int64]:
    """The number of the document of each id, `<s>` included; 0 before the first `<s>`. Shape (tokens,)."""
    return np.cumsum(ids == begin_id)


def without_begins(ids: Ids, begin_id: int) -> tuple[Ids, list[int]]:
    """The ids without `<s>`, and where in them documents begin."""
    begins = ids == begin_id
    places = np.flatnonzero(begins)
    return ids[~begins], (places - np.arange(len(places))).tolist()
