"""From the features of a sequence to those of the whole: its last, their mean or maximum, or a learned mixture.

What fills up a batch behind a sequence's end never counts. Shapes: B batch, T time, H features.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


def counts(lengths_B: Tensor, time: int) -> Tensor:
    """True for what belongs to a sequence, (B, T, 1)."""
    return (torch.arange(time, device=lengths_B.device) < lengths_B[:, None]).unsqueeze(-1)


def last(features_BTH: Tensor, lengths_B: Tensor) -> Tensor:
    """The features of the last token."""
    return features_BTH[torch.arange(len(lengths_B), device=lengths_B.device), lengths_B - 1]


def mean(features_BTH: Tensor, lengths_B: Tensor) -> Tensor:
    """Their mean."""
    kept_BTH = features_BTH.masked_fill(~counts(lengths_B, features_BTH.shape[1]), 0.0)
    return kept_BTH.sum(1) / lengths_B[:, None].to(features_BTH.dtype)


def maximum(features_BTH: Tensor, lengths_B: Tensor) -> Tensor:
    """Their maximum, number by number."""
    return features_BTH.masked_fill(~counts(lengths_B, features_BTH.shape[1]), -math.inf).amax(1)


class Attention(nn.Module):
    """Their mean, weighed by softmax_t(q tanh(W h_t)): what a token is worth is learned.

    Yang et al. 2016, section 2.2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.query = nn.Linear(width, width), nn.Linear(width, 1, bias=False)

    def forward(self, features_BTH: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, T, H) to (B, H)."""
        scores_BT1 = self.query(torch.tanh(self.hidden(features_BTH)))
        weights_BT1 = scores_BT1.masked_fill(~counts(lengths_B, features_BTH.shape[1]), -math.inf).softmax(dim=1)
        # A product with 0 of what fills up would be NaN where that is infinite.
        return (features_BTH * weights_BT1).masked_fill(weights_BT1 == 0, 0.0).sum(1)


PLAIN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"last": last, "mean": mean, "max": maximum}
"""The ways of pooling that learn nothing; `attention` is a module."""
