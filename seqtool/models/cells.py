"""Recurrent cells as the lecture writes them: one step of time, from h_{t-1} to h_t.

These are the reference, and what runs where no fused kernel exists (a sigmoid RNN, one-hot input). The input's share of
the gates, W_ih x_t + b_ih, does not depend on h and comes ready-made as `x_BG`; the hidden state's share,
W_hh h + b_hh, is given as a function of h. A test holds each cell to torch's kernel.

Shapes: B batch, T time, H hidden, G gates: H for rnn, 3H for gru (r, z, n), 4H for lstm (i, f, g, o).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

LayerState = tuple[Tensor, ...]
"""(h,) of an rnn or gru, (h, c) of an lstm; each (B, H)."""

HiddenShare = Callable[[Tensor], Tensor]
"""W_hh h + b_hh of h (B, H); (B, G)."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}


def rnn_cell(x_BG: Tensor, state: LayerState, hidden_share: HiddenShare, activation: str = "tanh") -> LayerState:
    """h_t = f(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), f a sigmoid, tanh or ReLU (Elman 1990)."""
    (h,) = state
    return (ACTIVATIONS[activation](x_BG + hidden_share(h)),)


def gru_cell(x_BG: Tensor, state: LayerState, hidden_share: HiddenShare) -> LayerState:
    """Gated recurrent unit (Cho et al. 2014, eq. 5-8, with the reset gate after the product as in torch and cuDNN).

    r = sigmoid(x_r + W_hr h), z = sigmoid(x_z + W_hz h), n = tanh(x_n + r * (W_hn h)), h_t = (1 - z) * n + z * h.
    """
    (h,) = state
    x_r, x_z, x_n = x_BG.chunk(3, dim=-1)
    h_r, h_z, h_n = hidden_share(h).chunk(3, dim=-1)
    r = torch.sigmoid(x_r + h_r)
    z = torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + r * h_n)
    return ((1 - z) * n + z * h,)


def lstm_cell(x_BG: Tensor, state: LayerState, hidden_share: HiddenShare) -> LayerState:
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate of Gers et al. 2000).

    i, f, o = sigmoid(x + W_h h) each, g = tanh(x_g + W_hg h), c_t = f * c + i * g, h_t = o * tanh(c_t).
    """
    h, c = state
    i, f, g, o = (x_BG + hidden_share(h)).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    return h, c


GATE_NAMES = {"gru": ("reset", "update"), "lstm": ("input", "forget", "output")}
"""The gates of a cell, by kind; an rnn has none."""


def gate_values(kind: str, x_BTG: Tensor, h_BTH: Tensor, W_hh: Tensor, b_hh: Tensor) -> dict[str, Tensor]:
    """The gates of a cell in each step, (B, T, H) by name, where h is what was carried on from the step before."""
    if kind not in GATE_NAMES:
        return {}
    sums = (x_BTG + F.linear(h_BTH, W_hh, b_hh)).chunk(len(GATE_NAMES[kind]) + 1, dim=-1)
    if kind == "lstm":
        i, f, _, o = sums
        sums = (i, f, o)
    return {name: torch.sigmoid(one) for name, one in zip(GATE_NAMES[kind], sums, strict=False)}


STATES = {"rnn": 1, "gru": 1, "lstm": 2}


def run_cell_once(
    kind: str, x_BG: Tensor, state: LayerState, hidden_share: HiddenShare, activation: str = "tanh"
) -> LayerState:
    """The state after one step of the cell of that kind."""
    if kind == "lstm":
        return lstm_cell(x_BG, state, hidden_share)
    if kind == "gru":
        return gru_cell(x_BG, state, hidden_share)
    return rnn_cell(x_BG, state, hidden_share, activation)


def run_cell(
    kind: str, x_BTG: Tensor, state: LayerState, W_hh: Tensor, b_hh: Tensor, activation: str = "tanh"
) -> tuple[Tensor, LayerState]:
    """Unroll a cell over time with the same weights at every step; outputs (B, T, H) and the last state."""
    outputs = []
    for x_BG in x_BTG.unbind(dim=1):
        state = run_cell_once(kind, x_BG, state, lambda h: F.linear(h, W_hh, b_hh), activation)
        outputs.append(state[0])
    return torch.stack(outputs, dim=1), state
