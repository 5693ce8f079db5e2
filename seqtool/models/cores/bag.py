"""bag: the vectors of tokens and of the n-grams that end at them; pooled by their mean, the model of fastText.

Joulin et al. 2016, section 2. Shapes: B batch, T time, E width of the vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqtool.models.cores.core import Core, CoreSize
from seqtool.models.dropout import Dropout
from seqtool.models.inputs import InputVectors
from seqtool.models.ngrams import ngram_table, scaled, with_ngrams
from seqtool.models.state import State
from seqtool.settings.model import ModelConfig


class Bag(Core):
    """Features (B, T, E): the sum of each token's own vector and those of the n-grams that end there, scaled."""

    def __init__(self, config: ModelConfig, input_width: int) -> None:
        super().__init__()
        self.ngrams = config.ngrams
        self.table = ngram_table(config.ngrams, config.buckets, input_width)
        self.input_dropout = Dropout(config.dropout_at("input"), config.variational)

    def forward(self, x: InputVectors, state: State | None) -> tuple[Tensor, State]:
        """Features of each token; of n-grams only where the tokens are symbols."""
        y_BTE = x.dense()
        if x.ids_BT is not None:
            y_BTE = with_ngrams(y_BTE, self.table, x.ids_BT, self.ngrams)
        if x.lengths_B is not None:
            y_BTE = scaled(y_BTE, x.lengths_B, self.ngrams)
        return self.input_dropout(y_BTE), ()

    @staticmethod
    def size(config: ModelConfig, input_width: int) -> CoreSize:
        """A table of n-grams, none of which is multiplied."""
        rows = config.buckets + 1 if config.ngrams > 1 else 0
        return CoreSize(parameters=rows * input_width, product_weights=0)

    @staticmethod
    def embedding_deviation(config: ModelConfig) -> float:
        """Small, as all that a mean is taken of."""
        return 1 / config.embed_width

    @torch.no_grad()
    def initialize(self, config: ModelConfig) -> None:
        """Zeros for n-grams: one that training did not see says nothing."""
        if self.table is not None:
            self.table.weight.zero_()
