"""The recurrence of mingru over all time steps: written out, by doubling passes, and compiled.

h_t = h_{t-1} + g_t (c_t - h_{t-1}) with g_t = most * sigmoid(x_t + bias): for most = 1 the minimal GRU (Feng et al.
2024, section 3.1, in linear space), whose state is kept by a factor between 0 and 1; for most = 2 a factor between -1
and 1, which can count parity (Grazzi et al. 2024). Neither the gates g nor the candidates c depend on h, so that time
is no chain of products: doubling passes take log2 T operations (Hillis & Steele 1986), and scan.c takes all steps in
registers. Tests hold each to the written-out one.

Shapes: B batch, T time, H hidden.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqtool.native import loading
from seqtool.native.loading import Count, Pointer, Real

POINTERS = ("x", "bias", "weight", "before", "y", "after", "dy", "dafter", "dx", "dweight", "dbefore")


class Pass(ctypes.Structure):
    """A pass of scan.c: its sizes, what it is given, and where its results go."""

    _fields_ = [
        *((name, Count) for name in ("rows", "time", "width", "taps", "threads", "is_bf16")),
        ("most", Real),
        *((name, Pointer) for name in POINTERS),
    ]


def scan_library() -> ctypes.CDLL | None:
    """The compiled scan.c; None where there is none."""
    return loading.part("scan")


def wide(x: Tensor) -> Tensor:
    """The same numbers in fp32, or in fp64 where they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def gated_scan(x_BT2H: Tensor, bias_H: Tensor, h_BH: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """Outputs (B, T, H) in x's dtype, and the state (B, H) in fp32; x has the gates' sums, then the candidates.

    By scan.c on a CPU where it was compiled, else by doubling passes.
    """
    if x_BT2H.device.type == "cpu" and x_BT2H.dtype in (torch.float32, torch.bfloat16) and scan_library() is not None:
        y_BTH, after_BH = _CompiledScan.apply(x_BT2H, bias_H.float(), h_BH.float(), most)
        return y_BTH, after_BH
    return gated_scan_by_doubling(x_BT2H, bias_H, h_BH, most)


def gated_scan_reference(x_BT2H: Tensor, bias_H: Tensor, h_BH: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """The same a step at a time, as the equation says."""
    outputs = []
    for x_B2H in x_BT2H.unbind(1):
        h_BH = gated_step(x_B2H, bias_H, h_BH, most)
        outputs.append(h_BH.to(x_BT2H.dtype))
    return torch.stack(outputs, 1), h_BH


def gated_step(x_B2H: Tensor, bias_H: Tensor, h_BH: Tensor, most: float) -> Tensor:
    """The state (B, H) after one step."""
    sums_BH, candidates_BH = wide(x_B2H).chunk(2, dim=-1)
    return torch.lerp(h_BH, candidates_BH, most * torch.sigmoid(sums_BH + bias_H))


def gated_scan_by_doubling(x_BT2H: Tensor, bias_H: Tensor, h_BH: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """The same in log2 T passes over all tokens."""
    sums_BTH, candidates_BTH = wide(x_BT2H).chunk(2, dim=-1)
    gates_BTH = most * torch.sigmoid(sums_BTH + bias_H)
    added_BTH = gates_BTH * candidates_BTH
    y_BTH = linear_scan(1 - gates_BTH, added_BTH, wide(h_BH))
    return y_BTH.to(x_BT2H.dtype), y_BTH[:, -1]


def linear_scan(a_BTH: Tensor, b_BTH: Tensor, h_BH: Tensor) -> Tensor:
    """h_t = a_t h_{t-1} + b_t for all t, (B, T, H), from the h before the first, by doubling passes; fp32 or fp64."""
    y_BTH: Tensor = _LinearScan.apply(a_BTH, b_BTH, h_BH)
    return y_BTH


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a_BTH: Tensor, b_BTH: Tensor, h_BH: Tensor) -> Tensor:
        y_BTH = _doubled(a_BTH, torch.cat([b_BTH[:, :1] + (a_BTH[:, 0] * h_BH).unsqueeze(1), b_BTH[:, 1:]], 1))
        ctx.save_for_backward(a_BTH, h_BH, y_BTH)
        return y_BTH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BTH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a_BTH, h_BH, y_BTH = ctx.saved_tensors
        # dh_t = dy_t + a_{t+1} dh_{t+1}: the same recurrence from the end.
        later_BTH = torch.cat([a_BTH[:, 1:], torch.zeros_like(a_BTH[:, :1])], 1)
        dh_BTH = _doubled(later_BTH.flip(1), dy_BTH.flip(1)).flip(1)
        return dh_BTH * torch.cat([h_BH.unsqueeze(1), y_BTH[:, :-1]], 1), dh_BTH, dh_BTH[:, 0] * a_BTH[:, 0]


def _doubled(a_BTH: Tensor, b_BTH: Tensor) -> Tensor:
    """h_t = a_t h_{t-1} + b_t from h = 0: after each pass a and b stand for the last 2^n steps together."""
    shift, time = 1, a_BTH.shape[1]
    while shift < time:
        b_BTH = torch.cat([b_BTH[:, :shift], b_BTH[:, shift:] + a_BTH[:, shift:] * b_BTH[:, :-shift]], 1)
        a_BTH = torch.cat([a_BTH[:, :shift], a_BTH[:, shift:] * a_BTH[:, :-shift]], 1)
        shift *= 2
    return b_BTH


class _CompiledScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BT2H: Tensor, bias_H: Tensor, h_BH: Tensor, most: float) -> tuple[Tensor, Tensor]:
        B, T, H = *x_BT2H.shape[:2], h_BH.shape[1]
        x_BT2H, bias_H, h_BH = x_BT2H.contiguous(), bias_H.contiguous(), h_BH.contiguous()
        y_BTH, after_BH = x_BT2H.new_empty((B, T, H)), torch.empty_like(h_BH)
        given = {"x": x_BT2H, "bias": bias_H, "before": h_BH, "y": y_BTH, "after": after_BH}
        call("seqtool_scan_forward", y_BTH, most, 0, given)
        ctx.save_for_backward(x_BT2H, bias_H, h_BH, y_BTH)
        ctx.most = most
        ctx.set_materialize_grads(False)
        return y_BTH, after_BH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BTH: Tensor | None, dafter_BH: Tensor | None) -> tuple[Tensor | None, ...]:
        x_BT2H, bias_H, h_BH, y_BTH = ctx.saved_tensors
        dx_BT2H, dh_BH = torch.empty_like(x_BT2H), torch.empty_like(h_BH)
        given = {"x": x_BT2H, "bias": bias_H, "before": h_BH, "y": y_BTH, "dx": dx_BT2H, "dbefore": dh_BH}
        given["dy"] = None if dy_BTH is None else dy_BTH.to(y_BTH.dtype).contiguous()
        given["dafter"] = None if dafter_BH is None else dafter_BH.float().contiguous()
        call("seqtool_scan_backward", y_BTH, ctx.most, 0, given)
        dbias_H = dx_BT2H[..., : h_BH.shape[1]].sum((0, 1), dtype=torch.float32) if ctx.needs_input_grad[1] else None
        return dx_BT2H, dbias_H, dh_BH, None


def call(name: str, like_BTH: Tensor, most: float, taps: int, tensors: Mapping[str, Tensor | None]) -> None:
    """Run a pass of scan.c whose output is like this one, on contiguous tensors, which stay alive until it is done."""
    compiled = scan_library()
    assert compiled is not None
    (rows, time, width), bf16 = like_BTH.shape, like_BTH.dtype == torch.bfloat16
    sizes = {"rows": rows, "time": time, "width": width, "taps": taps, "threads": torch.get_num_threads()}
    given = Pass(**sizes, is_bf16=bf16, most=most)
    for field, tensor in tensors.items():
        setattr(given, field, None if tensor is None else tensor.data_ptr())
    getattr(compiled, name)(ctypes.addressof(given))
