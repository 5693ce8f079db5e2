"""Self-attention and positions.

Shapes: B batch, H heads, T queries (new tokens), S keys (past and new tokens), D width of a head.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def causal_mask(queries: int, keys: int, device: torch.device) -> Tensor:
    """True where a query may look, (T, S): the queries are the last of the keys, and none sees a later one."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def attention_reference(Q_BHTD: Tensor, K_BHSD: Tensor, V_BHSD: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(D)) V with a causal mask (Vaswani et al. 2017, eq. 1); (B, H, T, D)."""
    scores_BHTS = Q_BHTD @ K_BHSD.transpose(-2, -1) / math.sqrt(Q_BHTD.shape[-1])
    visible_TS = causal_mask(Q_BHTD.shape[-2], K_BHSD.shape[-2], Q_BHTD.device)
    weights_BHTS = scores_BHTS.masked_fill(~visible_TS, -math.inf).softmax(dim=-1)
    return weights_BHTS @ V_BHSD


PLAIN_MOST_KEYS = 1024  # beyond, scores take more memory than they save time


def attention(Q_BHTD: Tensor, K_BHSD: Tensor, V_BHSD: Tensor) -> Tensor:
    """The same by the fused kernel; in bf16 on a CPU by products, where torch's kernel takes twice as long or more."""
    queries, keys = Q_BHTD.shape[-2], K_BHSD.shape[-2]
    if queries == keys:
        if Q_BHTD.dtype == torch.bfloat16 and Q_BHTD.device.type == "cpu" and keys <= PLAIN_MOST_KEYS:
            scores_BHTS = (Q_BHTD * Q_BHTD.shape[-1] ** -0.5) @ K_BHSD.transpose(-2, -1)
            hidden_TS = scores_BHTS.new_full((queries, keys), -math.inf).triu(1)
            return (scores_BHTS + hidden_TS).softmax(dim=-1, dtype=scores_BHTS.dtype) @ V_BHSD
        return F.scaled_dot_product_attention(Q_BHTD, K_BHSD, V_BHSD, is_causal=True)
    mask = None if queries == 1 else causal_mask(queries, keys, Q_BHTD.device)
    return F.scaled_dot_product_attention(Q_BHTD, K_BHSD, V_BHSD, attn_mask=mask)


def attention_to_all(Q_BHTD: Tensor, K_BHTD: Tensor, V_BHTD: Tensor, lengths_B: Tensor | None) -> Tensor:
    """softmax(Q K^T / sqrt(D)) V without a causal mask: every token sees the `lengths` first ones of its sequence."""
    seen_B11T = None
    if lengths_B is not None:
        seen_B11T = (torch.arange(K_BHTD.shape[-2], device=lengths_B.device) < lengths_B[:, None])[:, None, None]
    return F.scaled_dot_product_attention(Q_BHTD, K_BHTD, V_BHTD, attn_mask=seen_B11T)


def angles(positions: int, width: int) -> Tensor:
    """position * 10000^(-2i / width) for i = 0 .. width/2 - 1; (positions, width / 2)."""
    frequencies = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    return torch.arange(positions).unsqueeze(1) * frequencies


def sinusoidal_positions(positions: int, width: int) -> Tensor:
    """Sines and cosines in turn (Vaswani et al. 2017, section 3.5); (positions, width)."""
    angle = angles(positions, width)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]


def rotary_positions(positions: int, width: int) -> Tensor:
    """Cosines and sines of the rotations of `rotate`; (2, positions, width / 2)."""
    angle = angles(positions, width)
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x_BHTD: Tensor, rotation_2TD: Tensor) -> Tensor:
    """Turn each pair (x_i, x_{i + D/2}) by its position's angle (Su et al. 2021, eq. 34)."""
    cos, sin = rotation_2TD.to(x_BHTD.dtype)
    a, b = x_BHTD.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
