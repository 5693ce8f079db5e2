"""The one model interface, `logits, state = model(ids, state)`, for every architecture.

Shapes: B batch, T time, V vocabulary, E embedding, H features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.models.cores.recurrent import Recurrent, initialize_recurrent
from seqtool.models.cores.transformer import Transformer, initialize_transformer
from seqtool.models.cores.window import FeedForward, initialize_feedforward
from seqtool.models.dropout import Dropout
from seqtool.models.size import parameter_count
from seqtool.models.state import State
from seqtool.settings.model import RECURRENT, ModelConfig, Symbols

UNSEEN_COUNT = 0.1  # what a symbol that does not occur counts as, when its first bias is set


class Reading(NamedTuple):
    """What a model makes of tokens: features (B, T, H), these as dropout leaves them, and the state after the last."""

    features_BTH: Tensor
    dropped_BTH: Tensor
    state: State


class LanguageModel(nn.Module):
    """p(next token | tokens before): an architecture's features and a softmax layer.

    The softmax is learned for the S symbols that the training text has, `seen_ids`. The others (most of the 256 bytes
    of a vocabulary by characters) share the probability that one more token in the training text would have: 1 /
    tokens.

    `begin_id` is the symbol that begins a text. `context` is the number of tokens that fit into the model's state, or
    None where the state stays the same size however long the text.
    """

    seen_ids: Tensor

    def __init__(self, config: ModelConfig, symbols: Symbols) -> None:
        super().__init__()
        vocab_size, begin_id = symbols.size, symbols.begin_id
        self.config, self.symbols, self.vocab_size, self.begin_id = config, symbols, vocab_size, begin_id
        self.context = config.context if config.model == "transformer" else None
        self.core: Recurrent | FeedForward | Transformer
        if config.model in RECURRENT:
            self.core = Recurrent(config, vocab_size)
        elif config.model == "ffn":
            self.core = FeedForward(config, vocab_size, begin_id)
        else:
            self.core = Transformer(config, vocab_size, begin_id)
        # A tied output layer scores with the embedding's rows, so features of another width are brought to theirs
        # first.
        self.narrow = (
            nn.Linear(config.feature_width, config.embed_width, bias=False)
            if config.tied and config.embed_width != config.feature_width
            else None
        )
        self.output_dropout = Dropout(config.dropout_at("output"), config.variational)
        self.output = None if config.tied else nn.Linear(config.feature_width, symbols.seen, bias=False)
        self.output_bias = nn.Parameter(torch.zeros(symbols.seen))
        self.register_buffer("seen_ids", torch.arange(symbols.seen))

    def forward(self, ids_BT: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits (B, T, V) of the token after each of `ids`, and the state after the last; None begins a text."""
        reading = self.read(ids_BT, state)
        return self.head(reading.dropped_BTH), reading.state

    def read(self, ids_BT: Tensor, state: State | None = None) -> Reading:
        """What the output layer reads, and the state after the last token."""
        features_BTH, state = self.core(ids_BT, state)
        return Reading(features_BTH, self.output_dropout(features_BTH), state)

    def head(self, features_BTH: Tensor) -> Tensor:
        """Logits (B, T, V) from the core's features."""
        return self._with_unseen(self.seen_logits(features_BTH))

    def seen_logits(self, features_BTH: Tensor) -> Tensor:
        """Of them those of the seen symbols, (B, T, S), from which the others follow."""
        return F.linear(self.narrowed(features_BTH), self.output_weight, self.output_bias)

    def narrowed(self, features_BTH: Tensor) -> Tensor:
        """Features in the width of the output layer's matrix."""
        return features_BTH if self.narrow is None else self.narrow(features_BTH)

    @property
    def unseen_nats(self) -> float:
        """What the unseen symbols' share of the probability costs every seen one: log(1 + 1 / tokens)."""
        return math.log1p(1 / self.symbols.tokens) if self.symbols.seen < self.vocab_size else 0.0

    def _with_unseen(self, logits_BTS: Tensor) -> Tensor:
        """Logits of all V symbols: those of the unseen, together, lie log(tokens) under the log-sum of the seen."""
        unseen = self.vocab_size - self.symbols.seen
        if not unseen:
            return logits_BTS
        seen_mass_BT1 = logits_BTS.detach().logsumexp(dim=-1, keepdim=True)
        rest_BT1 = (seen_mass_BT1 - math.log(self.symbols.tokens * unseen)).to(logits_BTS.dtype)
        # Copied before it is written into: torch 2.13's compiler gets index_copy of an expanded tensor wrong.
        rest_BTV = rest_BT1.expand(*rest_BT1.shape[:-1], self.vocab_size).clone()
        return rest_BTV.index_copy_(-1, self.seen_ids, logits_BTS)

    def restarted(self, state: State, restarts_B: Tensor) -> State:
        """The state with some rows of the batch as before a text's beginning. Not for a transformer."""
        return self.core.restarted(state, restarts_B)

    @property
    def output_weight(self) -> Tensor:
        """The matrix of the softmax layer, (S, H), or (S, E): rows of the embedding."""
        if self.output is not None:
            return self.output.weight
        assert self.core.embedding is not None
        rows_VE = self.core.embedding.weight
        return rows_VE if self.symbols.seen == self.vocab_size else rows_VE.index_select(0, self.seen_ids)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.output_bias.device


def build_model(config: ModelConfig, symbols: Symbols, seen_counts: Mapping[int, int], seed: int = 0) -> LanguageModel:
    """A new model on the CPU with the initial weights of `config.init`, drawn from `seed` alone.

    `seen_counts` says how often each of the `symbols.seen` ids occurs in the training text, in ascending order of
    ids: the output's biases begin as the logarithms of these frequencies, so that the first thing to learn is what
    context adds.
    """
    parameter_count(config, symbols)  # refuses sizes beyond reason before memory is taken
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LanguageModel(config, symbols)
        initialize(model)
    model.seen_ids.copy_(torch.tensor(list(seen_counts)))
    with torch.no_grad():
        smoothed = torch.tensor(list(seen_counts.values()), dtype=torch.float64) + UNSEEN_COUNT
        model.output_bias.copy_((smoothed / smoothed.sum()).log())
    return model


@torch.no_grad()
def initialize(model: LanguageModel) -> None:
    """Draw initial weights from torch's global generator."""
    config, core = model.config, model.core
    if core.embedding is not None and not isinstance(core, Transformer):
        nn.init.normal_(core.embedding.weight, std=core.embedding.embedding_dim**-0.5 if config.tied else 1.0)
    if isinstance(core, Recurrent):
        initialize_recurrent(core, config)
    elif isinstance(core, FeedForward):
        initialize_feedforward(core, config)
    else:
        initialize_transformer(core, config)
        if model.output is not None:
            nn.init.normal_(model.output.weight, std=0.02)
