"""Vectors of the n-grams of a sequence's tokens, by hashing: what a bag is made of, and what can stand beside a net.

N-grams are no table of their own: each falls into one of a number of rows by a hash of its tokens (Joulin et al. 2016,
section 2). Shapes: B batch, T time, N n-grams of a token, E width of the vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqtool.models import pooling

MULTIPLIER = 116_049_371  # odd, as fastText's: n-grams of one token more
MODULUS = (1 << 31) - 1  # a prime, so that all of a product's bits count
NONE = 0  # the row that stands for an n-gram which would begin before the text: it is never added
WIDTH = 16  # of the vectors beside a net: what suits a bag


def ngram_rows(ids_BT: Tensor, longest: int, buckets: int) -> Tensor:
    """The rows, 1 to `buckets`, of the 2-grams, 3-grams, … that end at each token, (B, T, longest - 1)."""
    batch, time = ids_BT.shape
    rows_BTN = ids_BT.new_full((batch, time, longest - 1), NONE, dtype=torch.long)
    hashed = ids_BT.long() % MODULUS
    for length in range(2, min(longest, time) + 1):
        hashed = (hashed[:, :-1] * MULTIPLIER + ids_BT[:, length - 1 :] + 1) % MODULUS
        rows_BTN[:, length - 1 :, length - 2] = hashed % buckets + 1
    return rows_BTN


def ngram_table(longest: int, buckets: int, width: int) -> nn.EmbeddingBag | None:
    """The rows of n-grams, yet to be set; None where single tokens are the longest."""
    if longest == 1:
        return None
    rows = torch.empty(buckets + 1, width)
    return nn.EmbeddingBag.from_pretrained(rows, freeze=False, mode="sum", padding_idx=NONE)


def with_ngrams(own_BTE: Tensor, table: nn.EmbeddingBag | None, ids_BT: Tensor, longest: int) -> Tensor:
    """The sum of each token's own vector and those of the n-grams that end there, (B, T, E)."""
    if table is None:
        return own_BTE
    rows_BTN = ngram_rows(ids_BT, longest, table.num_embeddings - 1)
    return own_BTE + table(rows_BTN.flatten(0, 1)).view_as(own_BTE)


def scaled(sums_BTE: Tensor, lengths_B: Tensor, longest: int) -> Tensor:
    """The same, so that the mean of a sequence's is the sum of its vectors over the square root of how many there are.

    A mean of vectors that point anywhere is the shorter the more they are, and all that a long text says would count no
    more than a word.
    """
    return sums_BTE * (lengths_B.to(sums_BTE.dtype) / longest).sqrt()[:, None, None]


class WideNgrams(nn.Module):
    """Features of a whole sequence from its tokens and n-grams alone, to stand beside a net's before the output layer.

    A linear layer on both adds what each says: wide and deep learning (Cheng et al. 2016, section 3).
    """

    def __init__(self, symbols: int, longest: int, buckets: int) -> None:
        super().__init__()
        self.longest = longest
        self.tokens = nn.Embedding.from_pretrained(torch.empty(symbols, WIDTH), freeze=False)
        self.table = ngram_table(longest, buckets, WIDTH)

    def forward(self, ids_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Ids (B, T), of which the first `lengths` count, to (B, E)."""
        sums_BTE = with_ngrams(self.tokens(ids_BT), self.table, ids_BT, self.longest)
        return pooling.mean(scaled(sums_BTE, lengths_B, self.longest), lengths_B)

    @torch.no_grad()
    def initialize(self) -> None:
        """Small vectors of tokens, as all that a mean is taken of; zeros of n-grams: unseen ones say nothing."""
        nn.init.normal_(self.tokens.weight, std=1 / WIDTH)
        if self.table is not None:
            self.table.weight.zero_()
