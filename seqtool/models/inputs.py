"""From token ids to the vectors that a core reads.

Shapes: B batch, T new tokens, L tokens before them that are looked back to, V vocabulary, E width of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqtool.models.dropout import drop_symbols
from seqtool.settings.model import ModelConfig, Symbols


@dataclass(frozen=True)
class InputVectors:
    """Vectors (B, T, E) for a core to read: numbers as they are, or symbols by their ids.

    A core that multiplies them first may multiply the table once instead of every token's vector. A one-hot vector is
    never made: its product with a matrix is one of the matrix's columns.
    """

    ids_BT: Tensor | None = None
    """The symbols; None where the vectors are no symbols' own."""
    table_VE: Tensor | None = None
    """The rows that ids stand for; ids without a table are one-hot."""
    dense_BTE: Tensor | None = None
    """The vectors themselves, where they are no rows of a table."""
    lengths_B: Tensor | None = None
    """How many of each sequence's vectors count, where the others fill up a batch."""

    @property
    def one_hot(self) -> bool:
        """Whether the vectors are one-hot."""
        return self.dense_BTE is None and self.table_VE is None

    @property
    def rows(self) -> int:
        """B."""
        given = self.ids_BT if self.dense_BTE is None else self.dense_BTE
        assert given is not None
        return len(given)

    def dense(self) -> Tensor:
        """The vectors, (B, T, E); not for one-hot ones."""
        if self.dense_BTE is not None:
            return self.dense_BTE
        assert self.ids_BT is not None
        assert self.table_VE is not None
        return nn.functional.embedding(self.ids_BT, self.table_VE)


class Inputs(nn.Module):
    """Vectors of tokens: rows of a learned table, or one-hot.

    `stem` tables, one for each place, give a token the sum of its own row and of rows for the `stem` - 1 tokens before
    it: what the last few tokens say need not be found out by the core. `window` is how many vectors before the first
    new token the core reads again. The ids that either needs are remembered from call to call; before a text's first
    token stand `<s>`.
    """

    embeddings_before: list[nn.Embedding]  # an nn.ModuleList of them

    def __init__(self, config: ModelConfig, symbols: Symbols, window: int | None) -> None:
        super().__init__()
        self.begin_id, self.symbols = symbols.begin_id, symbols.size
        self.stem = stem_of(config)
        self.lookback = None if window is None and "stem" not in config.architecture.settings else (window or 0)
        if self.lookback is not None:
            self.lookback += self.stem - 1
        self.dropout_embedding = config.dropout_embedding
        self.embedding = None if config.input == "one-hot" else nn.Embedding(symbols.size, config.embed_width)
        self.embeddings_before = nn.ModuleList(  # type: ignore[assignment]
            nn.Embedding(symbols.size, config.embed_width) for _ in range(self.stem - 1)
        )

    def forward(self, ids_BT: Tensor, before_BL: Tensor | None) -> tuple[InputVectors, Tensor | None]:
        """Vectors of the new tokens, after those of the window, and the ids to remember; None begins a text."""
        if self.lookback is None:
            return self._vectors(ids_BT), None
        if before_BL is None:
            before_BL = ids_BT.new_full((len(ids_BT), self.lookback), self.begin_id)
        ids = torch.cat([before_BL, ids_BT], dim=1)
        return self._vectors(ids), ids[:, ids.shape[1] - self.lookback :]

    def _vectors(self, ids: Tensor) -> InputVectors:
        dropping = self.training and self.dropout_embedding > 0
        if self.embedding is None:
            return InputVectors(ids)
        if self.stem == 1 and not dropping:
            return InputVectors(ids, self.embedding.weight)
        first = self.stem - 1
        own_ids = ids[:, first:]
        x = self.embedding(own_ids)
        for place, embedding in enumerate(self.embeddings_before, start=1):
            x = x + embedding(ids[:, first - place : ids.shape[1] - place])
        if dropping:
            x = drop_symbols(x, own_ids, self.symbols, self.dropout_embedding)
        return InputVectors(own_ids, None, x)

    @torch.no_grad()
    def initialize(self, deviation: float) -> None:
        """Draw the tables' rows from a normal distribution, by torch's global generator."""
        for embedding in (self.embedding, *self.embeddings_before):
            if embedding is not None:
                nn.init.normal_(embedding.weight, std=deviation)

    def restarted(self, before_BL: Tensor, restarts_B: Tensor) -> Tensor:
        """The remembered ids with `<s>` in some rows."""
        return before_BL.masked_fill(restarts_B.unsqueeze(1), self.begin_id)


def stem_of(config: ModelConfig) -> int:
    """How many tokens each input vector is made of."""
    return config.stem if "stem" in config.architecture.settings else 1


def input_parameters(config: ModelConfig, symbols: Symbols) -> int:
    """Trainable numbers of the tables."""
    return 0 if config.input == "one-hot" else stem_of(config) * symbols.size * config.embed_width


def input_width(config: ModelConfig, symbols: Symbols) -> int:
    """Numbers in an input vector."""
    return symbols.size if config.input == "one-hot" else config.embed_width
