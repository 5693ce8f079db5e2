"""bag: the vectors of tokens and of the n-grams that end at them; pooled by their mean, the model of fastText.

Joulin et al. 2016, section 2. N-grams are no table of their own: each falls into one of a number of rows by a hash of
its tokens. Shapes: B batch, T time, E width of the vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqtool.models.cores.core import Core, CoreSize
from seqtool.models.dropout import Dropout
from seqtool.models.inputs import InputVectors
from seqtool.models.state import State
from seqtool.settings.model import ModelConfig

MULTIPLIER = 116_049_371  # odd, as fastText's: n-grams of one token more
MODULUS = (1 << 31) - 1  # a prime, so that all of a product's bits count


class Bag(Core):
    """Features (B, T, E): each token's own vector and those of the n-grams that end there, as a mean of n numbers."""

    def __init__(self, config: ModelConfig, input_width: int) -> None:
        super().__init__()
        self.ngrams, self.buckets = config.ngrams, config.buckets
        self.table = nn.Embedding(config.buckets, input_width) if config.ngrams > 1 else None
        self.input_dropout = Dropout(config.dropout_at("input"), config.variational)

    def forward(self, x: InputVectors, state: State | None) -> tuple[Tensor, State]:
        """Features of each token; of n-grams only where the tokens are symbols."""
        y_BTE = x.dense()
        if self.table is not None and x.ids_BT is not None:
            for ids_BT in ngram_rows(x.ids_BT, self.ngrams, self.buckets):
                before = y_BTE.shape[1] - ids_BT.shape[1]
                y_BTE = y_BTE + nn.functional.pad(self.table(ids_BT), (0, 0, before, 0))
        return self.input_dropout(y_BTE), ()

    @staticmethod
    def size(config: ModelConfig, input_width: int) -> CoreSize:
        """A table of n-grams, none of which is multiplied."""
        return CoreSize(parameters=config.buckets * input_width if config.ngrams > 1 else 0, product_weights=0)

    @staticmethod
    def embedding_deviation(config: ModelConfig) -> float:
        """Small, as all that a mean is taken of."""
        return 1 / config.embed_width

    @torch.no_grad()
    def initialize(self, config: ModelConfig) -> None:
        """Zeros for n-grams: one that training did not see says nothing."""
        if self.table is not None:
            self.table.weight.zero_()


def ngram_rows(ids_BT: Tensor, longest: int, buckets: int) -> list[Tensor]:
    """The rows of the 2-grams, 3-grams, … of each sequence: tensors (B, T - 1), (B, T - 2), …."""
    rows, hashed = [], ids_BT.long() % MODULUS
    for length in range(2, min(longest, ids_BT.shape[1]) + 1):
        hashed = (hashed[:, :-1] * MULTIPLIER + ids_BT[:, length - 1 :] + 1) % MODULUS
        rows.append(hashed % buckets)
    return rows
