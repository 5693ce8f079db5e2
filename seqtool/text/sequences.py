"""Long sequences of ids, of which parts are taken, and the documents in them: each has `<s>` before it."""

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
    """A long sequence of ids of which parts are taken: `len(ids)`, `ids[start:stop]`."""

    def __len__(self) -> int: ...
    def __getitem__(self, span: slice) -> Ids: ...


class Slice:
    """A part `start:stop` of a sequence, without reading it."""

    def __init__(self, ids: IdSequence, start: int, stop: int) -> None:
        self._ids, self._start, self._stop = ids, start, stop

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, span: slice) -> Ids:
        start, stop, _ = span.indices(len(self))
        return self._ids[self._start + start : self._start + max(start, stop)]


class Joined:
    """Several sequences as one."""

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
    """Arrays of ids as one, many of them in an unnamed temporary file; SeqtoolError when there is no room for it."""
    spool = Spool("ids")
    for ids in arrays:
        spool.append(np.ascontiguousarray(ids, dtype))
    return spool.mapped(dtype)


def document_spans(ids: IdSequence, begin_id: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the documents in some ids begin, after the `<s>` of each, and where they end.

    What stands before the first `<s>` is a document too, or the rest of one.
    """
    found = [
        scanned + 1 + np.flatnonzero(ids[scanned : scanned + SCANNED_TOKENS] == begin_id)
        for scanned in range(0, len(ids), SCANNED_TOKENS)
    ]
    starts = np.concatenate([np.empty(0, np.int64), *found]).astype(np.int64)
    if not len(starts) or starts[0] != 1:
        starts = np.concatenate([[0], starts])
    return starts, np.append(starts[1:] - 1, len(ids))


def documents_of(ids: IdSequence, begin_id: int) -> Iterator[Slice]:
    """The documents in some ids, each without the `<s>` before it."""
    for start, end in zip(*document_spans(ids, begin_id), strict=True):
        yield Slice(ids, int(start), int(end))


def document_numbers(ids: Ids, begin_id: int) -> npt.NDArray[np.int64]:
    """Which document each id is of, its `<s>` among them: 0 for what stands before the first `<s>`."""
    return np.cumsum(ids == begin_id)


def without_begins(ids: Ids, begin_id: int) -> tuple[Ids, list[int]]:
    """The ids without any `<s>`, and where documents begin in these."""
    begins = ids == begin_id
    places = np.flatnonzero(begins)
    return ids[~begins], (places - np.arange(len(places))).tolist()
