"""Products with a matrix that is kept in fewer bits than it is multiplied in, by step.c for a few vectors."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from seqtool.models.decoding import compiled_step


class Product:
    """The product with a matrix (out, in) whose numbers are kept in this precision; all arithmetic is in fp32.

    So a row's result is the same whatever the number of rows, but for the last bits. int8: each row is scaled so that
    its largest number is 127 (symmetric, one scale a row).
    """

    def __init__(self, weight: Tensor, precision: str) -> None:
        weight = weight.detach()
        self.weights, self.scales = weight.contiguous(), None
        if precision == "bf16":
            self.weights = weight.bfloat16().contiguous()
        elif precision == "int8":
            self.scales = (weight.abs().amax(dim=1) / 127).clamp_min(1e-12)
            self.weights = (weight / self.scales.unsqueeze(1)).round().to(torch.int8).contiguous()
        self._native = compiled_step.step_library() if weight.device.type == "cpu" else None
        self.matrix = compiled_step.matrix(self.weights, self.scales)
        self._threads = compiled_step.threads_for(self.bytes)

    @functools.cached_property
    def _wide(self) -> Tensor:
        """The same numbers in fp32."""
        wide = self.weights.float()
        return wide if self.scales is None else wide * self.scales.unsqueeze(1)

    @property
    def bytes(self) -> int:
        """Of the weights."""
        return self.weights.numel() * self.weights.element_size()

    def __call__(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """x W^T + plus."""
        if self._native is not None and len(x) <= compiled_step.MOST_ROWS:
            return compiled_step.product(self._native, self.matrix, x, plus, self._threads)
        # (W x^T)^T, which torch's library does in two thirds of the time of x W^T where x has tens of rows.
        if plus is None:
            return torch.mm(self._wide, x.t()).t().contiguous()
        return torch.addmm(plus.t() if plus.dim() == 2 else plus.unsqueeze(1), self._wide, x.t()).t().contiguous()
