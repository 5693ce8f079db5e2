"""A linear mixture of models of one vocabulary, as a Predictor: p(w | c) = sum over models of weight times p(w | c).

Where one of the models sees so many tokens at most, all are read in windows of that many: what a token is told from is
then the same for each of them.

Shapes: B sequences side by side, T time, V vocabulary, M models.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seqtool.models.predictor import Predictor, Stepper
from seqtool.models.side_by_side import SideBySide, Steppers
from seqtool.models.state import State


class Mixture:
    """p(next token | tokens before) of several models, weighed. A Predictor, whose state is all of theirs."""

    def __init__(self, models: Sequence[Predictor], weights: Sequence[float], context: int | None = None) -> None:
        """`context` is how many tokens are seen at most; that of the model that sees the fewest unless given."""
        assert len(models) == len(weights)
        self._all = SideBySide(models)
        self.models = self._all.models
        self.vocab_size, self.begin_id, self.device = self._all.vocab_size, self._all.begin_id, self._all.device
        self.log_weights = logarithms(weights)
        self.numbers_per_token = sum(model.numbers_per_token for model in models)
        self.context = self._all.context if context is None else context

    def next_nats(self, ids_BT: Tensor, targets_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """-log p of the token after each of `ids`, (B, T), and the states after the last."""
        told, after = self._all.next_nats(ids_BT, targets_BT, state)
        return -weighed([-nats_BT.to(self.device) for nats_BT in told], self.log_weights), after

    def log_p(self, ids_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """log p of all tokens after each of `ids`, (B, T, V), and the states after the last."""
        told, after = self._all.log_p(ids_BT, state)
        return weighed([log_p_BTV.to(self.device) for log_p_BTV in told], self.log_weights), after

    def stepper(self, precision: str = "fp32", barred: int = -1) -> Stepper:
        """The same a token at a time."""
        return MixtureStepper(self._all.steppers(precision), self.begin_id, self.log_weights, barred)


class MixtureStepper:
    """The Stepper of a mixture: each model's, side by side."""

    def __init__(self, steppers: Steppers, begin_id: int, log_weights: Sequence[float], barred: int) -> None:
        self._steppers, self._log_weights, self._barred = steppers, log_weights, barred
        self.begin_id, self.context, self.keep = begin_id, steppers.context, steppers.keep

    @property
    def room(self) -> int | None:
        """Steps until a row of one of them is full; None when none ever is."""
        return self._steppers.room

    @property
    def full(self) -> list[int]:
        """The rows in which one of them can take no further token."""
        return self._steppers.full

    def begin(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read `<s>` and each prompt; log p of the next tokens, (B, V)."""
        return self._log_p(self._steppers.begin(prompts))

    def step(self, ids_B: Tensor) -> Tensor:
        """log p of the tokens after these, (B, V)."""
        return self._log_p(self._steppers.step(ids_B))

    def read_again(self, rows: list[int], prompts: Sequence[Sequence[int]], log_p_BV: Tensor) -> None:
        """Begin these rows with `<s>` and other texts, and put in their log p (B, V)."""
        log_p_BV[rows] = self._log_p(self._steppers.read_again(rows, prompts, log_p_BV)).to(log_p_BV)

    def _log_p(self, parts: Sequence[Tensor]) -> Tensor:
        log_p_BV = weighed([part.to(parts[0].device) for part in parts], self._log_weights)
        if self._barred >= 0:
            log_p_BV[:, self._barred] = -math.inf
        return log_p_BV


def logarithms(weights: Sequence[float]) -> list[float]:
    """ln of each weight."""
    return [math.log(weight) if weight > 0 else -math.inf for weight in weights]


def weighed(log_p: Sequence[Tensor], log_weights: Sequence[float]) -> Tensor:
    """log of the weighed sum of probabilities, of each place."""
    return functools.reduce(torch.logaddexp, (own + log for own, log in zip(log_p, log_weights, strict=True)))
