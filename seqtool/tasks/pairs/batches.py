"""Mini-batches of pairs of like lengths, of so many pairs or of so many tokens: a function of the step alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqtool.models.loss import IGNORE
from seqtool.settings.training import TrainConfig
from seqtool.tasks.examples.sets import Rows
from seqtool.tasks.pairs.sets import PairSet, TakenPairs

LIKE = 1.12  # the longest of a bucket is at most so many times as long as the shortest, or by a token longer
EVEN = 8


@dataclass
class PairBatch:
    """Some rows of a mini-batch."""

    taken: TakenPairs
    targets: int
    rate_factor: float = 1.0

    @property
    def rows(self) -> int:
        """How many pairs there are."""
        return len(self.taken.targets_BT)

    def restarts(self, device: torch.device) -> Tensor:
        """All: pairs know nothing of each other."""
        return torch.ones(self.rows, dtype=torch.bool, device=device)

    def part(self, rows: slice, device: torch.device) -> tuple[Any, ...]:
        """What is read, what the decoder is given, and what it is to tell, of some rows."""
        return tuple(self.taken.part(rows).to(device))


class PairBatches:
    """Mini-batches of a set of pairs: in each pass each pair once, among others of like lengths that are drawn anew."""

    def __init__(self, pairs: PairSet, config: TrainConfig) -> None:
        self._pairs, self._seed, self._batch_size = pairs, config.seed, config.batch_size
        lengths = pairs.lengths_N
        self._sorted = np.argsort(lengths, kind="stable")
        self._spans = [
            (start, sizes) for start, sizes in _buckets(lengths[self._sorted], config.batch_size, config.batch_tokens)
        ]
        self._per_pass = sum(len(sizes) for _, sizes in self._spans)
        self._pass = -1
        self._order: list[Rows] = []

    @property
    def steps_per_pass(self) -> float:
        """Batches in which all pairs are read once."""
        return float(self._per_pass)

    def batch(self, step: int, rows: slice) -> PairBatch:
        """Some rows of the batch of a step: of --batch-size rows the share that `rows` are, of as many as there are.

        A share of no rows is a row that counts nothing.
        """
        number, place = divmod(step, self._per_pass)
        if number != self._pass:
            self._pass, self._order = number, self._order_of(number)
        whole = self._order[place]
        first, stop = (bound * len(whole) // self._batch_size for bound in (rows.start, rows.stop))
        taken = self._pairs.take(whole[first:stop] if stop > first else whole[:1])
        if stop == first:
            taken = taken._replace(targets_BT=torch.full_like(taken.targets_BT, IGNORE))
        return PairBatch(taken, self._pairs.targets_in(whole))

    def _order_of(self, number: int) -> list[Rows]:
        """The pairs of each batch of a pass."""
        random = np.random.default_rng([self._seed, 3, number])
        batches: list[Rows] = []
        for start, sizes in self._spans:
            drawn = random.permutation(self._sorted[start : start + sum(sizes)])
            batches += np.split(drawn, np.cumsum(sizes)[:-1])
        return [batches[place] for place in random.permutation(len(batches))]


def _buckets(lengths: Rows, batch_size: int, batch_tokens: int) -> list[tuple[int, list[int]]]:
    """Where each bucket of like lengths begins among sorted ones, and the sizes of its batches, as even as can be."""
    found, start = [], 0
    while start < len(lengths):
        limit = max(int(lengths[start]) + 1, int(lengths[start] * LIKE))
        stop = int(np.searchsorted(lengths, limit, side="right"))
        rows = max(1, batch_tokens // int(lengths[stop - 1])) if batch_tokens else batch_size
        if stop - start < rows:  # too few for a batch: the next ones, though longer, fill it up
            stop = min(len(lengths), start + rows)
            rows = max(1, batch_tokens // int(lengths[stop - 1])) if batch_tokens else batch_size
        batches = -(-(stop - start) // rows)
        sizes = [(n + 1) * (stop - start) // batches - n * (stop - start) // batches for n in range(batches)]
        found.append((start, sizes))
        start = stop
    return found


def rows_of_tokens(pairs: PairSet, tokens: int) -> int:
    """How many pairs a batch of so many tokens has on average, which divides by eight processes or fewer."""
    sizes = [size for _, own in _buckets(np.sort(pairs.lengths_N), 1, tokens) for size in own]
    return max(1, round(len(pairs) / max(1, len(sizes)) / EVEN)) * EVEN
