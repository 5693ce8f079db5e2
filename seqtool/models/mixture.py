"""A linear mixture of models of one vocabulary, as a Predictor: p(w | c) = sum over models of weight times p(w | c).

Where one of the models sees so many tokens at most, all are read in windows of that many: what a token is told from is
then the same for each of them.

Shapes: B sequences side by side, T time, V vocabulary, M models.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seqtool.errors import UsageError
from seqtool.models.predictor import Predictor, Stepper
from seqtool.models.state import State


class Mixture:
    """p(next token | tokens before) of several models, weighed. A Predictor, whose state is all of theirs."""

    def __init__(self, models: Sequence[Predictor], weights: Sequence[float], context: int | None = None) -> None:
        """`context` is how many tokens are seen at most; that of the model that sees the fewest unless given."""
        assert len(models) == len(weights)
        assert len({(model.vocab_size, model.begin_id) for model in models}) == 1
        first = models[0]
        self.models = list(models)
        self.vocab_size, self.begin_id, self.device = first.vocab_size, first.begin_id, first.device
        self.log_weights = [math.log(weight) if weight > 0 else -math.inf for weight in weights]
        self.numbers_per_token = sum(model.numbers_per_token for model in models)
        contexts = [model.context for model in models if model.context is not None]
        self.context = min(contexts, default=None) if context is None else context
        with torch.inference_mode():
            begin_BT = torch.full((1, 1), self.begin_id)
            self._lengths = [len(_next_nats(model, None, begin_BT, begin_BT)[1]) for model in models]  # of their states

    def next_nats(self, ids_BT: Tensor, targets_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """-log p of the token after each of `ids`, (B, T), and the states after the last."""
        ends = list(itertools.accumulate(self._lengths))
        owns = [None if state is None else state[end - n : end] for end, n in zip(ends, self._lengths, strict=True)]
        told = [_next_nats(*one, ids_BT, targets_BT) for one in zip(self.models, owns, strict=True)]
        log_p = [-nats_BT.to(self.device) for nats_BT, _ in told]
        return -_mixed(log_p, self.log_weights), tuple(layer for _, after in told for layer in after)

    def stepper(self, precision: str = "fp32", barred: int = -1) -> Stepper:
        """The same a token at a time."""
        steppers = []
        for model in self.models:
            try:
                steppers.append(model.stepper(precision))
            except UsageError as error:
                raise UsageError(f"{error} (one of a mixture)") from error
        return MixtureStepper(steppers, self.log_weights, barred)


class MixtureStepper:
    """The Stepper of a mixture: each model's, side by side."""

    def __init__(self, steppers: Sequence[Stepper], log_weights: Sequence[float], barred: int) -> None:
        self._steppers, self._log_weights, self._barred = steppers, log_weights, barred
        self.begin_id = steppers[0].begin_id
        self.context = min((one.context for one in steppers if one.context is not None), default=None)

    def begin(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read `<s>` and each prompt; log p of the next tokens, (B, V)."""
        return self._log_p([one.begin(prompts) for one in self._steppers])

    def step(self, ids_B: Tensor) -> Tensor:
        """log p of the tokens after these, (B, V)."""
        return self._log_p([one.step(ids_B) for one in self._steppers])

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

    def read_again(self, rows: list[int], prompts: Sequence[Sequence[int]], log_p_BV: Tensor) -> None:
        """Begin these rows with `<s>` and other texts, and put in their log p (B, V)."""
        parts = []
        for one in self._steppers:
            own_BV = torch.zeros_like(log_p_BV)
            one.read_again(rows, prompts, own_BV)
            parts.append(own_BV[rows])
        log_p_BV[rows] = self._log_p(parts).to(log_p_BV)

    def _log_p(self, parts: Sequence[Tensor]) -> Tensor:
        log_p_BV = _mixed([part.to(parts[0].device) for part in parts], self._log_weights)
        if self._barred >= 0:
            log_p_BV[:, self._barred] = -math.inf
        return log_p_BV


def _next_nats(model: Predictor, state: State | None, ids_BT: Tensor, targets_BT: Tensor) -> tuple[Tensor, State]:
    return model.next_nats(ids_BT.to(model.device), targets_BT.to(model.device), state)


def _mixed(log_p: Sequence[Tensor], log_weights: Sequence[float]) -> Tensor:
    """log of the weighed sum of probabilities, of each place."""
    weighed = (own + weight for own, weight in zip(log_p, log_weights, strict=True))
    return functools.reduce(torch.logaddexp, weighed)
