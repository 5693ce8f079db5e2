"""The order of an n-gram model, by the loss on text that was not counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.counts.counting import NgramCounts
from seqtool.counts.held_out import held_out_nats
from seqtool.counts.kneser_ney import Estimated, estimated
from seqtool.counts.model import NgramModel

LEAST_GAIN = 1e-3  # of the loss, for which one more token of context is taken


class Candidate(NamedTuple):
    """The model of an order, and its loss on the held-out text."""

    model: NgramModel
    nats: float
    tokens: int
    columns: Estimated | None = None
    """What the model's arrays lie in, and their room in memory with them; None of one that was counted before."""

    @property
    def loss(self) -> float:
        """Nats per token; infinite where there was none."""
        return self.nats / self.tokens if self.tokens else float("inf")


def candidates(
    counts: NgramCounts, held_out: npt.NDArray[np.integer], order: int, most: int, prune: Sequence[int] = ()
) -> Iterator[Candidate]:
    """The model of `order`; where that is 0, those of 1, 2, … up to `most` tokens, until one gains too little.

    Of several, the best is `best_of` them.
    """
    lowest = float("inf")
    for k in range(1, (order or most) + 1):
        if k > len(counts.orders):
            counts.grow()
        if order and k < order:
            continue
        columns = estimated(counts, k, prune)
        candidate = Candidate(columns.model(), *held_out_nats(columns, held_out, counts.storage), columns)
        yield candidate
        if not candidate.loss < lowest * (1 - LEAST_GAIN):
            return
        lowest = candidate.loss


def best_of(found: Sequence[Candidate]) -> Candidate:
    """The last of them, or the one before where that gained too little."""
    *before, last = found
    return before[-1] if before and not last.loss < before[-1].loss * (1 - LEAST_GAIN) else last
