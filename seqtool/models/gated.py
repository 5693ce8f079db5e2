"""Counts and other models of one vocabulary, mixed by gates, as a Predictor: seqtool.counts.gates behind tensors.

As one, gates do not learn: what a token is told depends on the text before it and on what was read when they were made.
Gates that have learned as they read are too sure of what they counted lately, once they stop: so what they say is mixed
with what each model says by itself, by weights that suit text which they have not learned from.

Shapes: B sequences side by side, T time, V vocabulary, F numbers of the gates' state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seqtool.counts.gates.gates import Gates, Int64
from seqtool.models.mixture import logarithms, weighed
from seqtool.models.predictor import Predictor, Stepper
from seqtool.models.side_by_side import SideBySide, Steppers
from seqtool.models.state import State


class Gated:
    """p(next token | tokens before) of gates, given what several models say. A Predictor.

    Its state is that of the models, and last that of the gates.
    """

    def __init__(self, models: Sequence[Predictor], gates: Gates, weights: Sequence[float] = ()) -> None:
        """`weights`, which sum to 1, of the gates and of each model; without them the gates are heard alone."""
        assert gates.models == len(models)
        assert not weights or len(weights) == len(models) + 1
        self.all, self.gates, self.weights = SideBySide(models), gates, tuple(weights)
        self._log_weights = logarithms(weights or (1.0, *(0.0 for _ in models)))
        self.vocab_size, self.begin_id, self.device = self.all.vocab_size, self.all.begin_id, self.all.device
        self.numbers_per_token = len(models) * self.vocab_size
        self.context = self.all.context

    def next_nats(self, ids_BT: Tensor, targets_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """-log p of the token after each of `ids`, (B, T), and the states after the last."""
        of_each, of_models, states_BF = self._read(ids_BT, state)
        told = [one.numpy() for one in of_each]
        nats_BT = np.empty(ids_BT.shape, np.float32)
        ids, targets = ids_BT.cpu().numpy(), targets_BT.cpu().numpy()
        for row, state_F in enumerate(states_BF):
            # Read at once are the targets with which the text itself goes on, and one that it may not.
            others = np.flatnonzero(targets[row, :-1] != ids[row, 1:]) + 1
            start = 0
            for stop in [*others.tolist(), ids.shape[1]]:
                aside_F, span = state_F.copy(), slice(start, stop)
                nats_BT[row, span] = self.gates.read(aside_F, targets[row, span], [one[row, span] for one in told])
                self.gates.advance(state_F, ids[row, start + 1 : stop + 1])
                start = stop
        log_p = [-torch.from_numpy(nats_BT)]
        log_p += [one.gather(-1, targets_BT.cpu().unsqueeze(-1)).squeeze(-1) for one in of_each]
        return -weighed(log_p, self._log_weights).to(self.device), self._joined(of_models, states_BF)

    def log_p(self, ids_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """log p of all tokens after each of `ids`, (B, T, V), and the states after the last."""
        of_each, of_models, states_BF = self._read(ids_BT, state)
        told = [one.numpy() for one in of_each]
        log_p_BTV = np.empty((*ids_BT.shape, self.vocab_size), np.float32)
        for row, (state_F, ids_T) in enumerate(zip(states_BF, ids_BT.cpu().numpy(), strict=True)):
            for t in range(len(ids_T)):
                log_p_BTV[row, t] = self.gates.next_log_p(state_F, [one[row, t] for one in told])
                self.gates.advance(state_F, ids_T[t + 1 : t + 2])
        log_p = weighed([torch.from_numpy(log_p_BTV), *of_each], self._log_weights)
        return log_p.to(self.device), self._joined(of_models, states_BF)

    def _read(self, ids_BT: Tensor, state: State | None) -> tuple[list[Tensor], State, Int64]:
        """What each model says after each of the ids, (B, T, V), their states, and the gates' behind the first id."""
        told, of_models = self.all.log_p(ids_BT, None if state is None else state[:-1])
        begins_B = (ids_BT[:, 0] == self.begin_id).tolist()
        states_BF = self.gates.begin(len(ids_BT)) if state is None else state[-1][0].cpu().numpy().copy()
        for state_F, first, begins in zip(states_BF, ids_BT[:, :1].cpu().numpy(), begins_B, strict=True):
            if begins:
                state_F[:] = self.gates.begin(1)[0]
            else:
                self.gates.advance(state_F, first)
        return [one.float().cpu() for one in told], of_models, states_BF

    def _joined(self, of_models: State, states_BF: Int64) -> State:
        return (*of_models, (torch.from_numpy(states_BF).to(self.device),))

    def stepper(self, precision: str = "fp32", barred: int = -1) -> Stepper:
        """The same a token at a time."""
        return GatedStepper(self.all.steppers(precision), self.gates, self._log_weights, barred)


class GatedStepper:
    """The Stepper of a gated mixture: each model's, side by side, and the gates' states (B, F)."""

    def __init__(self, steppers: Steppers, gates: Gates, log_weights: Sequence[float], barred: int) -> None:
        self._steppers, self._gates, self._log_weights, self._barred = steppers, gates, log_weights, barred
        self.begin_id, self.context = gates.begin_id, steppers.context
        self._states_BF = gates.begin(0)

    @property
    def room(self) -> int | None:
        """Steps until a row of one of the models is full; None when none ever is."""
        return self._steppers.room

    @property
    def full(self) -> list[int]:
        """The rows in which one of the models can take no further token."""
        return self._steppers.full

    def begin(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read `<s>` and each prompt; log p of the next tokens, (B, V)."""
        self._states_BF = self._behind(prompts)
        return self._log_p(self._steppers.begin(prompts), self._states_BF)

    def step(self, ids_B: Tensor) -> Tensor:
        """log p of the tokens after these, (B, V)."""
        for state_F, ids_T in zip(self._states_BF, ids_B.cpu().numpy()[:, None], strict=True):
            self._gates.advance(state_F, ids_T)
        return self._log_p(self._steppers.step(ids_B), self._states_BF)

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only, in this order; one may be taken several times."""
        self._states_BF = self._states_BF[rows.cpu().numpy()]
        self._steppers.keep(rows)

    def read_again(self, rows: list[int], prompts: Sequence[Sequence[int]], log_p_BV: Tensor) -> None:
        """Begin these rows with `<s>` and other texts, and put in their log p (B, V)."""
        self._states_BF[rows] = self._behind(prompts)
        told = self._steppers.read_again(rows, prompts, log_p_BV)
        log_p_BV[rows] = self._log_p(told, self._states_BF[rows]).to(log_p_BV)

    def _behind(self, prompts: Sequence[Sequence[int]]) -> Int64:
        states_BF = self._gates.begin(len(prompts))
        for state_F, prompt in zip(states_BF, prompts, strict=True):
            self._gates.advance(state_F, np.asarray(prompt, np.int64))
        return states_BF

    def _log_p(self, told: Sequence[Tensor], states_BF: Int64) -> Tensor:
        of_each = [one.float().cpu() for one in told]
        parts = [one.numpy() for one in of_each]
        rows = [self._gates.next_log_p(state_F, [part[row] for part in parts]) for row, state_F in enumerate(states_BF)]
        log_p_BV = weighed([torch.from_numpy(np.stack(rows)), *of_each], self._log_weights)
        if self._barred >= 0:
            log_p_BV[:, self._barred] = -math.inf
        return log_p_BV
