"""From what is read to a text that is written: an encoder, a decoder that may look back at it, and a softmax.

Shapes: B batch, S positions that are read, T tokens that are written, V their symbols, E vectors, M width of what the
encoder gives, O width of the decoder's features, N tokens in a row without what fills them up.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.models.cores.core import Core, build_core, core_class
from seqtool.models.cores.decoder import Memory, build_decoder, last_of
from seqtool.models.dropout import Dropout
from seqtool.models.example_model import (
    ColumnTokens,
    ExampleInput,
    ExampleModel,
    blank_table,
    check_sizes,
    column_vectors,
    example_numbers,
    turned,
)
from seqtool.models.inputs import InputVectors
from seqtool.models.loss import output_nats
from seqtool.models.net import Net
from seqtool.models.state import State
from seqtool.settings.examples import ExampleShape
from seqtool.settings.model import ModelConfig


class Encoder(nn.Module):
    """Reads tokens, or columns one by one, --bidirectional from both ends; a memory with a position for each."""

    cores: list[Core]  # an nn.ModuleList of them

    def __init__(self, config: ModelConfig, shape: ExampleShape) -> None:
        super().__init__()
        E = config.embed_width
        self.sees_all = config.architecture.sees_all
        self.columns = None if shape.tables else ColumnTokens(shape, E)
        ways = 2 if config.bidirectional and not self.sees_all else 1
        reading = dataclasses.replace(config, last_hidden=0)
        self.cores = nn.ModuleList(build_core(reading, E) for _ in range(ways))  # type: ignore[assignment]
        self.width = ways * config.hidden
        self.dropout = Dropout(config.dropout_at("output"), config.variational)

    def forward(self, x: ExampleInput, table_VE: Tensor) -> Memory:
        """What was read of tokens, whose vectors are rows of a table, or of columns."""
        if self.columns is not None:
            vectors_BSE = self.columns(x)
            lengths_B = x.lengths_B.new_full((len(vectors_BSE),), vectors_BSE.shape[1])
        else:
            assert x.ids_BTK is not None
            vectors_BSE, lengths_B = F.embedding(x.ids_BTK[..., 0], table_VE), x.lengths_B
        first_BSH = self.cores[0](InputVectors(dense_BTE=vectors_BSE, lengths_B=lengths_B), None)[0]
        if len(self.cores) == 1 and not self.sees_all:
            return Memory(self.dropout(first_BSH), lengths_B, last_of(first_BSH, lengths_B))
        if len(self.cores) == 1:
            seen_BS1 = (torch.arange(first_BSH.shape[1], device=lengths_B.device) < lengths_B[:, None]).unsqueeze(-1)
            mean_BH = (first_BSH * seen_BS1).sum(1) / lengths_B[:, None]
            return Memory(self.dropout(first_BSH), lengths_B, mean_BH)
        turned_BS = turned(lengths_B, first_BSH.shape[1]).unsqueeze(-1)
        backwards_BSE = vectors_BSE.gather(1, turned_BS.expand_as(vectors_BSE))
        second_BSH = self.cores[1](InputVectors(dense_BTE=backwards_BSE, lengths_B=lengths_B), None)[0]
        summary_BM = torch.cat([last_of(first_BSH, lengths_B), last_of(second_BSH, lengths_B)], dim=-1)
        values_BSM = torch.cat([first_BSH, second_BSH.gather(1, turned_BS.expand_as(second_BSH))], dim=-1)
        return Memory(self.dropout(values_BSM), lengths_B, self.dropout(summary_BM.unsqueeze(1)).squeeze(1))

    @torch.no_grad()
    def initialize(self, config: ModelConfig) -> None:
        """As the cores do; columns' vectors of length 1."""
        for core in self.cores:
            core.initialize(config)
        for weight in () if self.columns is None else self.columns.parameters():
            nn.init.normal_(weight, std=config.embed_width**-0.5)


class DenseEncoder(nn.Module):
    """Reads all columns as one vector, by --layers dense layers; a memory with a single position."""

    layers: list[nn.Linear]  # an nn.ModuleList of them

    def __init__(self, config: ModelConfig, shape: ExampleShape) -> None:
        super().__init__()
        width = shape.numbers + sum(size - 1 for size in shape.categories)
        widths = [width, *[config.hidden] * config.layers]
        self.layers = nn.ModuleList(  # type: ignore[assignment]
            nn.Linear(before, after) for before, after in itertools.pairwise(widths)
        )
        self.categories, self.width = shape.categories, config.hidden
        self.dropout = Dropout(config.dropout_at("output"), variational=False)

    def forward(self, x: ExampleInput, table_VE: Tensor) -> Memory:
        """What was read of columns."""
        y_BM = torch.cat(list(column_vectors(x, self.categories)), dim=-1)
        for layer in self.layers:
            y_BM = self.dropout(torch.relu(layer(y_BM)).unsqueeze(1)).squeeze(1)
        return Memory(y_BM.unsqueeze(1), torch.ones(len(y_BM), dtype=torch.long, device=y_BM.device), y_BM)

    def initialize(self, config: ModelConfig) -> None:
        """As torch does."""


class EncoderDecoder(Net):
    """p(next token of the text that is written | tokens before, what is read)."""

    def __init__(self, config: ModelConfig, shape: ExampleShape) -> None:
        super().__init__()
        self.config, self.shape, self.begin_id = config, shape, shape.target_begin_id
        E = config.embed_width
        self.target_table = blank_table(shape.target_symbols, E)
        own_table = bool(shape.tables) and not shape.one_table
        self.source_table = blank_table(shape.tables[0], E) if own_table else None
        dense = config.encoder == "dense" and not shape.tables
        self.encoder: Encoder | DenseEncoder = DenseEncoder(config, shape) if dense else Encoder(config, shape)
        self.decoder = build_decoder(config, E, self.encoder.width)
        self.output_dropout = Dropout(config.dropout_at("output"), config.variational)
        width = self.decoder.width
        self.to_embedding = nn.Linear(width, E, bias=False) if config.tied and width != E else None
        self.to_symbols = None if config.tied else nn.Linear(width, shape.target_symbols, bias=False)

    def encode(self, x: ExampleInput) -> Memory:
        """What is read of some examples."""
        table = self.source_table if self.source_table is not None else self.target_table
        memory: Memory = self.encoder(x, table.weight)
        return memory

    def read(self, x: ExampleInput) -> State:
        """What the decoder makes of them."""
        return self.decoder.read(self.encode(x))

    def features(self, ids_BT: Tensor, given: State, state: State | None) -> tuple[Tensor, State]:
        """Features (B, T, O) after each token that is written, and the state after the last; None begins a text."""
        features_BTO, state = self.decoder(self.target_table(ids_BT), given, state)
        features_BTO = self.output_dropout(features_BTO)
        return features_BTO if self.to_embedding is None else self.to_embedding(features_BTO), state

    @property
    def weight(self) -> Tensor:
        """The matrix of the softmax, (V, O): where it is tied, the table of what is written."""
        return self.target_table.weight if self.to_symbols is None else self.to_symbols.weight

    def forward(self, x: ExampleInput, ids_BT: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each of the target's, `<s>` before them."""
        return F.linear(self.features(ids_BT, self.read(x), None)[0], self.weight)

    def total_nats(self, features_NO: Tensor, targets_N: Tensor) -> Tensor:
        """-log p of targets, summed, in nats."""
        return output_nats(features_NO.unsqueeze(0), self.weight, None, targets_N.unsqueeze(0))

    def smoothing_nats(self, features_NO: Tensor, targets_N: Tensor) -> Tensor:
        """What smoothing a share e of the targets over all symbols adds to the nats, divided by e, summed.

        (mean_v -log p_v) + log p_target = z_target - mean_v z_v (Szegedy et al. 2016, section 7), and the mean of the
        logits is the logit of the mean row: no logits are needed.
        """
        W = self.weight
        return (features_NO.float() * (F.embedding(targets_N, W) - W.mean(0))).sum()

    def looks(self, x: ExampleInput, ids_BT: Tensor) -> Tensor:
        """Where the decoder looks before it tells what follows each token: (B, layers, heads, T, S)."""
        return self.decoder.looks(self.target_table(ids_BT), self.read(x))

    @property
    def looks_back(self) -> bool:
        """Whether the decoder looks at what was read at all."""
        return self.decoder.attends

    def restarted(self, state: State, restarts_B: Tensor) -> State:
        """Never asked for anything: examples leave no state."""
        return state

    def shards(self) -> Iterator[nn.Module]:
        """None: it is not split."""
        return iter(())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.target_table.weight.device


def blank_model(config: ModelConfig, shape: ExampleShape) -> ExampleModel | EncoderDecoder:
    """The model of examples of such sizes, whose weights are yet to be read."""
    return EncoderDecoder(config, shape) if shape.target_symbols else ExampleModel(config, shape)


def numbers_of(config: ModelConfig, shape: ExampleShape) -> tuple[int, int]:
    """Trainable numbers of a model of examples, and all numbers of its state; UsageError for sizes beyond reason."""
    if not shape.target_symbols:
        return example_numbers(config, shape)
    E = config.embed_width
    check_sizes((sum(shape.tables) + 2 * shape.target_symbols) * E + 2 * config.layers * config.hidden**2)
    with torch.device("meta"):
        model = EncoderDecoder(config, shape)
    learned = sum(weight.numel() for weight in model.parameters())
    return learned, sum(tensor.numel() for tensor in model.state_dict().values())


def build_encoder_decoder(config: ModelConfig, shape: ExampleShape, seed: int = 0) -> EncoderDecoder:
    """A new model on the CPU with the initial weights of `config.init`, drawn from `seed` alone."""
    numbers_of(config, shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = EncoderDecoder(config, shape)
        with torch.no_grad():
            deviation = core_class(config).embedding_deviation(config)
            for table in (model.target_table, model.source_table):
                if table is not None:
                    nn.init.normal_(table.weight, std=deviation)
            model.encoder.initialize(config)
            model.decoder.initialize(config)
            if model.to_symbols is not None and core_class(config).output_deviation is not None:
                nn.init.normal_(model.to_symbols.weight, std=core_class(config).output_deviation or 0.0)
    return model
