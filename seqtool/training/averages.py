"""Averages of weights over the steps: steadier than the last; where there is one, it is validated and kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def ema_share(decay: float, count: int) -> float:
    """How much the newest of `count` weights counts in an exponential average: less and less, 1 - decay in the end."""
    return 1.0 - min(decay, count / (count + 10.0))


def mean_share(count: int) -> float:
    """How much the newest of `count` weights counts in their mean (Polyak & Juditsky 1992, eq. 3)."""
    return 1.0 / count


class Average:
    """A running average of parameters, beside them."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._parameters = parameters
        self.tensors: list[Tensor] = [parameter.detach().clone() for parameter in parameters]

    @torch.no_grad()
    def add(self, share: float) -> None:
        """Take the present weights in: average += share (weights - average)."""
        torch._foreach_lerp_(self.tensors, [parameter.detach() for parameter in self._parameters], share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the average for its weights while the block runs."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, tensor in zip(self._parameters, self.tensors, strict=True):
            held = parameter.detach().clone()
            parameter.copy_(tensor)
            tensor.copy_(held)
