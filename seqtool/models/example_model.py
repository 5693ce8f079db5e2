"""The model of examples: tokens, steps or columns -> vectors -> core -> pooling -> answers.

Shapes: B batch, T time, K tables, F numbers of a step, N numbers and C categories of an example, E vectors, H features,
O answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.errors import UsageError
from seqtool.models import pooling
from seqtool.models.cores.core import Core, build_core, core_class
from seqtool.models.dropout import Dropout, kept
from seqtool.models.inputs import InputVectors, stem_of
from seqtool.models.net import Net
from seqtool.models.ngrams import WIDTH, WideNgrams
from seqtool.models.state import State
from seqtool.settings.examples import ExampleShape
from seqtool.settings.model import MAX_PARAMETERS, ModelConfig


class ExampleInput(NamedTuple):
    """What is known of some examples; what they have not is None."""

    lengths_B: Tensor
    """Tokens or steps of each; 1 where there is no sequence."""
    ids_BTK: Tensor | None = None
    steps_BTF: Tensor | None = None
    numbers_BN: Tensor | None = None
    categories_BC: Tensor | None = None

    def to(self, device: torch.device) -> ExampleInput:
        """The same on a device."""
        lengths_B, *parts = (None if part is None else part.to(device, non_blocking=True) for part in self)
        assert lengths_B is not None
        return ExampleInput(lengths_B, *parts)

    def rows(self, rows: slice) -> ExampleInput:
        """Some of the examples, filled up to their own longest."""
        lengths_B = self.lengths_B[rows]
        longest = int(lengths_B.max()) if len(lengths_B) else 0
        return ExampleInput(
            lengths_B,
            None if self.ids_BTK is None else self.ids_BTK[rows, :longest],
            None if self.steps_BTF is None else self.steps_BTF[rows, :longest],
            None if self.numbers_BN is None else self.numbers_BN[rows],
            None if self.categories_BC is None else self.categories_BC[rows],
        )

    def take(self, places: Tensor) -> ExampleInput:
        """Some of the examples, in this order, filled up to their own longest."""
        lengths_B, *parts = (None if part is None else part.index_select(0, places) for part in self)
        assert lengths_B is not None
        return ExampleInput(lengths_B, *parts).rows(slice(None))


class ExampleModel(Net):
    """Answers to examples, `outputs = model(x)`: numbers that a task makes probabilities or forecasts of."""

    fitted_buffers = ("fitted",)
    fitted: Tensor
    tables: list[nn.Embedding]  # an nn.ModuleList of them
    tables_before: list[nn.Embedding]  # the same: of a stem, for the tokens before
    cores: list[Core]  # an nn.ModuleList of them

    def __init__(self, config: ModelConfig, shape: ExampleShape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        traits = config.architecture
        E = config.embed_width
        self.tables = nn.ModuleList(blank_table(size, E) for size in shape.tables)  # type: ignore[assignment]
        before = stem_of(config) - 1 if len(shape.tables) == 1 else 0
        self.tables_before = nn.ModuleList(  # type: ignore[assignment]
            blank_table(shape.tables[0], E) for _ in range(before)
        )
        self.columns = self.to_width = None
        beside = shape.numbers + sum(size - 1 for size in shape.categories)
        if shape.tables:
            width = E
        elif shape.steps and traits.whole:
            width, beside = shape.steps * shape.channels + beside, 0
        elif shape.steps:
            width = E if traits.one_width else shape.channels
            self.to_width = nn.Linear(shape.channels, E) if traits.one_width else None
        elif traits.whole:
            width, beside = beside, 0
        else:
            width, beside = E, 0
            self.columns = ColumnTokens(shape, E)
        self.whole = traits.whole and not shape.tables
        inner = config
        if self.whole:  # the answer is the last of --layers dense layers
            inner = dataclasses.replace(config, layers=max(1, config.layers - 1), context=1, bidirectional=False)
        ways = 2 if inner.bidirectional and not traits.sees_all else 1
        if self.whole and config.layers == 1:
            ways = 0
        self.cores = nn.ModuleList(build_core(inner, width) for _ in range(ways))  # type: ignore[assignment]
        self.lookback = core_class(inner).window(inner) or 0
        features = len(self.cores) * inner.feature_width or width
        self.pooling = pooling.Attention(features) if config.pooling == "attention" and not shape.each else None
        self.dropout = Dropout(config.dropout_at("output"), variational=False)
        self.wide = None
        if config.wide_ngrams and shape.pools_text:
            self.wide = WideNgrams(shape.tables[0], config.wide_ngrams, config.buckets)
            beside += WIDTH
        self.head = nn.Linear(features + beside, shape.outputs)
        self.register_buffer("fitted", torch.zeros(shape.fitted))

    def forward(self, x: ExampleInput) -> Tensor:
        """Answers (B, O); where each token has its own, (B, T, O)."""
        features_BTH = self._features(self._vectors(x), x.lengths_B)
        if self.shape.each:
            return self.head(self.dropout(features_BTH))
        pooled_BH = self._pooled(features_BTH, x.lengths_B)
        if not self.whole and self.columns is None:
            pooled_BH = torch.cat([pooled_BH, *column_vectors(x, self.shape.categories)], dim=-1)
        pooled_BH = self.dropout(pooled_BH.unsqueeze(1)).squeeze(1)
        if self.wide is not None and x.ids_BTK is not None:
            pooled_BH = torch.cat([pooled_BH, self.wide(x.ids_BTK[..., 0], x.lengths_B)], dim=-1)
        return self.head(pooled_BH)

    def _vectors(self, x: ExampleInput) -> InputVectors:
        """What the core reads, (B, T, E)."""
        if x.ids_BTK is not None:
            if self.tables_before:
                return InputVectors(None, None, self._stem(x.ids_BTK[..., 0]), x.lengths_B)
            if len(self.tables) == 1:
                return InputVectors(x.ids_BTK[..., 0], self.tables[0].weight, lengths_B=x.lengths_B)
            return InputVectors(None, None, self._sum_of_rows(x.ids_BTK), x.lengths_B)
        if self.columns is not None:
            return InputVectors(None, None, self.columns(x), None)
        if self.whole:
            steps = [] if x.steps_BTF is None else [x.steps_BTF.flatten(1)]
            whole_BE = torch.cat([*steps, *column_vectors(x, self.shape.categories)], dim=-1)
            return InputVectors(None, None, whole_BE.unsqueeze(1), None)
        assert x.steps_BTF is not None
        return InputVectors(
            None, None, x.steps_BTF if self.to_width is None else self.to_width(x.steps_BTF), x.lengths_B
        )

    def _stem(self, ids_BT: Tensor) -> Tensor:
        """The sum of each token's row and those of the tokens before it, (B, T, E): a stem."""
        vectors = self.tables[0](ids_BT)
        for place, table in enumerate(self.tables_before, start=1):
            before_BT = F.pad(ids_BT, (place, 0), value=self.shape.begin_id)[:, : ids_BT.shape[1]]
            vectors = vectors + table(before_BT)
        return vectors

    def _sum_of_rows(self, ids_BTK: Tensor) -> Tensor:
        """The sum of each token's rows, (B, T, E); in training some are left out, so that it does not rest on one."""
        rate = self.config.dropout_embedding if self.training else 0.0
        kept_BTK = kept(self.head.weight, ids_BTK.shape, rate) if rate else None
        vectors: Tensor | None = None
        for place, table in enumerate(self.tables):
            rows_BTE = table(ids_BTK[..., place])
            if kept_BTK is not None:
                rows_BTE = rows_BTE * kept_BTK[..., place, None]
            vectors = rows_BTE if vectors is None else vectors + rows_BTE
        assert vectors is not None
        return vectors

    def _features(self, x: InputVectors, lengths_B: Tensor) -> Tensor:
        """Features (B, T, H) of one core, or side by side of one that read forwards and one that read backwards."""
        if not self.cores:
            return x.dense()
        first = self.cores[0](self._with_beginning(x), None)[0]
        if len(self.cores) == 1:
            return first
        time = first.shape[1]
        turned_BT = turned(lengths_B if x.lengths_B is not None else lengths_B.new_full((x.rows,), time), time)
        second = self.cores[1](self._with_beginning(_in_order(x, turned_BT)), None)[0]
        return torch.cat([first, second.gather(1, turned_BT.unsqueeze(-1).expand_as(second))], dim=-1)

    def _with_beginning(self, x: InputVectors) -> InputVectors:
        """The vectors after those of the beginning, as many as the core looks back to."""
        if not self.lookback or self.whole:
            return x
        if x.ids_BT is not None:
            ids_BT = F.pad(x.ids_BT, (self.lookback, 0), value=self.shape.begin_id)
            return dataclasses.replace(x, ids_BT=ids_BT)
        if self.tables:
            begin_E = torch.stack([table.weight[self.shape.begin_id] for table in self.tables]).sum(0)
            begin_BLE = begin_E.expand(x.rows, self.lookback, -1)
        else:
            begin_BLE = x.dense().new_zeros(x.rows, self.lookback, x.dense().shape[-1])
        return dataclasses.replace(x, dense_BTE=torch.cat([begin_BLE, x.dense()], dim=1))

    def _pooled(self, features_BTH: Tensor, lengths_B: Tensor) -> Tensor:
        """Features of the whole sequence, (B, H)."""
        if self.columns is not None:
            lengths_B = lengths_B.new_full((len(lengths_B),), features_BTH.shape[1])
        if self.whole:
            return features_BTH[:, 0]
        if self.pooling is not None:
            return self.pooling(features_BTH, lengths_B)
        if self.config.pooling != "last" or len(self.cores) == 1:
            return pooling.PLAIN[self.config.pooling](features_BTH, lengths_B)
        forwards, backwards = features_BTH.chunk(2, dim=-1)  # who reads from the end has read all at the beginning
        return torch.cat([pooling.last(forwards, lengths_B), backwards[:, 0]], dim=-1)

    def restarted(self, state: State, restarts_B: Tensor) -> State:
        """Never asked for anything: examples leave no state."""
        return state

    def shards(self) -> Iterator[nn.Module]:
        """The cores'."""
        for core in self.cores:
            yield from core.shards()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device


def column_vectors(x: ExampleInput, categories: Sequence[int]) -> Iterator[Tensor]:
    """The vector of an example's columns: numbers, and a one-hot vector of each category; of 0 their mean."""
    if x.numbers_BN is not None:
        yield x.numbers_BN
    for place, size in enumerate(categories):
        assert x.categories_BC is not None
        numbers_B1 = x.categories_BC[:, place, None]
        one_hot_BS = F.one_hot(numbers_B1[:, 0], size)[:, 1:].float()
        yield torch.where(numbers_B1 > 0, one_hot_BS, 1 / (size - 1))


class ColumnTokens(nn.Module):
    """Each column as a token: a row of a table, or a number times a vector and another added.

    Gorishniy et al. 2021, section 3.3.
    """

    tables: list[nn.Embedding]  # an nn.ModuleList of them

    def __init__(self, shape: ExampleShape, width: int) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.empty(shape.numbers, width))
        self.shifts = nn.Parameter(torch.empty(shape.numbers, width))
        self.tables = nn.ModuleList(  # type: ignore[assignment]
            blank_table(size, width) for size in shape.categories
        )

    def forward(self, x: ExampleInput) -> Tensor:
        """(B, N + C, E)."""
        parts = []
        if x.numbers_BN is not None:
            parts.append(x.numbers_BN.unsqueeze(-1) * self.scales + self.shifts)
        if x.categories_BC is not None:
            for place, table in enumerate(self.tables):
                rows_VE = torch.cat([table.weight[1:].mean(0, keepdim=True), table.weight[1:]])
                parts.append(F.embedding(x.categories_BC[:, place, None], rows_VE))
        return torch.cat(parts, dim=1)


def blank_table(size: int, width: int) -> nn.Embedding:
    """A table whose rows are yet to be drawn: torch's own way to draw them for a model without memory takes seconds."""
    return nn.Embedding.from_pretrained(torch.empty(size, width), freeze=False)


def turned(lengths_B: Tensor, time: int) -> Tensor:
    """Places that turn each sequence round within its length and leave what fills it up, (B, T)."""
    places_BT = torch.arange(time, device=lengths_B.device).expand(len(lengths_B), -1)
    back_BT = lengths_B[:, None] - 1 - places_BT
    return torch.where(back_BT >= 0, back_BT, places_BT)


def _in_order(x: InputVectors, places_BT: Tensor) -> InputVectors:
    """The vectors in another order of time."""
    if x.ids_BT is not None:
        return dataclasses.replace(x, ids_BT=x.ids_BT.gather(1, places_BT))
    dense_BTE = x.dense()
    return dataclasses.replace(x, dense_BTE=dense_BTE.gather(1, places_BT.unsqueeze(-1).expand_as(dense_BTE)))


def example_numbers(config: ModelConfig, shape: ExampleShape) -> tuple[int, int]:
    """Trainable numbers of a model, and all numbers of its state; UsageError when they are beyond reason.

    No memory is taken for them.
    """
    E = config.embed_width
    most = sum(shape.tables) * E + config.layers * config.hidden**2 + (config.buckets * E if config.ngrams > 1 else 0)
    check_sizes(most)
    with torch.device("meta"):
        model = ExampleModel(config, shape)
    learned = sum(weight.numel() for weight in model.parameters())
    if learned > MAX_PARAMETERS:
        raise UsageError(f"these sizes make {learned:,} parameters: choose smaller ones")
    return learned, sum(tensor.numel() for tensor in model.state_dict().values())


def check_sizes(least: int) -> None:
    """UsageError for at `least` so many numbers: more layers than there is time to make even without memory."""
    if least > 64 * MAX_PARAMETERS:
        raise UsageError(f"these sizes make over {least:,} parameters: choose smaller ones")


def build_example_model(config: ModelConfig, shape: ExampleShape, seed: int = 0) -> ExampleModel:
    """A new model on the CPU with the initial weights of `config.init`, drawn from `seed` alone."""
    example_numbers(config, shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ExampleModel(config, shape)
        with torch.no_grad():
            deviation = core_class(config).embedding_deviation(config) / max(1, len(model.tables))
            for table in (*model.tables, *model.tables_before):
                nn.init.normal_(table.weight, std=deviation)
            if model.columns is not None:
                for weight in model.columns.parameters():
                    nn.init.normal_(weight, std=config.embed_width**-0.5)
            for core in model.cores:
                core.initialize(config)
            if model.wide is not None:
                model.wide.initialize()
            if not model.cores:  # one layer has nothing to break a symmetry for
                nn.init.zeros_(model.head.weight)
                nn.init.zeros_(model.head.bias)
    return model
