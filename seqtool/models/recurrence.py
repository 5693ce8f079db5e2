"""recurrence.c, called on tensors: a recurrent layer over all time steps, with its gradients.

It is compiled when seqtool is installed, where there is a C compiler. `recurrence_library()` is None where it was not,
and torch's own kernels then do the same.

Shapes: B batch, T time, H hidden, G gates' width (H, 3H or 4H), N rows of a table.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqtool.native import loading
from seqtool.native.loading import Count, Pointer

KINDS = {"rnn": 0, "gru": 1, "lstm": 2}
POINTERS = (
    "x", "ids", "W_hh", "b_hh", "h_before", "c_before", "y", "h_after", "c_after", "kept", "scratch",
    "dy", "dh_after", "dc_after", "dhidden", "dx", "dtable", "dh_before", "dc_before",
)  # fmt: skip


class Layer(ctypes.Structure):
    """A layer's sizes, what it is given, and where its results go."""

    _fields_ = [
        *((name, Count) for name in ("kind", "relu", "rows", "time", "hidden", "threads", "x_is_bf16")),
        *((name, Pointer) for name in POINTERS),
    ]


def recurrence_library() -> ctypes.CDLL | None:
    """The compiled recurrence.c; None where there is none."""
    return loading.part("recurrence")


@functools.cache
def multiplies(dtype: torch.dtype) -> bool:
    """Whether the compiled layer takes products in that arithmetic on this processor, and is the fastest that does.

    Where the processor has matrix tiles (AMX), torch's kernels, which use them, are.
    """
    compiled_one = recurrence_library()
    if compiled_one is None:
        return False
    if dtype == torch.bfloat16:
        return bool(compiled_one.seqtool_recurrence_has_bf16()) and not torch.cpu._is_amx_tile_supported()
    return dtype == torch.float32


@functools.cache
def onednn_multiplies(dtype: torch.dtype) -> bool:
    """Whether the lstm of oneDNN, which torch calls on a CPU, takes products in that arithmetic on this processor.

    Found by trying: it depends on the processor, on oneDNN's version and on ONEDNN_MAX_CPU_ISA, and nothing tells. With
    a gradient, for there are processors on which it takes fp16 only without.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x_BTE, state_1BH = torch.zeros(1, 1, 1), torch.zeros(1, 1, 1)
        weights = [torch.zeros(*shape, requires_grad=True) for shape in ((4, 1), (4, 1), (4,), (4,))]
        try:
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                y_BTH, *_ = torch.lstm(x_BTE, (state_1BH, state_1BH), weights, True, 1, 0.0, True, False, True)
                y_BTH.float().sum().backward()
        except RuntimeError:
            return False
    return True


@contextmanager
def torch_kernels(device: torch.device) -> Iterator[None]:
    """Where oneDNN's lstm does not take the products of autocast, torch's own lstm runs while the block does."""
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
    if device.type != "cpu" or onednn_multiplies(dtype):
        yield
        return
    before = torch.backends.mkldnn.set_flags(_enabled=False, _fp32_precision=None)
    try:
        yield
    finally:
        torch.backends.mkldnn.set_flags(_enabled=before[0], _fp32_precision=None)


def run(
    kind: str,
    relu: bool,
    x: Tensor,
    ids_BT: Tensor | None,
    W_hh: Tensor,
    b_hh: Tensor | None,
    state: tuple[Tensor, ...],
    dtype: torch.dtype,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Outputs (B, T, H) in `dtype` and the state, (B, H) each in fp32, after the last step.

    `x` is the input's share of the gates, biases included but for a gru's `b_hh`: (B, T, G), or with `ids_BT` a table
    (N, G) of which each token has a row. ValueError for shapes that do not go together, IndexError for an id beyond N,
    SeqtoolError for bf16 on a processor without its instructions.
    """
    (rows, time), hidden = (x if ids_BT is None else ids_BT).shape[:2], W_hh.shape[1]
    if x.shape[-1] != len(W_hh) or any(part.shape != (rows, hidden) for part in state):
        raise ValueError(f"the gates' or the state's shape is not that of {rows} rows and {hidden} units")
    if not time:
        return x.new_empty((rows, 0, hidden), dtype=dtype), state
    if ids_BT is not None and ids_BT.numel() and not 0 <= int(ids_BT.min()) <= int(ids_BT.max()) < len(x):
        raise IndexError(f"an id is not one of the {len(x)} symbols")
    learning = torch.is_grad_enabled()
    y_BTH, *after = _Recurrence.apply(
        learning, kind, relu, x, ids_BT, W_hh, b_hh, dtype, *(part.float() for part in state)
    )
    return y_BTH, tuple(after[: len(state)])


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        learning: bool,
        kind: str,
        relu: bool,
        x: Tensor,
        ids_BT: Tensor | None,
        W_hh: Tensor,
        b_hh: Tensor | None,
        dtype: torch.dtype,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        (B, T), H = (x if ids_BT is None else ids_BT).shape[:2], W_hh.shape[1]
        compiled_one, bf16 = _compiled(), int(dtype == torch.bfloat16)
        x = x.contiguous()
        if x.dtype not in (torch.float32, torch.bfloat16):
            x = x.float()
        given = {
            "x": x,
            "ids": None if ids_BT is None else ids_BT.long().contiguous(),
            "W_hh": W_hh.float().contiguous(),
            "b_hh": None if b_hh is None else b_hh.float().contiguous(),
            "h_before": state[0].contiguous(),
            "c_before": state[1].contiguous() if kind == "lstm" else None,
        }
        y_BTH = x.new_empty((B, T, H), dtype=dtype)
        after = [torch.empty_like(part, memory_format=torch.contiguous_format) for part in state]
        layer = _layer(kind, relu, x, B, T, H)
        kept = None
        if learning and any(ctx.needs_input_grad):
            at = ctypes.addressof(layer)
            kept = torch.empty(compiled_one.seqtool_recurrence_kept(at, bf16), dtype=torch.uint8)
        _call(
            layer,
            "forward",
            bf16,
            **given,
            y=y_BTH,
            h_after=after[0],
            c_after=after[1] if kind == "lstm" else None,
            kept=kept,
        )
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given.values(), y_BTH, kept)
        ctx.layer = (kind, relu, bf16, [B, T, H])
        return (y_BTH, *after)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BTH: Tensor | None, *dafter: Tensor | None) -> tuple[Tensor | None, ...]:
        x, ids_BT, W_hh, b_hh, h_before, c_before, y_BTH, kept = ctx.saved_tensors
        kind, relu, bf16, (B, T, H) = ctx.layer
        G = len(W_hh)
        dhidden_BTG = y_BTH.new_empty((B, T, G))
        dx = dtable = None
        if ids_BT is not None:
            dtable = torch.zeros_like(x, dtype=torch.float32)
        elif kind == "gru":
            dx = torch.empty_like(dhidden_BTG)
        wanted = any(ctx.needs_input_grad[8:])
        dbefore = [torch.empty((B, H)) if wanted else None for _ in range(2 if kind == "lstm" else 1)]
        layer = _layer(kind, relu, x, B, T, H)
        _call(
            layer,
            "backward",
            bf16,
            x=x,
            ids=ids_BT,
            W_hh=W_hh,
            b_hh=b_hh,
            c_before=c_before,
            kept=kept,
            dy=None if dy_BTH is None else dy_BTH.to(y_BTH.dtype).contiguous(),
            dh_after=None if dafter[0] is None else dafter[0].float().contiguous(),
            dc_after=None if kind != "lstm" or dafter[1] is None else dafter[1].float().contiguous(),
            dhidden=dhidden_BTG,
            dx=dx,
            dtable=dtable,
            dh_before=dbefore[0],
            dc_before=dbefore[1] if kind == "lstm" else None,
        )
        # d loss / d W_hh is the sum over all tokens of (gradient of the gates) h_{t-1}^T: one product.
        h_before_BTH = torch.cat([h_before.to(y_BTH.dtype).unsqueeze(1), y_BTH[:, :-1]], dim=1)
        dW_hh = (
            (dhidden_BTG.flatten(0, 1).t() @ h_before_BTH.flatten(0, 1)).float() if ctx.needs_input_grad[5] else None
        )
        db_hh = None if b_hh is None else dhidden_BTG.sum((0, 1), dtype=torch.float32)
        dgiven = dtable if dtable is not None else dhidden_BTG if dx is None else dx
        return (None, None, None, dgiven.to(x.dtype), None, dW_hh, db_hh, None, *dbefore)


def _compiled() -> ctypes.CDLL:
    """The library, where it is known to be there."""
    found = recurrence_library()
    assert found is not None
    return found


def _layer(kind: str, relu: bool, x: Tensor, rows: int, time: int, hidden: int) -> Layer:
    """A layer's sizes; `_call` says where its numbers are."""
    bf16, threads = x.dtype == torch.bfloat16, torch.get_num_threads()
    return Layer(kind=KINDS[kind], relu=relu, rows=rows, time=time, hidden=hidden, threads=threads, x_is_bf16=bf16)


def _call(layer: Layer, name: str, bf16: int, **tensors: Tensor | None) -> None:
    """Run a pass on these tensors, which stay alive until it is done."""
    compiled_one = _compiled()
    tensors["scratch"] = torch.empty(
        compiled_one.seqtool_recurrence_scratch(ctypes.addressof(layer)), dtype=torch.uint8
    )
    for field, tensor in tensors.items():
        setattr(layer, field, None if tensor is None else tensor.data_ptr())
    getattr(compiled_one, f"seqtool_recurrence_{name}")(ctypes.addressof(layer), bf16)
