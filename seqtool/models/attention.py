"""Self-attention and positions.

Shapes: B batch, H heads, T queries (new tokens), S keys (past and new tokens), D width of a head.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from seqtool.settings.model import ROPE_BASE


def causal_mask(queries: int, keys: int, device: torch.device) -> Tensor:
    """True where a query may look, (T, S): the queries are the last of the keys, and none sees a later one."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def attention_reference(Q_BHTD: Tensor, K_BHSD: Tensor, V_BHSD: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(D)) V with a causal mask (Vaswani et al. 2017, eq. 1); (B, H, T, D)."""
    return causal_weights(Q_BHTD, K_BHSD) @ V_BHSD


def causal_weights(Q_BHTD: Tensor, K_BHSD: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(D)) with a causal mask: the share of each key in what a query gathers, (B, H, T, S)."""
    scores_BHTS = Q_BHTD @ K_BHSD.transpose(-2, -1) / math.sqrt(Q_BHTD.shape[-1])
    visible_TS = causal_mask(Q_BHTD.shape[-2], K_BHSD.shape[-2], Q_BHTD.device)
    return scores_BHTS.masked_fill(~visible_TS, -math.inf).softmax(dim=-1)


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
    """softmax(Q K^T / sqrt(D)) V without a causal mask: every token sees the `lengths` first ones of its sequence.

    The queries may be of another sequence than the keys. In bf16 on a CPU by products, as in `attention`.
    """
    if Q_BHTD.dtype == torch.bfloat16 and Q_BHTD.device.type == "cpu" and K_BHTD.shape[-2] <= PLAIN_MOST_KEYS:
        scores_BHTS = (Q_BHTD * Q_BHTD.shape[-1] ** -0.5) @ K_BHTD.transpose(-2, -1)
        if lengths_B is not None:
            hidden_BS = torch.arange(K_BHTD.shape[-2], device=lengths_B.device) >= lengths_B[:, None]
            barred_BS = torch.zeros(hidden_BS.shape, dtype=Q_BHTD.dtype).masked_fill_(hidden_BS, -math.inf)
            scores_BHTS = scores_BHTS + barred_BS[:, None, None]
        return scores_BHTS.softmax(dim=-1, dtype=scores_BHTS.dtype) @ V_BHTD
    seen_B11T = None
    if lengths_B is not None:
        seen_B11T = (torch.arange(K_BHTD.shape[-2], device=lengths_B.device) < lengths_B[:, None])[:, None, None]
    return F.scaled_dot_product_attention(Q_BHTD, K_BHTD, V_BHTD, attn_mask=seen_B11T)


def angles(positions: int, width: int, base: float = ROPE_BASE) -> Tensor:
    """position * base^(-2i / width) for i = 0 .. width/2 - 1; (positions, width / 2)."""
    frequencies = torch.exp(torch.arange(0, width, 2) * (-math.log(base) / width))
    return torch.arange(positions).unsqueeze(1) * frequencies


def sinusoidal_positions(positions: int, width: int) -> Tensor:
    """Sines and cosines in turn (Vaswani et al. 2017, section 3.5); (positions, width)."""
    angle = angles(positions, width)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]


def rotary_positions(positions: int, width: int, base: float = ROPE_BASE) -> Tensor:
    """Cosines and sines of the rotations of `rotate`; (2, positions, width / 2)."""
    angle = angles(positions, width, base)
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x_BHTD: Tensor, rotation_2TD: Tensor) -> Tensor:
    """Turn each pair (x_i, x_{i + D/2}) by its position's angle (Su et al. 2021, eq. 34)."""
    cos, sin = rotation_2TD.to(x_BHTD.dtype)
    a, b = x_BHTD.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def attention_weights(Q_BHTD: Tensor, K_BHSD: Tensor, lengths_B: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(D)) over the `lengths` first keys of each sequence: where each query looks, (B, H, T, S)."""
    scores_BHTS = Q_BHTD.float() @ K_BHSD.float().transpose(-2, -1) / math.sqrt(Q_BHTD.shape[-1])
    return over_seen(scores_BHTS, lengths_B)


def over_seen(scores: Tensor, lengths_B: Tensor) -> Tensor:
    """The softmax of scores (B, ..., S) over the `lengths` first of the last dimension; the others have none."""
    seen_BS = torch.arange(scores.shape[-1], device=scores.device) < lengths_B[:, None]
    seen = seen_BS.view(len(seen_BS), *[1] * (scores.dim() - 2), -1)
    return scores.masked_fill(~seen, -math.inf).softmax(dim=-1)


def multiplicative_scores(queries_BTM: Tensor, keys_BSM: Tensor) -> Tensor:
    """q . k for each query and key, (B, T, S): "general" where the keys are W m (Luong et al. 2015, section 3.1)."""
    return queries_BTM @ keys_BSM.transpose(1, 2)


def additive_scores(queries_BTA: Tensor, keys_BSA: Tensor, v_A: Tensor) -> Tensor:
    """v . tanh(q + k) for each query W s and key U m, (B, T, S) (Bahdanau et al. 2015, appendix A.1.2)."""
    return torch.tanh(queries_BTA.unsqueeze(2) + keys_BSA.unsqueeze(1)) @ v_A
