"""Dropout: of single numbers, of whole symbols, of weights; with one mask a sequence (variational) or one a token.

Each leaves out with probability `rate` and divides what stays by 1 - rate; nothing changes outside training.
Shapes: B batch, T time, E features, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout of features (B, T, E) (Srivastava et al. 2014, section 4).

    `variational`: one mask (B, 1, E) for all tokens of a sequence (Gal & Ghahramani 2016, section 4.1), so that what
    a recurrent layer reads is not garbled anew at each step.
    """

    def __init__(self, rate: float, variational: bool) -> None:
        super().__init__()
        self.rate, self.variational = rate, variational

    def forward(self, x_BTE: Tensor) -> Tensor:
        """The same, with zeros in training."""
        if not self.training or not self.rate:
            return x_BTE
        if not self.variational:
            return F.dropout(x_BTE, self.rate)
        return x_BTE * F.dropout(torch.ones_like(x_BTE[:, :1]), self.rate)


def drop_symbols(x_BTE: Tensor, ids_BT: Tensor, symbols: int, rate: float) -> Tensor:
    """Embedded tokens without those of some symbols, wherever in the batch they stand (Gal & Ghahramani 2016, 4.2)."""
    kept_V = F.dropout(torch.ones(symbols, device=x_BTE.device, dtype=x_BTE.dtype), rate)
    return x_BTE * kept_V[ids_BT].unsqueeze(-1)
