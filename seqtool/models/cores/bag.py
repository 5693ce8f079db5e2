"""bag: the vectors of tokens and of the n-grams that end at them; pooled by their mean, the model of fastText.

Joulin et al. 2016, section 2. N-grams are no table of their own: each falls into one of a number of rows by a hash of
its tokens. Shapes: B batch, T time, N n-grams of a token, E width of the vectors.
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
NONE = 0  # the row that stands for an n-gram which would begin before the text: it is never added


class Bag(Core):
    """Features (B, T, E): the sum of each token's own vector and those of the n-grams that end there.

    They are scaled so that the mean of a sequence's is the sum of its vectors over the square root of how many there
    are. A mean of vectors that point anywhere is the shorter the more they are, and all that a long text says would
    count no more than a word.
    """

    def __init__(self, config: ModelConfig, input_width: int) -> None:
        super().__init__()
        self.ngrams, self.buckets = config.ngrams, config.buckets
        self.table = None
        if config.ngrams > 1:
            rows = torch.empty(config.buckets + 1, input_width)  # which begin as zeros
            self.table = nn.EmbeddingBag.from_pretrained(rows, freeze=False, mode="sum", padding_idx=NONE)
        self.input_dropout = Dropout(config.dropout_at("input"), config.variational)

    def forward(self, x: InputVectors, state: State | None) -> tuple[Tensor, State]:
        """Features of each token; of n-grams only where the tokens are symbols."""
        y_BTE = x.dense()
        if self.table is not None and x.ids_BT is not None:
            rows_BTN = ngram_rows(x.ids_BT, self.ngrams, self.buckets)
            y_BTE = y_BTE + self.table(rows_BTN.flatten(0, 1)).view_as(y_BTE)
        if x.lengths_B is not None:
            y_BTE = y_BTE * (x.lengths_B.to(y_BTE.dtype) / self.ngrams).sqrt()[:, None, None]
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


def ngram_rows(ids_BT: Tensor, longest: int, buckets: int) -> Tensor:
    """The rows, 1 to `buckets`, of the 2-grams, 3-grams, … that end at each token, (B, T, longest - 1)."""
    batch, time = ids_BT.shape
    rows_BTN = ids_BT.new_full((batch, time, longest - 1), NONE, dtype=torch.long)
    hashed = ids_BT.long() % MODULUS
    for length in range(2, min(longest, time) + 1):
        hashed = (hashed[:, :-1] * MULTIPLIER + ids_BT[:, length - 1 :] + 1) % MODULUS
        rows_BTN[:, length - 1 :, length - 2] = hashed % buckets + 1
    return rows_BTN
