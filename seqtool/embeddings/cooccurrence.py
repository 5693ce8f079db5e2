"""Co-occurrence counts: how often tokens occur near each other, from which GloVe and svd learn.

Pairs are summed by an external merge sort: each stretch of text gives a sorted run, and runs are merged. Runs that
outgrow memory are kept in unnamed temporary files; the result is then memory-mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.embeddings.corpus import Chunk
from seqtool.errors import InputError
from seqtool.files.spools import Spool

Weighting = Callable[[npt.NDArray[np.float64], int], npt.NDArray[np.float64]]
SortedRun = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]  # ascending keys i * V + j, and each pair's sum

WEIGHTINGS: dict[str, Weighting] = {
    "reciprocal": lambda distance_K, window: 1 / distance_K,
    "linear": lambda distance_K, window: (window - distance_K + 1) / window,
}
"""The weight of a pair by its distance (K,): GloVe's (Pennington et al. 2014, "GloVe: Global Vectors for Word
Representation", section 4.2), and the expected weight in word2vec's windows of random width (Levy, Goldberg & Dagan
2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings", section 3.1)."""

PAIRS_AT_ONCE = 1 << 23  # sorted together
HELD_PAIRS = 1 << 26  # kept in memory, 16 bytes each
MERGED_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Cooccurrences:
    """A symmetric matrix (V, V) with N entries in compressed sparse rows: row i has `columns` and `values` from
    starts[i] to starts[i + 1].

    `starts` (V + 1,) int64; `columns` (N,) uint32, ascending in each row; `values` (N,) float32, above zero.
    """

    starts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.uint32]
    values: npt.NDArray[np.float32]

    @property
    def vocab_size(self) -> int:
        """The number of tokens V."""
        return len(self.starts) - 1

    def __len__(self) -> int:
        return len(self.columns)

    def rows(self, start: int, end: int) -> npt.NDArray[np.int32]:
        """The row of each entry from `start` to `end`, of which there is at least one; (end - start,) int32."""
        first, last = np.searchsorted(self.starts, [start, end - 1], side="right") - 1
        bounds = np.clip(self.starts[first : last + 2], start, end)
        return np.repeat(np.arange(first, last + 1, dtype=np.int32), np.diff(bounds))


def count_pairs(chunks: Iterable[Chunk], vocab_size: int, window: int, weighting: str) -> Cooccurrences:
    """Sum the weights of all pairs of tokens at most `window` apart in one document, each pair in both directions.

    Chunks hold token numbers 0 .. vocab_size - 1; pairs do not cross chunks. InputError when there is no pair,
    SeqtoolError when there is no room for the temporary files.
    """
    weights_K = WEIGHTINGS[weighting](np.arange(1, window + 1, dtype=np.float64), window)
    held: list[SortedRun] = []
    spilled: list[SortedRun] = []
    for rows_N, documents_N in chunks:
        for run in _runs(rows_N, documents_N, vocab_size, weights_K):
            held.append(run)
            while len(held) > 1 and len(held[-2][0]) < 2 * len(held[-1][0]):
                held[-2:] = [_joined(held[-2:])]
            if sum(len(keys) for keys, _ in held) > HELD_PAIRS:
                spilled += _spilled(held, vocab_size)
    if not held and not spilled:
        raise InputError(
            "no two tokens of the text are near each other, so there is nothing to count: give more text, or a lower "
            "--min-count"
        )
    if spilled:
        if held:
            spilled += _spilled(held, vocab_size)
        return _compressed(_merged(spilled), vocab_size, Spool("counts", 0), Spool("counts", 0))
    run = _joined(held)
    held.clear()
    return _compressed(_merged([run, _mirrored(run, vocab_size)]), vocab_size, [], [])


def _runs(
    rows_N: npt.NDArray[np.int32],
    documents_N: npt.NDArray[np.int64],
    vocab_size: int,
    weights_K: npt.NDArray[np.float64],
) -> Iterator[SortedRun]:
    """Sorted runs of the pairs i <= j of one chunk.

    The distance is packed into the lowest bits of the key: sorting keys is much faster than sorting an index.
    """
    bits = (len(weights_K) - 1).bit_length()
    stretch = max(PAIRS_AT_ONCE // len(weights_K), 1)
    wide_N = rows_N.astype(np.int64)
    for start in range(0, len(rows_N), stretch):
        parts = []
        for distance in range(1, len(weights_K) + 1):
            end = min(start + stretch, len(rows_N) - distance)
            if end <= start:
                break
            here, there = slice(start, end), slice(start + distance, end + distance)
            left, right = wide_N[here], wide_N[there]
            keys = np.minimum(left, right) * vocab_size + np.maximum(left, right)
            parts.append(((keys << bits) + (distance - 1))[documents_N[here] == documents_N[there]])
        if sum(map(len, parts)):
            keys = np.concatenate(parts)
            del parts
            keys.sort()
            weights = weights_K[keys & ((1 << bits) - 1)]
            yield _summed(keys >> bits, weights)


def _summed(keys: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> SortedRun:
    """A run from ascending keys, of which some are equal."""
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[starts], np.add.reduceat(values, starts)


def _merged(runs: list[SortedRun]) -> Iterator[SortedRun]:
    """Merge runs into one, in pieces of about MERGED_AT_ONCE pairs."""
    while runs:
        share = MERGED_AT_ONCE // len(runs) + 1
        cut = min(int(keys[min(share, len(keys)) - 1]) for keys, _ in runs)
        ends = [int(np.searchsorted(keys[:share], cut, side="right")) for keys, _ in runs]
        keys = np.concatenate([keys[:end] for (keys, _), end in zip(runs, ends, strict=True)])
        values = np.concatenate([values[:end] for (_, values), end in zip(runs, ends, strict=True)])
        order = np.argsort(keys, kind="stable")
        yield _summed(keys[order], values[order])
        rest = [(keys[end:], values[end:]) for (keys, values), end in zip(runs, ends, strict=True)]
        runs = [run for run in rest if len(run[0])]


def _joined(runs: list[SortedRun]) -> SortedRun:
    """Merge runs into one in memory."""
    pieces = list(_merged(runs))
    return np.concatenate([keys for keys, _ in pieces]), np.concatenate([values for _, values in pieces])


def _mirrored(run: SortedRun, vocab_size: int) -> SortedRun:
    """The run of the transposed pairs (j, i); a pair of a token with itself also counts in both directions."""
    keys, values = run
    mirrored = keys % vocab_size * vocab_size + keys // vocab_size
    order = np.argsort(mirrored)
    return mirrored[order], values[order]


def _spilled(held: list[SortedRun], vocab_size: int) -> list[SortedRun]:
    """Merge runs, and move the result and its transpose to temporary files."""
    run = _joined(held)
    held.clear()
    return [_on_disk(run), _on_disk(_mirrored(run, vocab_size))]


def _on_disk(run: SortedRun) -> SortedRun:
    keys, values = Spool("counts", 0), Spool("counts", 0)
    keys.append(run[0])
    values.append(run[1])
    return keys.mapped(np.dtype(np.int64)), values.mapped(np.dtype(np.float64))


def _compressed(
    pieces: Iterable[SortedRun], vocab_size: int, columns: list[Any] | Spool, values: list[Any] | Spool
) -> Cooccurrences:
    """The matrix of a run that holds both directions, in pieces; `columns` and `values` are where its entries go."""
    lengths_V = np.zeros(vocab_size, np.int64)
    for keys, sums in pieces:
        rows, found = np.divmod(keys, vocab_size)
        lengths_V += np.bincount(rows, minlength=vocab_size)
        columns.append(found.astype(np.uint32))
        values.append(sums.astype(np.float32))
    starts = np.concatenate([[0], np.cumsum(lengths_V)])
    return Cooccurrences(starts, _whole(columns, np.dtype(np.uint32)), _whole(values, np.dtype(np.float32)))


def _whole(parts: list[Any] | Spool, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return parts.mapped(dtype) if isinstance(parts, Spool) else np.concatenate(parts)
