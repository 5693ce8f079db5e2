"""Dropout: of single numbers, of whole symbols, of weights; with one mask a sequence (variational) or one a token.

Each leaves out with probability `rate` and divides what stays by 1 - rate; nothing changes outside training.
Shapes: B batch, T time, E features, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS = 1 << 16  # a rate is taken to the nearest of them


def kept(like: Tensor, shape: Sequence[int], rate: float) -> Tensor:
    """Of such a shape, type and device: 0 with probability `rate`, else 1 / (1 - rate).

    A processor draws 64 random bits for four numbers, where torch's own dropout takes four times as long to draw each.
    """
    if like.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(like.new_ones(shape), rate)
    count, left_out = math.prod(shape), min(round(rate * STEPS), STEPS - 1)
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)
    stays = bits.view(torch.int16)[:count].view(tuple(shape)) >= left_out - STEPS // 2
    return stays.to(like.dtype).mul_(STEPS / (STEPS - left_out))


def dropped(x: Tensor, rate: float, training: bool = True) -> Tensor:
    """x with each number left out with probability `rate`, if in training."""
    return x * kept(x, x.shape, rate) if training and rate else x


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
        if not self.variational or not self.training or not self.rate:
            return dropped(x_BTE, self.rate, self.training)
        return x_BTE * kept(x_BTE, x_BTE[:, :1].shape, self.rate)


def drop_symbols(x_BTE: Tensor, ids_BT: Tensor, symbols: int, rate: float) -> Tensor:
    """Embedded tokens without those of some symbols, wherever in the batch they stand (Gal & Ghahramani 2016, 4.2)."""
    kept_V = kept(x_BTE, (symbols,), rate)
    return x_BTE * kept_V[ids_BT].unsqueeze(-1)
