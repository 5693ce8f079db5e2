"""The language model: inputs, a core and a softmax, `logits, state = model(ids, state)` for every architecture.

Shapes: B batch, T time, V vocabulary, H features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqtool.models.cores.core import build_core, core_class
from seqtool.models.dropout import Dropout
from seqtool.models.heads import SoftmaxHead
from seqtool.models.inputs import Inputs, input_width
from seqtool.models.loss import token_nats
from seqtool.models.net import Net
from seqtool.models.predictor import Stepper
from seqtool.models.size import parameter_count
from seqtool.models.state import State
from seqtool.settings.model import ModelConfig, Symbols


class Reading(NamedTuple):
    """What a model makes of tokens: features (B, T, H), these as dropout leaves them, and the state after the last."""

    features_BTH: Tensor
    dropped_BTH: Tensor
    state: State


class LanguageModel(Net):
    """p(next token | tokens before). A Predictor.

    Its state is that of the core and, where the inputs look back, last the ids that they do.
    """

    sharded_calls = ("read",)

    def __init__(self, config: ModelConfig, symbols: Symbols) -> None:
        super().__init__()
        self.config, self.symbols = config, symbols
        self.vocab_size, self.begin_id, self.numbers_per_token = symbols.size, symbols.begin_id, symbols.size
        self.context = None if config.architecture.carries_state else config.context
        self.inputs = Inputs(config, symbols, core_class(config).window(config))
        self.core = build_core(config, input_width(config, symbols))
        self.output_dropout = Dropout(config.dropout_at("output"), config.variational)
        self.head = SoftmaxHead(config, symbols, self.inputs.embedding)

    def forward(self, ids_BT: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits (B, T, V) of the token after each of `ids`, and the state after the last; None begins a text."""
        reading = self.read(ids_BT, state)
        return self.head(reading.dropped_BTH), reading.state

    def read(self, ids_BT: Tensor, state: State | None = None) -> Reading:
        """What the head reads, and the state after the last token."""
        features_BTH, state = self.features(ids_BT, state)
        return Reading(features_BTH, self.output_dropout(features_BTH), state)

    def features(self, ids_BT: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The core's features (B, T, H) and the state after the last token."""
        of_core, before_BL = self._parts(state)
        x, before_BL = self.inputs(ids_BT, before_BL)
        features_BTH, of_core = self.core(x, of_core)
        return features_BTH, of_core if before_BL is None else (*of_core, (before_BL,))

    def _parts(self, state: State | None) -> tuple[State | None, Tensor | None]:
        """The core's part of a state, and the ids that the inputs look back to."""
        if state is None or self.inputs.lookback is None:
            return state, None
        return state[:-1], state[-1][0]

    def restarted(self, state: State, restarts_B: Tensor) -> State:
        """The state with some rows of the batch as before a text's beginning; for a core that carries one."""
        of_core, before_BL = self._parts(state)
        assert of_core is not None
        of_core = self.core.restarted(of_core, restarts_B)
        return of_core if before_BL is None else (*of_core, (self.inputs.restarted(before_BL, restarts_B),))

    def next_nats(self, ids_BT: Tensor, targets_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """-log p of the token after each of `ids`, (B, T), and the state after the last."""
        logits_BTV, state = self(ids_BT, state)
        return token_nats(logits_BTV, targets_BT), state

    def log_p(self, ids_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """log p of all tokens after each of `ids`, (B, T, V), and the state after the last."""
        logits_BTV, state = self(ids_BT, state)
        return logits_BTV.float().log_softmax(dim=-1), state

    def stepper(self, precision: str = "fp32", barred: int = -1) -> Stepper:
        """The same a token at a time."""
        from seqtool.models.decoding.stepper import ModelStepper

        return ModelStepper(self, precision, barred)

    def weights(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters by name, in the order in which checkpoints number them: the output's bias first."""
        named = dict(self.named_parameters())
        return sorted(named.items(), key=lambda pair: pair[0] != "head.bias")

    def shards(self) -> Iterator[nn.Module]:
        """The core's."""
        return self.core.shards()

    def input_rows(self) -> Tensor:
        """What stands for each symbol at the input, (V, D): the embedding, of a stem the table of the token itself; of
        one-hot input the columns of the first weights, which are an embedding.
        """
        return self.core.one_hot_columns() if self.inputs.embedding is None else self.inputs.embedding.weight

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.seen_ids.device


def build_model(config: ModelConfig, symbols: Symbols, seen_counts: Mapping[int, int], seed: int = 0) -> LanguageModel:
    """A new model on the CPU with the initial weights of `config.init`, drawn from `seed` alone.

    `seen_counts` says how often each of the `symbols.seen` ids occurs in the training text, in ascending order of ids.
    """
    parameter_count(config, symbols)  # refuses sizes beyond reason before memory is taken
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LanguageModel(config, symbols)
        model.inputs.initialize(model.core.embedding_deviation(config))
        model.core.initialize(config)
        model.head.initialize(model.core.output_deviation)
    model.head.begin_with(seen_counts)
    return model


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model is not in training, without dropout, while the block runs."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
