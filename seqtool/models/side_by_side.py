"""Several models of one vocabulary that read the same text: what mixtures are made of.

Shapes: B sequences side by side, T time, V vocabulary.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from seqtool.errors import UsageError
from seqtool.models.predictor import Predictor, Stepper
from seqtool.models.state import State


class SideBySide:
    """The models, and how their states lie in one."""

    def __init__(self, models: Sequence[Predictor]) -> None:
        assert len({(model.vocab_size, model.begin_id) for model in models}) == 1
        first = models[0]
        self.models = list(models)
        self.vocab_size, self.begin_id, self.device = first.vocab_size, first.begin_id, first.device
        self.context = min((model.context for model in models if model.context is not None), default=None)

    @functools.cached_property
    def _lengths(self) -> list[int]:
        """How many parts each model's state has."""
        with torch.inference_mode():
            begin_BT = torch.full((1, 1), self.begin_id)
            return [len(_next_nats(model, begin_BT, begin_BT, None)[1]) for model in self.models]

    def next_nats(self, ids_BT: Tensor, targets_BT: Tensor, state: State | None) -> tuple[list[Tensor], State]:
        """Of each model -log p of the token after each of `ids`, (B, T), and the states after the last of them."""
        told = [_next_nats(model, ids_BT, targets_BT, own) for model, own in self._owners(state)]
        return [nats_BT for nats_BT, _ in told], tuple(layer for _, after in told for layer in after)

    def log_p(self, ids_BT: Tensor, state: State | None) -> tuple[list[Tensor], State]:
        """Of each model log p of all tokens after each of `ids`, (B, T, V), and the states after the last of them."""
        told = [model.log_p(ids_BT.to(model.device), own) for model, own in self._owners(state)]
        return [log_p_BTV for log_p_BTV, _ in told], tuple(layer for _, after in told for layer in after)

    def _owners(self, state: State | None) -> list[tuple[Predictor, State | None]]:
        """Each model and its part of a state."""
        ends = itertools.accumulate(self._lengths)
        owns = [None if state is None else state[end - n : end] for end, n in zip(ends, self._lengths, strict=True)]
        return list(zip(self.models, owns, strict=True))

    def steppers(self, precision: str) -> Steppers:
        """Each model a token at a time; UsageError where one has no such precision."""
        steppers = []
        for model in self.models:
            try:
                steppers.append(model.stepper(precision))
            except UsageError as error:
                raise UsageError(f"{error} (one of a mixture)") from error
        return Steppers(steppers)


class Steppers:
    """The steppers of several models, which give log p of each where a Stepper gives it of one."""

    def __init__(self, steppers: Sequence[Stepper]) -> None:
        self._steppers = steppers
        self.context = min((one.context for one in steppers if one.context is not None), default=None)

    def begin(self, prompts: Sequence[Sequence[int]]) -> list[Tensor]:
        """Read `<s>` and each prompt; log p of the next tokens, (B, V)."""
        return [one.begin(prompts) for one in self._steppers]

    def step(self, ids_B: Tensor) -> list[Tensor]:
        """log p of the tokens after these, (B, V)."""
        return [one.step(ids_B) for one in self._steppers]

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only, in this order; one may be taken several times."""
        for one in self._steppers:
            one.keep(rows)

    @property
    def room(self) -> int | None:
        """Steps until a row of one of them is full; None when none ever is."""
        return min((one.room for one in self._steppers if one.room is not None), default=None)

    @property
    def full(self) -> list[int]:
        """The rows in which one of them can take no further token."""
        return sorted({row for one in self._steppers for row in one.full})

    def read_again(self, rows: list[int], prompts: Sequence[Sequence[int]], like_BV: Tensor) -> list[Tensor]:
        """Begin these rows with `<s>` and other texts; log p of their next tokens, (rows, V)."""
        parts = []
        for one in self._steppers:
            own_BV = torch.zeros_like(like_BV)
            one.read_again(rows, prompts, own_BV)
            parts.append(own_BV[rows])
        return parts


def _next_nats(model: Predictor, ids_BT: Tensor, targets_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
    return model.next_nats(ids_BT.to(model.device), targets_BT.to(model.device), state)
