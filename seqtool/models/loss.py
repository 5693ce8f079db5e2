"""The one definition of the loss: a sum in nats and a count of tokens. Sum, then divide.

Shapes: B batch, T time, V vocabulary, N tokens, S symbols, H features.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqtool.native import loading

IGNORE = -1
"""A target that is not scored: padding, and what follows the end of a document."""

MOST_LOGITS = 1 << 24  # numbers that are held at a time


def token_nats(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """-log p(target), in nats and float32, of each target; 0 where it is IGNORE. Cross-entropy of softmax(logits)."""
    nats = F.cross_entropy(
        logits_BTV.float().flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORE, reduction="none"
    )
    return nats.view_as(targets_BT)


def total_nats(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """The sum of `token_nats`, a scalar tensor."""
    return F.cross_entropy(logits_BTV.float().flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORE, reduction="sum")


def output_nats(features_BTH: Tensor, W_SH: Tensor, b_S: Tensor | None, targets_BT: Tensor) -> Tensor:
    """`total_nats` of the output layer's logits, features W^T + b, or without b.

    On a CPU with softmax.c the gradient is taken while the logits are at hand, so that they are not kept, and written
    where they were.
    """
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else features_BTH.dtype
    at_once = (
        features_BTH.device.type == "cpu"
        and dtype in (torch.float32, torch.bfloat16)
        and W_SH.dtype == torch.float32
        and not torch.compiler.is_compiling()
        and softmax_library() is not None
    )
    if not at_once:
        return total_nats(F.linear(features_BTH, W_SH, b_S), targets_BT)
    nats: Tensor = _OutputNats.apply(features_BTH.flatten(0, 1), W_SH, b_S, targets_BT.flatten(), dtype)
    return nats


def softmax_library() -> ctypes.CDLL | None:
    """The compiled softmax.c; None where there is none."""
    return loading.part("softmax")


class _OutputNats(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_NH: Tensor, W_SH: Tensor, b_S: Tensor | None, targets_N: Tensor, dtype: torch.dtype
    ) -> Tensor:
        compiled_one, (S, N) = softmax_library(), (len(W_SH), len(targets_N))
        assert compiled_one is not None
        if N and int(targets_N.max()) >= S:
            raise IndexError("a target is not among the symbols")
        x, W = (given.detach().to(dtype) for given in (x_NH, W_SH))
        b = None if b_S is None else b_S.detach().to(dtype)
        targets_N = targets_N.long().contiguous()
        nats_N = torch.empty(N)
        dx_NH = torch.empty_like(x)
        dW_SH, db_S = torch.zeros_like(W, dtype=torch.float32), None if b is None else torch.zeros(S)
        tokens = max(1, MOST_LOGITS // S)
        for start in range(0, N, tokens):
            part = slice(start, min(N, start + tokens))
            logits = F.linear(x[part], W, b)  # (n, S), and from the call on their gradient
            compiled_one.seqtool_cross_entropy(
                logits.data_ptr(),
                targets_N[part].data_ptr(),
                nats_N[part].data_ptr(),
                len(logits),
                S,
                dtype == torch.bfloat16,
                torch.get_num_threads(),
            )
            torch.mm(logits, W, out=dx_NH[part])
            dW_SH += logits.t() @ x[part]
            if db_S is not None:
                db_S += logits.sum(0, dtype=torch.float32)
        ctx.save_for_backward(dx_NH, dW_SH, db_S)
        ctx.dtype = x_NH.dtype
        return nats_N.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dnats: Tensor) -> tuple[Tensor | None, ...]:
        dx_NH, dW_SH, db_S = ctx.saved_tensors
        db = None if db_S is None else db_S * dnats
        return (dx_NH * dnats).to(ctx.dtype), dW_SH * dnats, db, None, None
