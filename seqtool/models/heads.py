"""From features to the distribution of what comes next, and to the loss.

Shapes: B batch, T time, V vocabulary, S symbols that are learned to be predicted, H features, E embedding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.models.loss import IGNORE, output_nats, total_nats
from seqtool.settings.model import ModelConfig, Symbols

UNSEEN_COUNT = 0.1  # what a symbol that does not occur counts as, when its first bias is set


class SoftmaxHead(nn.Module):
    """A softmax over the S symbols that the training text has, `seen_ids`.

    The others (most of the 256 bytes of a vocabulary by characters) share the probability that one more token in the
    training text would have: 1 / tokens. A tied head scores with the rows of the embedding.
    """

    seen_ids: Tensor

    def __init__(self, config: ModelConfig, symbols: Symbols, embedding: nn.Embedding | None) -> None:
        super().__init__()
        self.symbols = symbols
        # The rows of a tied embedding have a width of their own, so features of another are brought to it first.
        self.narrow = (
            nn.Linear(config.feature_width, config.embed_width, bias=False)
            if config.tied and config.embed_width != config.feature_width
            else None
        )
        self.output = None if config.tied else nn.Linear(config.feature_width, symbols.seen, bias=False)
        self.bias = nn.Parameter(torch.zeros(symbols.seen)) if config.output_bias else None
        self.register_buffer("seen_ids", torch.arange(symbols.seen))
        # Not a part of this module: its weights belong to the input.
        self._embedding = [embedding] if config.tied and embedding is not None else []

    @property
    def weight(self) -> Tensor:
        """The matrix of the softmax, (S, H), or (S, E): rows of the embedding."""
        if self.output is not None:
            return self.output.weight
        rows_VE = self._embedding[0].weight
        return rows_VE if self.symbols.seen == self.symbols.size else rows_VE.index_select(0, self.seen_ids)

    def forward(self, features_BTH: Tensor) -> Tensor:
        """Logits (B, T, V): those of the unseen symbols, together, lie log(tokens) under the log-sum of the seen."""
        logits_BTS = self.seen_logits(features_BTH)
        unseen = self.symbols.size - self.symbols.seen
        if not unseen:
            return logits_BTS
        seen_mass_BT1 = logits_BTS.detach().logsumexp(dim=-1, keepdim=True)
        rest_BT1 = (seen_mass_BT1 - math.log(self.symbols.tokens * unseen)).to(logits_BTS.dtype)
        # Copied before it is written into: torch 2.13's compiler gets index_copy of an expanded tensor wrong.
        rest_BTV = rest_BT1.expand(*rest_BT1.shape[:-1], self.symbols.size).clone()
        return rest_BTV.index_copy_(-1, self.seen_ids, logits_BTS)

    def seen_logits(self, features_BTH: Tensor) -> Tensor:
        """Of them those of the seen symbols, (B, T, S), from which the others follow."""
        return F.linear(self.narrowed(features_BTH), self.weight, self.bias)

    def narrowed(self, features_BTH: Tensor) -> Tensor:
        """Features in the width of the matrix."""
        return features_BTH if self.narrow is None else self.narrow(features_BTH)

    @property
    def unseen_nats(self) -> float:
        """What the unseen symbols' share of the probability costs every seen one: log(1 + 1 / tokens)."""
        return math.log1p(1 / self.symbols.tokens) if self.symbols.seen < self.symbols.size else 0.0

    def places(self) -> Tensor:
        """Where each symbol stands among the seen ones, (V + 1,): IGNORE where it is IGNORE, V where it does not."""
        places_V = torch.full((self.symbols.size + 1,), self.symbols.size)
        places_V[self.seen_ids.cpu()] = torch.arange(self.symbols.seen)
        places_V[IGNORE] = IGNORE
        return places_V.to(self.seen_ids.device)

    def total_nats(self, features_BTH: Tensor, logits_BTS: Tensor | None, places_BT: Tensor) -> Tensor:
        """The nats of targets given by their places among the seen symbols, summed; a scalar.

        From the logits where they are at hand, else without keeping them.
        """
        if logits_BTS is not None:
            nats = total_nats(logits_BTS, places_BT)
        else:
            nats = output_nats(self.narrowed(features_BTH), self.weight, self.bias, places_BT)
        if self.unseen_nats:
            nats = nats + self.unseen_nats * (places_BT != IGNORE).sum()
        return nats

    @torch.no_grad()
    def initialize(self, deviation: float | None) -> None:
        """Draw the matrix from a normal distribution, where a deviation is given and it is the head's own."""
        if deviation is not None and self.output is not None:
            nn.init.normal_(self.output.weight, std=deviation)

    @torch.no_grad()
    def begin_with(self, seen_counts: Mapping[int, int]) -> None:
        """Learn of the symbols that the training text has: ids, ascending, and how often each occurs.

        The biases begin as the logarithms of these frequencies, so that the first thing to learn is what context adds.
        """
        self.seen_ids.copy_(torch.tensor(list(seen_counts)))
        if self.bias is not None:
            smoothed = torch.tensor(list(seen_counts.values()), dtype=torch.float64) + UNSEEN_COUNT
            self.bias.copy_((smoothed / smoothed.sum()).log())


def head_parameters(config: ModelConfig, symbols: Symbols) -> tuple[int, int]:
    """Trainable numbers of a head, and the weights of its products; a tied embedding's count among the latter only."""
    S, E, H = symbols.seen, config.embed_width, config.feature_width
    narrow = E * H if config.tied and E != H else 0
    own = narrow if config.tied else S * H
    return own + S * config.output_bias, narrow + S * (E if config.tied else H)
