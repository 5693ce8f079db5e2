"""The block that transformers, mingru and gdn are stacks of: norm, mixer, norm, feed-forward.

A mixer moves numbers between the tokens, and what follows works on each token by itself. Any module is a mixer that
gives `y, state = mixer(x, state)`, where None begins a text.

Shapes: B batch, T time, C width of the model.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.models.dropout import Dropout
from seqtool.models.swiglu import swiglu
from seqtool.settings.model import ModelConfig

DEVIATION = 0.02  # standard, of the initial weights
NORMS: dict[str, type[nn.Module]] = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


class PositionWise(nn.Module):
    """The same small dense net at every position: relu or gelu, or swiglu (Shazeer 2020) of equal size."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.kind = config.feedforward
        inner = feedforward_width(config)
        self.up = nn.Linear(config.hidden, 2 * inner if self.kind == "swiglu" else inner, bias=config.biases)
        self.down = nn.Linear(inner, config.hidden, bias=config.biases)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        return self.down(self.activate(self.up(x)))

    def activate(self, x: Tensor) -> Tensor:
        """What lies between the products."""
        if self.kind == "swiglu":
            return swiglu(x)
        if self.kind == "relu":
            return F.relu(x)
        return F.gelu(x, approximate="tanh" if self.kind == "gelu-tanh" else "none")


class ResidualBlock(nn.Module):
    """x + mixer(norm(x)), then x + feedforward(norm(x)). `name` is what the mixer's weights are called."""

    def __init__(self, config: ModelConfig, mixer: nn.Module, name: str = "mixer") -> None:
        super().__init__()
        self.name = name
        self.add_module(f"{name}_norm", norm_of(config))
        self.add_module(name, mixer)
        self.feedforward_norm, self.feedforward = norm_of(config), PositionWise(config)
        self.dropout = Dropout(config.dropout_at("hidden"), config.variational)

    def forward(self, x_BTC: Tensor, state: tuple[Tensor, ...] | None, *beside: Any) -> tuple[Tensor, Any]:
        """The block's output and its mixer's state; what stands `beside` these is for the mixer too."""
        norm, mixer = getattr(self, f"{self.name}_norm"), getattr(self, self.name)
        mixed_BTC, state = mixer(norm(x_BTC), state, *beside)
        x_BTC = x_BTC + self.dropout(mixed_BTC)
        return x_BTC + self.dropout(self.feedforward(self.feedforward_norm(x_BTC))), state


def norm_of(config: ModelConfig) -> nn.Module:
    """A new norm as wide as the model."""
    kind = NORMS[config.norm]
    return kind(config.hidden, eps=config.norm_epsilon) if config.norm_epsilon else kind(config.hidden)


def feedforward_width(config: ModelConfig) -> int:
    """Inner width of a block's dense net: --inner, or else 4 H; for swiglu's three matrices 8/3 H, by 8s."""
    if config.inner:
        return config.inner
    return math.ceil(8 * config.hidden / 3 / 8) * 8 if config.feedforward == "swiglu" else 4 * config.hidden


def beside_mixer(config: ModelConfig) -> tuple[int, int]:
    """Trainable numbers of a block without its mixer, and of these the weights of products."""
    inner, ways = feedforward_width(config), 2 if config.feedforward == "swiglu" else 1
    matrices = (ways + 1) * config.hidden * inner
    biases = ways * inner + config.hidden if config.biases else 0
    return matrices + biases + 2 * norm_parameters(config), matrices


def norm_parameters(config: ModelConfig) -> int:
    """Trainable numbers of a norm."""
    return 2 * config.hidden if config.norm == "layer" else config.hidden


@torch.no_grad()
def draw_matrices(stack: nn.Module, config: ModelConfig, mixer: str) -> None:
    """Normal weights, at the end of residual branches by sqrt(2 layers) smaller (GPT-2), or what --init names.

    `mixer` is what the blocks of the stack call theirs.
    """
    for name, parameter in stack.named_parameters():
        if not name.endswith(".weight") or parameter.dim() < 2:
            continue
        if config.init == "xavier":
            nn.init.xavier_uniform_(parameter)
        elif config.init == "orthogonal":
            nn.init.orthogonal_(parameter)
        else:
            nn.init.normal_(parameter, std=DEVIATION)
        if name.endswith((f"{mixer}.output.weight", "down.weight")):
            parameter.div_(math.sqrt(2 * config.layers))
