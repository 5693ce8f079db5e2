"""What a core does with one more token: the part of a stepper that differs by architecture.

Shapes: B sequences, H features.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from seqtool.models.cores.core import Core
from seqtool.models.inputs import Inputs
from seqtool.models.state import State, map_state, take_rows


class Steps(Protocol):
    """What is remembered of each sequence, and features from the next tokens."""

    def restart(self, rows: int, longest: int) -> None:
        """Reset to `rows` empty sequences, which may be given up to `longest` tokens to begin with."""

    def put(self, rows: list[int], state: State) -> None:
        """Set some rows to the model's state after their tokens."""

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only, in this order; one may be taken several times."""

    def step(self, ids_B: Tensor) -> Tensor:
        """Features (B, H) after one more token of each row."""


class ModuleSteps:
    """By the core itself, whose state is kept."""

    def __init__(self, inputs: Inputs, core: Core) -> None:
        self._inputs, self._core = inputs, core

    def restart(self, rows: int, longest: int) -> None:
        """Reset to `rows` empty sequences."""
        self._rows = rows
        self._state: State = ()

    def put(self, rows: list[int], state: State) -> None:
        """Set some rows to the model's state after their tokens."""
        if not self._state:
            self._state = map_state(lambda tensor: tensor.new_zeros(self._rows, *tensor.shape[1:]), state)
        for layer, layer_part in zip(self._state, state, strict=True):
            for tensor, part in zip(layer, layer_part, strict=True):
                tensor[rows] = part

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only."""
        self._state = take_rows(self._state, rows)

    def step(self, ids_B: Tensor) -> Tensor:
        """Features (B, H) after one more token of each row."""
        if self._inputs.lookback is None:
            x, _ = self._inputs(ids_B.unsqueeze(1), None)
            features_BTH, self._state = self._core(x, self._state)
        else:
            x, before_BL = self._inputs(ids_B.unsqueeze(1), self._state[-1][0])
            features_BTH, of_core = self._core(x, self._state[:-1])
            self._state = (*of_core, (before_BL,))
        return features_BTH[:, 0]
