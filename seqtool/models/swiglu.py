"""The gates of a swiglu (Shazeer 2020): y = SiLU(a) b, where x has all of a and then all of b.

Torch operations go through memory six times, forward and back, and keep x and SiLU(a); in C it is twice, and x is kept.
Tests hold scan.c to torch.

Shapes: I inner width; R tokens, all dimensions before it together.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqtool.models import scan


def swiglu(x: Tensor) -> Tensor:
    """(..., 2 I) to (..., I), by scan.c on a CPU where it was compiled, else in torch operations."""
    compiled = (
        x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16) and not torch.compiler.is_compiling()
    )
    if compiled and scan.scan_library() is not None:
        y: Tensor = _CompiledSwiglu.apply(x)
        return y
    return swiglu_reference(x)


def swiglu_reference(x: Tensor) -> Tensor:
    """The same in torch operations."""
    a, b = x.chunk(2, dim=-1)
    return F.silu(a) * b


class _CompiledSwiglu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        y = x.new_empty((*x.shape[:-1], x.shape[-1] // 2))
        scan.call("seqtool_gate", _rows(y), 0.0, 0, {"x": x, "y": y})
        ctx.save_for_backward(x)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        dy, dx = dy.to(x.dtype).contiguous(), torch.empty_like(x)
        scan.call("seqtool_gate_backward", _rows(dy), 0.0, 0, {"x": x, "dy": dy, "dx": dx})
        return dx


def _rows(y: Tensor) -> Tensor:
    """As R rows of one token, (R, 1, I)."""
    return y.reshape(y.shape[:-1].numel(), 1, y.shape[-1])
