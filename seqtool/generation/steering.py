"""Steering: rules that bar tokens from coming next, or make them more or less likely than the model does.

Shapes: B texts side by side, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqtool.errors import UsageError
from seqtool.generation.constraint import NEVER, Constraint
from seqtool.generation.favour import Favour
from seqtool.settings.generation import MAX_BEAM_TOKENS, GenerateConfig
from seqtool.text.decoding import Seam

UNLIMITED = 1 << 62


def most_tokens(config: GenerateConfig) -> int:
    """The most tokens that a text may have."""
    if config.until_end:
        return MAX_BEAM_TOKENS if config.beam else UNLIMITED
    return config.max_tokens


class Repetition:
    """Divides the probability of tokens that occur already, in the prompt or in what was written, by `penalty`."""

    def __init__(self, texts: Sequence[Sequence[int]], penalty: float, log_p_BV: Tensor) -> None:
        self._nats = math.log(penalty)
        self._seen_BV = torch.zeros_like(log_p_BV, dtype=torch.bool)
        for row, text in enumerate(texts):
            self._seen_BV[row, list(text)] = True

    def scores(self, scores_BV: Tensor) -> Tensor:
        """The scores less the penalty, in nats, of each token that occurs already."""
        return scores_BV - self._seen_BV * self._nats

    def add(self, chosen_B1: Tensor) -> None:
        """Note one more token of each text."""
        self._seen_BV.scatter_(1, chosen_B1, True)

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only."""
        self._seen_BV = self._seen_BV.index_select(0, rows.to(self._seen_BV.device))


class SeenNGrams(NamedTuple):
    """The sequences of `size` tokens in a text, none of which may be repeated.

    Immutable: texts with a common beginning share it. `layers` are mappings of decreasing size, from the first size - 1
    tokens of a sequence to its last, each with its number of sequences. A new sequence is merged with the last layers
    as long as these are no larger than the result so far (Bentley & Saxe 1980, Decomposable searching problems), so
    adding the T tokens of a text takes O(T log T) time.
    """

    size: int
    recent: tuple[int, ...] = ()
    """The last size - 1 tokens, or all if there are fewer."""
    layers: tuple[tuple[int, Mapping[tuple[int, ...], tuple[int, ...]]], ...] = ()

    @classmethod
    def of(cls, size: int, tokens: Sequence[int]) -> SeenNGrams:
        """The sequences in these tokens."""
        before = size - 1
        found: dict[tuple[int, ...], dict[int, None]] = {}
        for place in range(before, len(tokens)):
            found.setdefault(tuple(tokens[place - before : place]), {})[tokens[place]] = None
        recent = tuple(tokens[max(0, len(tokens) - before) :])
        count = sum(map(len, found.values()))
        return cls(size, recent, ((count, {key: tuple(after) for key, after in found.items()}),))

    @property
    def barred(self) -> list[int]:
        """The tokens that would complete a repetition if they came next."""
        return [token for _, layer in self.layers for token in layer.get(self.recent, ())]

    def added(self, token: int) -> SeenNGrams:
        """The sequences in the text with one more token."""
        layers = list(self.layers)
        if len(self.recent) == self.size - 1:
            count = 1
            newest: Mapping[tuple[int, ...], tuple[int, ...]] = {self.recent: (token,)}
            while layers and layers[-1][0] <= count:
                older_count, older = layers.pop()
                newest = {**older, **{key: older.get(key, ()) + after for key, after in newest.items()}}
                count += older_count
            layers.append((count, newest))
        recent = (*self.recent, token)[max(0, len(self.recent) + 2 - self.size) :]
        return SeenNGrams(self.size, recent, tuple(layers))


class Written(NamedTuple):
    """What has been written of a text so far, as far as the rules depend on it."""

    length: int = 0
    """Tokens."""
    state: int = 0
    """The constraint's."""
    favoured: tuple[int, ...] = ()
    """The state of each favoured text."""
    ngrams: SeenNGrams | None = None
    """Those of prompt and text, where none may be repeated."""


class Steering:
    """Applies all rules to log p of the next tokens.

    `begin_id` ends a text. Where the rules bar every token, the text ends.
    """

    def __init__(
        self,
        config: GenerateConfig,
        begin_id: int,
        constraint: Constraint | None = None,
        favours: Sequence[Favour] = (),
    ) -> None:
        self.constraint, self._favours = constraint, list(favours)
        self._begin_id = begin_id
        self._least, self._ngram = config.min_tokens, config.no_repeat_ngram
        self._most = most_tokens(config)
        # An expression that has to match always allows a token, or the text matches and may end.
        self._may_bar_all = constraint is None or not constraint.must_match

    @property
    def by_token(self) -> bool:
        """Whether the rules must be given each token before the next is chosen."""
        return bool(self.constraint or self._favours or self._ngram or self._least)

    def check(self, seam: Seam) -> None:
        """UsageError when every text that the constraint allows behind a prompt is too long, or there is none."""
        if self.constraint is None:
            return
        needed = self.constraint.tokens_needed(self.constraint.behind(seam))
        if needed == NEVER:
            where = "with" if seam.drop_space else "without"
            raise UsageError(
                f"--constrain matches no text that this vocabulary can spell behind a prompt {where} a space at its "
                "end: the expression says whether the first word brings one"
            )
        if needed > self._most:
            raise UsageError(
                f"--max-tokens {self._most}: the shortest text that matches --constrain takes up to {needed} tokens"
            )

    def begin(self, prompt: Sequence[int], seam: Seam, tokens: Sequence[int] = ()) -> Written:
        """What has been written behind a prompt, when it is these tokens."""
        one = Written(
            state=self.constraint.behind(seam) if self.constraint else 0,
            favoured=tuple(favour.behind(seam) for favour in self._favours),
            ngrams=SeenNGrams.of(self._ngram, prompt) if self._ngram else None,
        )
        for token in tokens:
            one = self.after(one, token, 0 if one.length else seam.skip)
        return one

    def after(self, one: Written, token: int, skip: int = 0) -> Written:
        """What has been written, with one more token, of which the first `skip` bytes belong to the prompt."""
        states = zip(self._favours, one.favoured, strict=True)
        return Written(
            length=one.length + 1,
            state=self.constraint.after(one.state, token, skip) if self.constraint else 0,
            favoured=tuple(favour.after(state, token, skip)[0] for favour, state in states),
            ngrams=one.ngrams.added(token) if one.ngrams is not None else None,
        )

    def first_score(self, one: Written, token: int, skip: int) -> float:
        """What the rules add to log p of a first token whose first `skip` bytes are the prompt's; -inf if barred."""
        if one.ngrams is not None and token in one.ngrams.barred:
            return -math.inf
        if self.constraint is not None:
            needed = self.constraint.tokens_needed(self.constraint.after(one.state, token, skip))
            if needed > min(NEVER - 1, self._most - 1):
                return -math.inf
        states = zip(self._favours, one.favoured, strict=True)
        return sum(favour.after(state, token, skip)[1] for favour, state in states)

    def ended(self, one: Written) -> bool:
        """Whether the text matches the whole expression and nothing may follow."""
        constraint = self.constraint
        return constraint is not None and constraint.must_match and not constraint.allowed(one.state, UNLIMITED).any()

    def scores(self, log_p_BV: Tensor, texts: Sequence[Written]) -> Tensor:
        """log p (B, V) plus what the rules add to it: -inf for a token that is barred."""
        if not self.by_token:
            return log_p_BV
        scores_BV = log_p_BV
        if self._favours:
            gains_BV = np.stack([self._gains(one) for one in texts])
            scores_BV = log_p_BV + torch.from_numpy(gains_BV).to(log_p_BV.device, log_p_BV.dtype)
        barred_BV = np.stack([self._barred(one, log_p_BV.shape[1]) for one in texts])
        scores_BV = scores_BV.masked_fill(torch.from_numpy(barred_BV).to(log_p_BV.device), -torch.inf)
        if self._may_bar_all:
            all_barred_B = (scores_BV == -torch.inf).all(dim=-1)
            scores_BV[:, self._begin_id].masked_fill_(all_barred_B, 0.0)
        return scores_BV

    def _gains(self, one: Written) -> npt.NDArray[np.float64]:
        gains = [favour.gains(state) for favour, state in zip(self._favours, one.favoured, strict=True)]
        return np.sum(gains, axis=0)

    def _barred(self, one: Written, vocab_size: int) -> npt.NDArray[np.bool_]:
        if self.constraint is not None:
            barred_V = ~self.constraint.allowed(one.state, self._most - one.length)
            barred_V[self._begin_id] = not self.constraint.accepts(one.state)
        else:
            barred_V = np.zeros(vocab_size, dtype=np.bool_)
        if one.length < self._least:
            barred_V[self._begin_id] = True
        if one.ngrams is not None:
            barred_V[one.ngrams.barred] = True
        return barred_V
