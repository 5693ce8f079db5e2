"""A text for what is read, one token at a time, for several of them side by side.

Shapes: B texts, V symbols.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from seqtool.models.encoder_decoder import EncoderDecoder
from seqtool.models.example_model import ExampleInput
from seqtool.models.state import State, take_rows


class WritingStepper:
    """The Stepper of what writes a text for what is read.

    A prompt is the key of an example, any tuple of numbers: texts for what is read begin at nothing but `<s>`.
    """

    context: int | None = None

    def __init__(
        self, model: EncoderDecoder, x: ExampleInput, keys: Sequence[tuple[int, ...]], barred: int = -1
    ) -> None:
        self._model, self._x, self._barred = model, x, barred
        self._row_of = {key: row for row, key in enumerate(keys)}
        self.begin_id = model.begin_id

    def begin(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read the examples that are asked for; log p of the first tokens, (B, V)."""
        rows = [self._row_of[tuple(prompt)] for prompt in prompts]
        different = sorted(set(rows))
        given = self._model.read(self._x.take(torch.tensor(different)).to(self._model.device))
        self._owner = torch.tensor([different.index(row) for row in rows], device=self._model.device)
        self._given = take_rows(given, self._owner)
        self._state: State | None = None
        return self.step(self._owner.new_full((len(rows),), self.begin_id))

    def step(self, ids_B: Tensor) -> Tensor:
        """log p of the tokens after these, (B, V)."""
        features_B1O, self._state = self._model.features(ids_B.unsqueeze(1), self._given, self._state)
        log_p_BV = F.linear(features_B1O[:, 0], self._model.weight).float().log_softmax(dim=-1)
        if self._barred >= 0:
            log_p_BV[:, self._barred] = -torch.inf
        return log_p_BV

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only, in this order; what was read is moved only where a row has another owner now."""
        assert self._state is not None
        self._state = take_rows(self._state, rows)
        owner = self._owner.index_select(0, rows)
        if not torch.equal(owner, self._owner):
            self._given = take_rows(self._given, rows)
        self._owner = owner

    @property
    def room(self) -> int | None:
        """None: a text may be of any length."""
        return None

    @property
    def full(self) -> list[int]:
        """None."""
        return []

    def read_again(self, rows: list[int], prompts: Sequence[Sequence[int]], log_p_BV: Tensor) -> None:
        """Never asked for: no row is ever full."""
        raise NotImplementedError("a text for what is read is never begun again")
