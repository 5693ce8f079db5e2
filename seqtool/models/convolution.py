"""The short causal convolution of gdn: each number of a layer sees its own last few values, and goes through SiLU.

y_t = SiLU(sum over k of w_k x_{t - K + 1 + k}). It lets keys be about the token before. Tests hold scan.c to torch.

Shapes: B batch, T time, H numbers of the layer, K taps.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqtool.models import scan

MOST_TAPS = 16  # scan.c says the same


def short_convolution(x_BTH: Tensor, before_BKH: Tensor, weight_KH: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (B, T, H) in x's dtype and the K - 1 last inputs (B, K - 1, H) in fp32, from those before the first.

    By scan.c on a CPU where it was compiled, else in torch operations.
    """
    earlier, time = before_BKH.shape[1], x_BTH.shape[1]
    last_BKH = x_BTH[:, max(0, time - earlier) :].to(before_BKH.dtype)
    after_BKH = last_BKH if time >= earlier else torch.cat([before_BKH[:, time:], last_BKH], 1)
    compiled = x_BTH.device.type == "cpu" and x_BTH.dtype in (torch.float32, torch.bfloat16)
    if compiled and scan.scan_library() is not None:
        y_BTH: Tensor = _CompiledConvolution.apply(x_BTH, before_BKH.float(), weight_KH.float())
        return y_BTH, after_BKH
    return short_convolution_reference(x_BTH, before_BKH, weight_KH), after_BKH


def short_convolution_reference(x_BTH: Tensor, before_BKH: Tensor, weight_KH: Tensor) -> Tensor:
    """The outputs in torch operations."""
    time, seen = x_BTH.shape[1], torch.cat([scan.wide(before_BKH), scan.wide(x_BTH)], 1)
    sums_BTH = torch.stack([seen[:, k : k + time] * w_H for k, w_H in enumerate(weight_KH)]).sum(0)
    return F.silu(sums_BTH).to(x_BTH.dtype)


class _CompiledConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BTH: Tensor, before_BKH: Tensor, weight_KH: Tensor) -> Tensor:
        given = {"x": x_BTH.contiguous(), "before": before_BKH.contiguous(), "weight": weight_KH.contiguous()}
        y_BTH = torch.empty_like(given["x"])
        scan.call("seqtool_convolve", y_BTH, 0.0, len(weight_KH), {**given, "y": y_BTH})
        ctx.save_for_backward(*given.values())
        return y_BTH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BTH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        given = dict(zip(("x", "before", "weight"), ctx.saved_tensors, strict=True))
        found = {f"d{name}": torch.empty_like(tensor) for name, tensor in given.items()}
        dy_BTH = dy_BTH.to(given["x"].dtype).contiguous()
        scan.call("seqtool_convolve_backward", dy_BTH, 0.0, len(given["weight"]), {**given, **found, "dy": dy_BTH})
        return found["dx"], found["dbefore"], found["dweight"]
