"""One token at a time: what `model(ids, state)` computes, in the fewest operations, for sequences side by side.

At one token a step every weight is read from memory for little arithmetic, and what an operation costs to start is
as much as what it does. So products known beforehand are looked up (the gates that each token's embedding gives), keys
and values are written into one buffer instead of joined, weights may be read in fewer bits, and step.c, where it was
compiled, does the products of a few sequences and all that lies between them in a transformer. Tests hold every
stepper to the model.

Shapes: B sequences, V vocabulary, S symbols that are learned to be predicted, C width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seqtool.models.decoding.products import Product
from seqtool.models.language_model import LanguageModel
from seqtool.models.state import State, rows_of

READ_TOKENS = 1024  # of a prompt, at once


class ModelStepper:
    """The Stepper of a language model: its core's steps, and its head's log p."""

    @torch.inference_mode()
    def __init__(self, model: LanguageModel, precision: str = "fp32", barred: int = -1) -> None:
        self._barred = barred
        self._model, self.begin_id, self.context = model, model.begin_id, model.context
        self._lengths: list[int] = []
        self._head = _Head(model, precision, barred)
        self._steps = model.core.steps(model.inputs, precision)

    def begin(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read `<s>` and each prompt; log p of the next tokens, (B, V). A transformer reads the end of a long one."""
        different = list(dict.fromkeys(map(tuple, prompts)))
        self._lengths = [0] * len(different)
        self._steps.restart(len(different), max(map(len, different)) + 1)
        log_p_BV = torch.empty(len(different), self._model.vocab_size, device=self._model.device)
        self.read_again(list(range(len(different))), different, log_p_BV)
        if len(different) == len(prompts):
            return log_p_BV
        numbers = {prompt: number for number, prompt in enumerate(different)}
        rows = torch.tensor([numbers[tuple(prompt)] for prompt in prompts], device=self._model.device)
        self.keep(rows)
        return log_p_BV.index_select(0, rows)

    def step(self, ids_B: Tensor) -> Tensor:
        """log p of the tokens after these, (B, V), in a buffer that the next step writes over."""
        if self.context is not None:
            self._lengths = [length + 1 for length in self._lengths]
        return self._head.log_p(self._steps.step(ids_B))

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only, in this order; one may be taken several times."""
        self._steps.keep(rows)
        self._lengths = [self._lengths[row] for row in rows.tolist()]

    @property
    def room(self) -> int | None:
        """Steps until a row is full; None when none ever is."""
        return None if self.context is None else self.context - max(self._lengths)

    @property
    def full(self) -> list[int]:
        """The rows that can take no further token."""
        context = self.context
        return [] if context is None else [row for row, length in enumerate(self._lengths) if length >= context]

    def read_again(self, rows: list[int], prompts: Sequence[Sequence[int]], log_p_BV: Tensor) -> None:
        """Begin these rows with `<s>` and other texts, and put in their log p (B, V)."""
        for places, logits_BV, state in read(self._model, prompts):
            taken = [rows[place] for place in places]
            self._steps.put(taken, state)
            log_p_BV[taken] = logits_BV.float().log_softmax(dim=-1)
            if self._barred >= 0:
                log_p_BV[taken, self._barred] = -torch.inf
            for row, place in zip(taken, places, strict=True):
                self._lengths[row] = min(len(prompts[place]) + 1, self.context or len(prompts[place]) + 1)


def read(model: LanguageModel, prompts: Sequence[Sequence[int]]) -> list[tuple[list[int], Tensor, State]]:
    """Read `<s>` and prompts of any lengths side by side; for each length: which prompts have it, the logits (B, V) of
    what comes next, and the state.

    The longer ones read on where a shorter one has ended. A transformer reads the end of a prompt that is longer than
    its context.
    """
    room = math.inf if model.context is None else model.context - 1
    texts = [
        [model.begin_id, *(prompt[len(prompt) - int(room) :] if len(prompt) > room else prompt)] for prompt in prompts
    ]
    going = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    ended: list[tuple[list[int], Tensor, State]] = []
    done, state = 0, None
    while going:
        until = min(len(texts[going[0]]), done + READ_TOKENS)
        ids_BT = torch.tensor([texts[place][done:until] for place in going], device=model.device)
        features_BTC, state = model.features(ids_BT, state)
        done = until
        over = sum(len(texts[place]) == done for place in going)
        if over:
            ended.append((going[:over], model.head(features_BTC[:over, -1:])[:, -1], rows_of(state, slice(over))))
            going, state = going[over:], rows_of(state, slice(over, None))
    return ended


class _Head:
    """From features to log p of all V symbols; the unseen share the probability that the model keeps for them."""

    def __init__(self, model: LanguageModel, precision: str, barred: int) -> None:
        head = model.head
        self._barred, self._barred_is_seen = barred, bool((head.seen_ids == barred).any())
        self._narrow = None if head.narrow is None else Product(head.narrow.weight, precision)
        self._output, self._bias = Product(head.weight, precision), head.bias
        self._seen_ids = head.seen_ids
        unseen = model.vocab_size - model.symbols.seen
        # The seen have the mass 1, the unseen together 1 / tokens, as in SoftmaxHead.
        self._rest = -math.log(model.symbols.tokens * unseen) if unseen else None
        self._mass = math.log1p(1 / model.symbols.tokens)
        self._log_p_BV = torch.empty(0, model.vocab_size)

    def log_p(self, features_BC: Tensor) -> Tensor:
        """(B, V)."""
        narrowed = features_BC if self._narrow is None else self._narrow(features_BC)
        log_p_BS = self._output(narrowed, self._bias).log_softmax(dim=-1)
        if self._rest is None:
            return self._without_barred(log_p_BS)
        if len(self._log_p_BV) != len(log_p_BS):
            size = (len(log_p_BS), self._log_p_BV.shape[1])
            self._log_p_BV = torch.full(size, self._rest - self._mass, device=log_p_BS.device)
            if self._barred >= 0:
                self._log_p_BV[:, self._barred] = -torch.inf
        return self._without_barred(self._log_p_BV.index_copy_(1, self._seen_ids, log_p_BS.sub_(self._mass)))

    def _without_barred(self, log_p_BV: Tensor) -> Tensor:
        if self._barred_is_seen:
            log_p_BV[:, self._barred].fill_(-torch.inf)
        return log_p_BV
