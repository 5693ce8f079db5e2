"""What moves numbers between tokens in a block, with a state of constant size: mingru, gdn, attention to a window.

Each gives `y, state = mixer(x, state)` for any number of tokens, one included; a state of zeros begins a text.

Shapes: B batch, T time, C width of the model, H heads, D width of a head, K taps of a convolution, M mirrors, W tokens
of a window, P tokens of a block of queries, N such blocks.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.models.attention import rotary_positions, rotate
from seqtool.models.convolution import short_convolution
from seqtool.models.delta_rule import gated_delta_product
from seqtool.models.scan import gated_scan, wide
from seqtool.settings.model import ModelConfig

LONGEST_MEMORY = 1024  # tokens, at first; that of a number of mingru is log-uniform in 2 .. so many
HEAD_EPSILON = 1e-5  # of the norm of each head
FIRST_POSITIONS = 256  # that a table of rotations begins with


class MixerSize(NamedTuple):
    """How large a mixer is."""

    parameters: int
    product_weights: int
    token_flops: int = 0
    """Operations of training on a token, forward and backward, that are no products with weights."""
    pair_flops: int = 0
    """Such operations for each token of a window that it looks at."""


class Mixer(Protocol):
    """A module that moves numbers between tokens."""

    def __init__(self, config: ModelConfig) -> None: ...

    def __call__(self, x_BTC: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Its output (B, T, C) and the state after the last token."""

    def gate_values(self, x_BTC: Tensor) -> dict[str, Tensor]:
        """What decides how much is kept of a state, (B, T, N) by name; empty where nothing does."""

    @staticmethod
    def size(config: ModelConfig) -> MixerSize:
        """How large the mixer of these settings is."""

    def initialize(self) -> None:
        """Draw the first values of what is no matrix, from torch's global generator."""


class MinGru(nn.Module):
    """The minimal GRU (Feng et al. 2024, section 3.1, in linear space); its state is (h,), (B, C) in fp32.

    Signed, a gate lies below 2: a number may be kept by a factor between -1 and 1.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.most = 2.0 if config.signed else 1.0
        self.gates_candidates = nn.Linear(config.hidden, 2 * config.hidden, bias=False)
        self.gate_bias = nn.Parameter(torch.empty(config.hidden))
        self.output = nn.Linear(config.hidden, config.hidden, bias=False)

    def forward(self, x_BTC: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What is kept of all tokens so far, through a matrix."""
        (h_BC,) = state or (wide(x_BTC.new_zeros(len(x_BTC), x_BTC.shape[2])),)
        y_BTC, h_BC = gated_scan(self.gates_candidates(x_BTC), self.gate_bias, h_BC, self.most)
        return self.output(y_BTC), (h_BC,)

    def gate_values(self, x_BTC: Tensor) -> dict[str, Tensor]:
        """The factor by which each number is kept."""
        sums_BTC, _ = self.gates_candidates(x_BTC).chunk(2, dim=-1)
        return {"decay": 1 - self.most * torch.sigmoid(wide(sums_BTC) + self.gate_bias)}

    @staticmethod
    def size(config: ModelConfig) -> MixerSize:
        """Matrices for gates, candidates and output, and the gates' biases."""
        C = config.hidden
        return MixerSize(parameters=3 * C * C + C, product_weights=3 * C * C)

    @torch.no_grad()
    def initialize(self) -> None:
        """Biases by which a number is remembered for about tau tokens from the start: a gate of 1 / tau.

        Signed, every other number changes its sign at each token: a gate of 2 - 1 / tau. From small gates alone a
        factor below zero is far away.
        """
        tau_C = torch.empty_like(self.gate_bias).uniform_(math.log(2), math.log(LONGEST_MEMORY)).exp()
        self.gate_bias.copy_(-(self.most * tau_C - 1).log())
        if self.most > 1:
            self.gate_bias[::2] *= -1


class GatedDeltaNet(nn.Module):
    """The gated delta rule between a short convolution and an output gate (Yang et al. 2025, section 3.3).

    The state is the table of each head (B, H, D, D), and what the convolution read last (B, K - 1, F), both in fp32.
    Signed, beta lies below 2: a step may mirror the table. With M mirrors each token takes M steps of the rule, one
    after the other, by keys, values and betas of their own, of which the first forgets and the last is read (Siems et
    al. 2025): two mirrors make a rotation. F = (1 + 2 M) C.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        C, self.heads, self.mirrors = config.hidden, config.heads, config.mirrors
        self.most = 2.0 if config.signed else 1.0
        self.queries_keys_values = nn.Linear(C, (1 + 2 * self.mirrors) * C, bias=False)  # then a key, a value, …
        self.convolution = nn.Parameter(torch.empty(config.convolution, (1 + 2 * self.mirrors) * C))
        # Of the output; of decay and of each mirror's beta, a head each.
        self.gates = nn.Linear(C, C + (1 + self.mirrors) * config.heads, bias=False)
        self.log_decay, self.decay_bias = (nn.Parameter(torch.empty(config.heads)) for _ in range(2))
        self.head_norm = nn.RMSNorm(C // config.heads, eps=HEAD_EPSILON)
        self.output = nn.Linear(C, C, bias=False)

    def forward(self, x_BTC: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What each token finds in the tables, by head."""
        if state is None:
            width = x_BTC.shape[2] // self.heads
            state = (
                wide(x_BTC.new_zeros(len(x_BTC), self.heads, width, width)),
                wide(x_BTC.new_zeros(len(x_BTC), len(self.convolution) - 1, self.convolution.shape[1])),
            )
        S_BHDD, before_BKF = state
        qkv_BTF, before_BKF = short_convolution(self.queries_keys_values(x_BTC), before_BKF, self.convolution)
        gates = self.gates(x_BTC)
        with torch.autocast(x_BTC.device.type, enabled=False):
            o_BTHD, S_BHDD = self.remember(qkv_BTF, gates, S_BHDD)
        return self.output(o_BTHD.flatten(2)), (S_BHDD, before_BKF)

    def remember(self, qkv_BTF: Tensor, gates: Tensor, S_BHDD: Tensor) -> tuple[Tensor, Tensor]:
        """What comes of the delta rule, normalised and gated, (B, T, H, D), and the tables; in fp32."""
        gate, log_alpha_BTH, beta_BTMH = self._split(gates)
        o_BTHD, S_BHDD = gated_delta_product(qkv_BTF, log_alpha_BTH, beta_BTMH, S_BHDD)
        return self.head_norm(wide(o_BTHD)) * F.silu(gate).unflatten(-1, (self.heads, -1)), S_BHDD

    def _split(self, gates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The sums of the output's gate (B, T, C); of each head log alpha (B, T, H), and beta of each mirror."""
        sizes = (self.output.in_features, self.heads, self.mirrors * self.heads)
        gate, decay_BTH, beta = wide(gates).split(sizes, -1)
        log_alpha_BTH = -wide(self.log_decay).exp() * F.softplus(decay_BTH + self.decay_bias)
        return gate, log_alpha_BTH, (self.most * torch.sigmoid(beta)).unflatten(-1, (self.mirrors, -1))

    def gate_values(self, x_BTC: Tensor) -> dict[str, Tensor]:
        """By what each head's table is multiplied (alpha), and how much of a value is written into it (beta): of all
        heads by the first mirror, then by the next.
        """
        _, log_alpha_BTH, beta_BTMH = self._split(self.gates(x_BTC))
        return {"decay": log_alpha_BTH.exp(), "writing": beta_BTMH.flatten(2)}

    @staticmethod
    def size(config: ModelConfig) -> MixerSize:
        """Matrices for queries, keys, values, output and its gate; a rate, a bias and gates for decay and betas a head;
        taps; a norm.

        A token reads each head's table and reads and writes it for each mirror, in two operations for each of its
        numbers, and twice as many backward.
        """
        C, H, M = config.hidden, config.heads, config.mirrors
        products = (3 + 2 * M) * C * C + (1 + M) * H * C
        beside = (1 + 2 * M) * C * config.convolution + 2 * H + C // H
        return MixerSize(products + beside, products, token_flops=(1 + 2 * M) * 6 * C * (C // H))

    @torch.no_grad()
    def initialize(self) -> None:
        """Decays by which heads remember for tau tokens, from few to a thousand, evenly by log tau; taps as torch's.

        Drawn as Mamba's are, which has many heads, the few of a small model may all forget within ten tokens.
        """
        bound = len(self.convolution) ** -0.5
        self.convolution.uniform_(-bound, bound)
        self.log_decay.zero_()
        places_H = torch.arange(1, self.heads + 1, device=self.decay_bias.device) / self.heads
        self.decay_bias.copy_((1 / LONGEST_MEMORY**places_H).expm1().log())  # whose softplus is 1 / tau


class WindowAttention(nn.Module):
    """Attention of each token to the last W of `--context`, itself included, by distance (rotary positions).

    Its state is of one size: keys and values of the last W tokens, (B, H, W, D), the newest last, and how many there
    are.
    """

    rotations: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.window, self.width = config.heads, config.context, config.hidden // config.heads
        self.queries_keys_values = nn.Linear(config.hidden, 3 * config.hidden, bias=False)
        self.output = nn.Linear(config.hidden, config.hidden, bias=False)
        first = rotary_positions(FIRST_POSITIONS, self.width)
        self.register_buffer("rotations", first, persistent=False)

    def rotations_until(self, until: int) -> Tensor:
        """The table of rotations, made longer where it does not reach so far."""
        if until > self.rotations.shape[1]:
            with torch.inference_mode(False):  # it may first be needed in a validation, and then in training
                self.rotations = rotary_positions(2 * until, self.width).to(self.rotations)
        return self.rotations

    def forward(self, x_BTC: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What each token gathers; time and memory grow with T W, not with T^2."""
        T, W = x_BTC.shape[1], self.window
        heads_BTHD = (part.unflatten(-1, (self.heads, -1)) for part in self.queries_keys_values(x_BTC).chunk(3, dim=-1))
        Q, K, V = (part.transpose(1, 2) for part in heads_BTHD)
        if state is None:
            empty = K.new_zeros(len(K), self.heads, W, self.width)
            state = (empty, empty, torch.zeros(len(K), dtype=torch.long, device=K.device))
        K, V = torch.cat([state[0].to(K.dtype), K], 2), torch.cat([state[1].to(V.dtype), V], 2)
        after = (K[:, :, T:], V[:, :, T:], (state[2] + T).clamp(max=W))
        rotation = self.rotations_until(W + T)
        Q, K = rotate(Q, rotation[:, W : W + T]), rotate(K, rotation[:, : W + T])
        P = min(W, T)
        lacking = -T % P
        Q = F.pad(Q, (0, 0, 0, lacking)).unflatten(2, (-1, P))
        K, V = (F.pad(part, (0, 0, 0, lacking)).unfold(2, W + P, P).transpose(-1, -2) for part in (K, V))
        visible = self._visible(state[2], Q.shape[2], P)
        y = F.scaled_dot_product_attention(Q, K, V, attn_mask=visible)
        return self.output(y.flatten(2, 3)[:, :, :T].transpose(1, 2).flatten(2)), after

    def _visible(self, seen_B: Tensor, blocks: int, P: int) -> Tensor:
        """Which of the W + P keys that end with a block of P queries each of these sees, (B, 1, N, P, W + P)."""
        W, device = self.window, seen_B.device
        query_P1, key_W = torch.arange(P, device=device).unsqueeze(1), torch.arange(W + P, device=device)
        within_PW = (key_W > query_P1) & (key_W <= query_P1 + W)
        place_NW = torch.arange(blocks, device=device).unsqueeze(1) * P + key_W
        there_BNW = place_NW >= (W - seen_B).view(-1, 1, 1)
        return (there_BNW.unsqueeze(2) & within_PW).unsqueeze(1)

    def gate_values(self, x_BTC: Tensor) -> dict[str, Tensor]:
        """None."""
        return {}

    @staticmethod
    def size(config: ModelConfig) -> MixerSize:
        """Queries, keys, values and output."""
        products = 4 * config.hidden * config.hidden
        return MixerSize(products, products, pair_flops=12 * config.hidden)

    def initialize(self) -> None:
        """Nothing but matrices."""


MIXERS: dict[str, type[Mixer]] = {"mingru": MinGru, "gdn": GatedDeltaNet, "attention": WindowAttention}
