"""Whatever predicts the next token, as scoring and generation know it: a net, counts, a mixture.

Shapes: B sequences side by side, T time, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from seqtool.models.state import State


class Stepper(Protocol):
    """log p(next token) of several sequences, a token at a time.

    Where a predictor sees so many tokens at most, `full` names the rows that hold as many: these must be begun again
    with their newest ones (`read_again`).
    """

    begin_id: int
    context: int | None

    def begin(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read `<s>` and each prompt; log p of the next tokens, (B, V)."""

    def step(self, ids_B: Tensor) -> Tensor:
        """log p of the tokens after these, (B, V), in a buffer that the next step writes over."""

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only, in this order; one may be taken several times."""

    @property
    def room(self) -> int | None:
        """Steps until a row is full; None when none ever is."""

    @property
    def full(self) -> list[int]:
        """The rows that can take no further token."""

    def read_again(self, rows: list[int], prompts: Sequence[Sequence[int]], log_p_BV: Tensor) -> None:
        """Begin these rows with `<s>` and other texts, and put in their log p (B, V)."""


class Predictor(Protocol):
    """p(next token | tokens before)."""

    @property
    def vocab_size(self) -> int:
        """V."""

    @property
    def begin_id(self) -> int:
        """The symbol that begins a text."""

    @property
    def context(self) -> int | None:
        """How many tokens are seen at most; None where a state is carried through texts of any length."""

    @property
    def numbers_per_token(self) -> int:
        """How many numbers are computed for each token that is read: so much memory a call takes."""

    @property
    def device(self) -> torch.device:
        """Where ids are expected."""

    def next_nats(self, ids_BT: Tensor, targets_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """-log p of the token after each of `ids`, in nats and float32, (B, T), and the state after the last of them.

        None begins a text.
        """

    def log_p(self, ids_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """log p of all tokens after each of `ids`, in float32, (B, T, V), and the state after the last of them."""

    def stepper(self, precision: str = "fp32", barred: int = -1) -> Stepper:
        """Predict a token at a time, weights kept in that precision. A `barred` symbol (-1: none) has log p -inf."""


def advance(stepper: Stepper, texts: Sequence[Sequence[int]], chosen_B: Tensor, log_p_BV: Tensor) -> Tensor:
    """log p (B, V) after the chosen tokens, with which the texts of rows that are full end.

    A full row goes on with the newest half of what it saw, read again.
    """
    full = stepper.full
    if not full:
        return stepper.step(chosen_B)
    kept = max(1, (stepper.context or 0) // 2)
    log_p_BV = log_p_BV.clone()
    if len(full) == len(chosen_B):
        stepper.read_again(full, [texts[row][-kept:] for row in full], log_p_BV)
        return log_p_BV
    # The others go on by one token, and so the full ones are read up to it.
    stepper.read_again(full, [texts[row][-kept:-1] for row in full], log_p_BV)
    return stepper.step(chosen_B)
