"""An n-gram model as a Predictor: the numpy of seqtool.counts behind the tensors that scoring and generation pass.

Shapes: B sequences side by side, T time, V vocabulary, K lengths of contexts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seqtool.counts.children import Int64
from seqtool.counts.model import NgramModel
from seqtool.errors import UsageError
from seqtool.models.predictor import Stepper
from seqtool.models.state import State


class CountedModel:
    """p(next token | the N-1 tokens before it). A Predictor, on the CPU, whose state are its contexts (B, K)."""

    context: int | None = None
    """What came before needs not be read again: the state says what of it counts."""

    def __init__(self, ngrams: NgramModel) -> None:
        self.ngrams = ngrams
        self.vocab_size, self.begin_id, self.numbers_per_token = ngrams.vocab_size, ngrams.begin_id, ngrams.order
        self.device = torch.device("cpu")

    def next_nats(self, ids_BT: Tensor, targets_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """-log p of the token after each of `ids`, (B, T), and the contexts after the last."""
        contexts_BK = self.ngrams.no_contexts(len(ids_BT)) if state is None else state[0][0].numpy()
        log_p_BT, contexts_BK = self.ngrams.score(ids_BT.numpy(), targets_BT.numpy(), contexts_BK)
        return torch.from_numpy(-log_p_BT).float(), ((torch.from_numpy(contexts_BK),),)

    def log_p(self, ids_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """log p of all tokens after each of `ids`, (B, T, V), and the contexts after the last."""
        contexts_BK = self.ngrams.no_contexts(len(ids_BT)) if state is None else state[0][0].numpy()
        log_p_BTV = np.empty((*ids_BT.shape, self.vocab_size), np.float32)
        for t, ids_B in enumerate(ids_BT.numpy().T):
            contexts_BK = self.ngrams.advance(contexts_BK, ids_B)
            log_p_BTV[:, t] = self.ngrams.next_log_p(contexts_BK)
        return torch.from_numpy(log_p_BTV), ((torch.from_numpy(contexts_BK),),)

    def stepper(self, precision: str = "fp32", barred: int = -1) -> Stepper:
        """The same a token at a time."""
        if precision != "fp32":
            raise UsageError(f"--precision {precision}: counts have no weights to keep in fewer bits; leave it out")
        return CountedStepper(self.ngrams, barred)


class CountedStepper:
    """The Stepper of an n-gram model; no row of it is ever full."""

    context: int | None = None
    room: int | None = None

    def __init__(self, ngrams: NgramModel, barred: int) -> None:
        self._ngrams, self._barred, self.begin_id = ngrams, barred, ngrams.begin_id
        self._contexts_BK = ngrams.no_contexts(0)

    @property
    def full(self) -> list[int]:
        """None of the rows."""
        return []

    def begin(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read `<s>` and each prompt, of which the end counts; log p of the next tokens, (B, V)."""
        self._contexts_BK = self._read(prompts)
        return self._log_p()

    def step(self, ids_B: Tensor) -> Tensor:
        """log p of the tokens after these, (B, V)."""
        self._contexts_BK = self._ngrams.advance(self._contexts_BK, ids_B.cpu().numpy())
        return self._log_p()

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only, in this order; one may be taken several times."""
        self._contexts_BK = self._contexts_BK[rows.cpu().numpy()]

    def read_again(self, rows: list[int], prompts: Sequence[Sequence[int]], log_p_BV: Tensor) -> None:
        """Begin these rows with `<s>` and other texts, and put in their log p (B, V)."""
        self._contexts_BK[rows] = self._read(prompts)
        log_p_BV[rows] = self._log_p()[rows]

    def _read(self, prompts: Sequence[Sequence[int]]) -> Int64:
        """The contexts after `<s>` and each prompt, (B, K)."""
        reach = max(1, self._ngrams.order - 1)
        ends = [[self.begin_id, *prompt[-reach:]] if len(prompt) < reach else prompt[-reach:] for prompt in prompts]
        contexts_BK = self._ngrams.no_contexts(len(prompts))
        ids_BT = np.full((len(ends), reach), -1, np.int64)  # shorter ones behind no tokens
        for ids_T, end in zip(ids_BT, ends, strict=True):
            ids_T[reach - len(end) :] = end
        for ids_B in ids_BT.T:
            contexts_BK = self._ngrams.advance(contexts_BK, ids_B)
        return contexts_BK

    def _log_p(self) -> Tensor:
        log_p_BV = self._ngrams.next_log_p(self._contexts_BK)
        if self._barred >= 0:
            log_p_BV[:, self._barred] = -np.inf
        return torch.from_numpy(log_p_BV).float()
