"""Examples as arrays, and taking some of them as tensors.

Shapes: N examples, B of them taken, T their most tokens, K tables, F numbers of a step, D numbers, C categories.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqtool.models.example_model import ExampleInput
from seqtool.models.loss import IGNORE

Rows = npt.NDArray[np.int64]


class Taken(NamedTuple):
    """Some examples: what is known of them, what is to be told, and how much each counts."""

    x: ExampleInput
    targets: Tensor
    """(B,), (B, O), or where each token has its own (B, T), IGNORE behind a sequence's end."""
    weights_B: Tensor | None

    def part(self, rows: slice) -> Taken:
        """Some of them."""
        x, targets = self.x.rows(rows), self.targets[rows]
        if x.ids_BTK is not None and targets.dim() > 1 and not targets.is_floating_point():
            targets = targets[:, : x.ids_BTK.shape[1]]
        return Taken(x, targets, None if self.weights_B is None else self.weights_B[rows])

    def to(self, device: torch.device) -> Taken:
        """The same on a device."""
        weights_B = None if self.weights_B is None else self.weights_B.to(device)
        return Taken(self.x.to(device), self.targets.to(device), weights_B)


class ExampleSet(Protocol):
    """Examples that a model learns from or is judged on."""

    @property
    def lengths_N(self) -> Rows:
        """Tokens or steps of each."""

    def __len__(self) -> int: ...

    def targets_in(self, rows: Rows) -> int:
        """How many targets some of them have."""

    def take(self, rows: Rows) -> Any:
        """Some of them, on the CPU: what is known and what is to be told."""


@dataclass(frozen=True)
class ArrayExamples:
    """Rows of a table as arrays, which may lie in temporary files."""

    targets: npt.NDArray[Any]
    """(N,), (N, O), or where each token has its own (tokens,)."""
    starts: Rows | None = None
    """Where the tokens of each begin, and the end of the last, (N + 1,); None where there are no tokens."""
    ids: npt.NDArray[Any] | None = None
    """(tokens, K)."""
    numbers_ND: npt.NDArray[np.float32] | None = None
    categories_NC: npt.NDArray[np.int32] | None = None
    weights_N: npt.NDArray[np.float32] | None = None
    begin_id: int = 0
    each: bool = False
    chosen: Rows | None = None
    """Which of the rows these are; None for all."""

    def __len__(self) -> int:
        if self.chosen is not None:
            return len(self.chosen)
        return len(self.targets) if self.starts is None else len(self.starts) - 1

    def some(self, rows: Rows) -> ArrayExamples:
        """Some of the examples."""
        return dataclasses.replace(self, chosen=self._rows(rows))

    def _rows(self, rows: Rows) -> Rows:
        return rows if self.chosen is None else self.chosen[rows]

    @property
    def lengths_N(self) -> Rows:
        """Tokens of each; 1 where there are none."""
        if self.starts is None:
            return np.ones(len(self), np.int64)
        lengths = np.diff(self.starts)
        return lengths if self.chosen is None else lengths[self.chosen]

    def targets_in(self, rows: Rows) -> int:
        """One each, or one for each token that is scored."""
        if not self.each:
            return len(rows)
        starts = self.starts
        assert starts is not None
        return sum(int((self.targets[starts[row] : starts[row + 1]] >= 0).sum()) for row in self._rows(rows).tolist())

    def symbol_counts(self, size: int) -> dict[int, int]:
        """How often each symbol occurs that does, of a vocabulary of a size."""
        assert self.starts is not None
        assert self.ids is not None
        counts = np.zeros(size, np.int64)
        rows = np.arange(len(self.starts) - 1) if self.chosen is None else self.chosen
        for start, stop in zip(self.starts[rows].tolist(), self.starts[rows + 1].tolist(), strict=True):
            np.add.at(counts, self.ids[start:stop, 0], 1)
        found = np.flatnonzero(counts)
        return dict(zip(found.tolist(), counts[found].tolist(), strict=True))

    def targets_of_all(self) -> npt.NDArray[Any]:
        """What is to be told of each of these examples."""
        return np.asarray(self.targets if self.chosen is None else self.targets[self.chosen])

    def take(self, rows: Rows) -> Taken:
        """Some of them, filled up to the longest with the beginning's id."""
        rows = self._rows(rows)
        lengths, ids = np.ones(len(rows), np.int64), None
        targets = None if self.each else self.targets[rows]
        if self.starts is not None and self.ids is not None:
            lengths = self.starts[rows + 1] - self.starts[rows]
            places_T = np.arange(int(lengths.max(initial=1)))
            inside_BT = places_T < lengths[:, None]
            places_BT = np.where(inside_BT, self.starts[rows][:, None] + places_T, 0)
            ids = torch.from_numpy(np.where(inside_BT[..., None], self.ids[places_BT], self.begin_id).astype(np.int64))
            if self.each:
                targets = np.where(inside_BT, self.targets[places_BT], IGNORE)
        assert targets is not None
        kind = np.int64 if np.issubdtype(targets.dtype, np.integer) else np.float32
        x = ExampleInput(
            torch.from_numpy(lengths),
            ids,
            None,
            _tensor(self.numbers_ND, rows, np.float32),
            _tensor(self.categories_NC, rows, np.int64),
        )
        return Taken(x, torch.from_numpy(targets.astype(kind)), _tensor(self.weights_N, rows, np.float32))


def _tensor(array: npt.NDArray[Any] | None, rows: Rows, kind: type[Any]) -> Tensor | None:
    return None if array is None else torch.from_numpy(array[rows].astype(kind))


def by_length(lengths: Rows, size: int, most_tokens: int) -> list[Rows]:
    """All examples, shortest first, in batches of up to `size` that take `most_tokens` with what fills them up."""
    order = np.argsort(lengths, kind="stable")
    batches, first = [], 0
    while first < len(order):
        stop = min(first + size, len(order))
        while stop > first + 1 and lengths[order[stop - 1]] * (stop - first) > most_tokens:
            stop -= max(1, (stop - first) // 4)
        batches.append(order[first:stop])
        first = stop
    return batches


def split_rows(count: int, share: float, seed: int, groups: Sequence[int] | Rows | None = None) -> tuple[Rows, Rows]:
    """Rows to learn from and rows held back, both in order: a share drawn at random, of each group where there are.

    At least one row is on each side where there are two.
    """
    drawn = np.random.default_rng([seed, 1]).permutation(count)
    if groups is not None:
        # The n-th row of a group, in a random order, is held back where n * share passes a whole number.
        of_group = np.asarray(groups)[drawn]
        order = np.argsort(of_group, kind="stable")
        drawn = drawn[order]
        starts = np.flatnonzero(np.diff(of_group[order], prepend=of_group[order][:1] - 1))
        number = np.arange(count) - np.repeat(starts, np.diff([*starts, count]))
        held = np.floor((number + 0.5) * share + 0.5) > np.floor((number - 0.5) * share + 0.5)
    else:
        held = np.arange(count) < round(count * share)
    if count > 1 and not held.any():
        held[-1] = True
    if count > 1 and held.all():
        held[0] = False
    return np.sort(drawn[~held]), np.sort(drawn[held])
