"""Pairs of what is read and a text that is written, as arrays, and taking some of them as tensors.

Shapes: N pairs, B of them taken, T the tokens of the longest text among them with the symbol that ends it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqtool.models.example_model import ExampleInput
from seqtool.models.loss import IGNORE
from seqtool.tasks.examples.sets import ArrayExamples, Rows


class TakenPairs(NamedTuple):
    """Some pairs: what is read, and the text that is written, as a decoder is given it and as it is to tell it."""

    x: ExampleInput
    inputs_BT: Tensor
    """`<s>`, then the text; filled up with `<s>`."""
    targets_BT: Tensor
    """The text, then `<s>`, which ends it; filled up with IGNORE."""

    def part(self, rows: slice) -> TakenPairs:
        """Some of them, filled up to their own longest."""
        targets_BT = self.targets_BT[rows]
        longest = int((targets_BT != IGNORE).sum(1).max()) if len(targets_BT) else 0
        return TakenPairs(self.x.rows(rows), self.inputs_BT[rows, :longest], targets_BT[:, :longest])

    def to(self, device: torch.device) -> TakenPairs:
        """The same on a device."""
        return TakenPairs(self.x.to(device), self.inputs_BT.to(device), self.targets_BT.to(device))


@dataclass(frozen=True)
class PairSet:
    """Pairs in arrays. `starts` says where each text begins in `ids`, and ends with their number."""

    source: ArrayExamples
    starts: Rows
    ids: npt.NDArray[Any]
    begin_id: int
    chosen: Rows | None = None
    """Which of the texts these are, as of the source; None for all."""

    def __len__(self) -> int:
        return len(self.source)

    def some(self, rows: Rows) -> PairSet:
        """Some of the pairs."""
        return dataclasses.replace(self, source=self.source.some(rows), chosen=self._rows(rows))

    def _rows(self, rows: Rows) -> Rows:
        return rows if self.chosen is None else self.chosen[rows]

    @property
    def lengths_N(self) -> Rows:
        """Tokens of the longer side of each, with the symbol that begins or ends it."""
        return np.maximum(self.source.lengths_N, self.target_lengths_N)

    @property
    def target_lengths_N(self) -> Rows:
        """Tokens of each text that is written, with the symbol that ends it."""
        lengths = np.diff(self.starts) + 1
        return lengths if self.chosen is None else lengths[self.chosen]

    def targets_in(self, rows: Rows) -> int:
        """The tokens of some texts, with what ends each."""
        rows = self._rows(rows)
        return int((self.starts[rows + 1] - self.starts[rows]).sum()) + len(rows)

    def take(self, rows: Rows) -> TakenPairs:
        """Some of them."""
        x = self.source.take(rows).x
        rows = self._rows(rows)
        lengths = self.starts[rows + 1] - self.starts[rows]
        places_T = np.arange(int(lengths.max(initial=0)) + 1)
        inside_BT = places_T < lengths[:, None]
        places_BT = np.where(inside_BT, self.starts[rows][:, None] + places_T, 0)
        read = self.ids[places_BT] if len(self.ids) else np.zeros(places_BT.shape, np.int64)
        ids_BT = np.where(inside_BT, read, self.begin_id).astype(np.int64)
        targets_BT = np.where(places_T <= lengths[:, None], ids_BT, IGNORE)
        begins_B1 = np.full((len(rows), 1), self.begin_id, np.int64)
        inputs_BT = np.concatenate([begins_B1, ids_BT[:, :-1]], axis=1)
        return TakenPairs(x, torch.from_numpy(inputs_BT), torch.from_numpy(targets_BT))
