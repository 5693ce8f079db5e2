"""Mini-batches of examples: drawn without replacement in each pass, of like lengths, a function of the step alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqtool.settings.training import TrainConfig
from seqtool.tasks.examples.sets import ExampleSet, Rows, Taken

SORTED_BATCHES = 50  # whose examples are put in order of length, so that little is filled up


@dataclass
class ExampleBatch:
    """Some rows of a mini-batch."""

    taken: Taken
    targets: int
    rate_factor: float = 1.0

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.taken.targets)

    def restarts(self, device: torch.device) -> Tensor:
        """All: examples know nothing of each other."""
        return torch.ones(self.rows, dtype=torch.bool, device=device)

    def part(self, rows: slice, device: torch.device) -> tuple[Any, ...]:
        """What is known, what is to be told, and weights, of some rows."""
        return tuple(self.taken.part(rows).to(device))


class ExampleBatches:
    """Mini-batches of a set of examples."""

    def __init__(self, examples: ExampleSet, config: TrainConfig) -> None:
        self._examples, self._seed = examples, config.seed
        self._size = min(config.batch_size, len(examples)) if len(examples) else config.batch_size
        self._per_pass = max(1, len(examples) // self._size)
        self._pass, self._order = -1, np.empty((0, 0), np.int64)

    @property
    def steps_per_pass(self) -> float:
        """Batches in which all examples are read once."""
        return len(self._examples) / self._size

    def batch(self, step: int, rows: slice) -> ExampleBatch:
        """Some rows of the batch of a step."""
        number, place = divmod(step, self._per_pass)
        if number != self._pass:
            self._pass, self._order = number, self._order_of(number)
        whole = self._order[place]
        targets = max(1, self._examples.targets_in(whole))  # of tokens none may be scored, and the loss is 0
        return ExampleBatch(self._examples.take(whole[rows]), targets)

    def _order_of(self, number: int) -> Rows:
        """The examples of each batch of a pass, (batches, size); a rest that fills no batch is left out of it."""
        random = np.random.default_rng([self._seed, 2, number])
        drawn = random.permutation(len(self._examples))[: self._per_pass * self._size]
        lengths = self._examples.lengths_N[drawn]
        if lengths.max(initial=1) > 1:
            block = SORTED_BATCHES * self._size
            drawn = np.concatenate(
                [
                    part[np.argsort(lengths[start : start + block], kind="stable")]
                    for start in range(0, len(drawn), block)
                    for part in [drawn[start : start + block]]
                ]
            )
        batches = drawn.reshape(self._per_pass, self._size)
        return random.permuted(batches, axis=1)[random.permutation(self._per_pass)]
