"""A transformer: self-attention, causal unless --bidirectional, and feed-forward blocks with the norm before each.

Shapes: B batch, T new tokens, S past and new tokens, C width of the model, H heads, G heads of keys and values (H or
--kv-heads), D width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seqtool.models.attention import (
    attention,
    attention_to_all,
    causal_weights,
    rotary_positions,
    rotate,
    sinusoidal_positions,
)
from seqtool.models.cores.block import DEVIATION, ResidualBlock, beside_mixer, draw_matrices, norm_of, norm_parameters
from seqtool.models.cores.core import Core, CoreSize
from seqtool.models.dropout import Dropout
from seqtool.models.inputs import Inputs, InputVectors
from seqtool.models.state import State
from seqtool.settings.model import ModelConfig

if TYPE_CHECKING:
    from seqtool.models.decoding.steps import Steps

FIRST_POSITIONS = 4096  # that a table of positions begins with


class SelfAttention(nn.Module):
    """Queries, keys and values of every token; each token gathers the values of those before it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.sees_all = config.heads, config.bidirectional
        keys = config.hidden // config.heads * config.key_heads
        self.widths = (config.hidden, keys, keys)
        self.sharing = config.heads // config.key_heads  # how many heads of queries share keys and values
        self.queries_keys_values = nn.Linear(config.hidden, sum(self.widths), bias=config.biases)
        self.output = nn.Linear(config.hidden, config.hidden, bias=config.biases)

    def forward(
        self, x_BTC: Tensor, past: tuple[Tensor, ...] | None, rotation: Tensor | None, lengths_B: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """What the tokens gather, (B, T, C), and the keys and values (B, H, S, D) for the tokens to come.

        Where a token sees all of its sequence, these are the first `lengths`.
        """
        Q_BHTD, K_BHSD, V_BHSD = self._heads(x_BTC, rotation)
        if past is not None:
            K_BHSD, V_BHSD = torch.cat([past[0], K_BHSD], dim=2), torch.cat([past[1], V_BHSD], dim=2)
        if self.sees_all:
            y_BHTD = attention_to_all(Q_BHTD, K_BHSD, V_BHSD, lengths_B)
        else:
            y_BHTD = attention(Q_BHTD, K_BHSD, V_BHSD)
        return self.output(y_BHTD.transpose(1, 2).flatten(2)), (K_BHSD, V_BHSD)

    def _heads(self, x_BTC: Tensor, rotation: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, H, T, D) of the tokens themselves, the first two turned by their positions."""
        parts = self.queries_keys_values(x_BTC).split(self.widths, dim=-1)
        counts = (self.heads, self.heads // self.sharing, self.heads // self.sharing)
        Q_BHTD, K_BGTD, V_BGTD = (
            part.unflatten(-1, (count, -1)).transpose(1, 2) for part, count in zip(parts, counts, strict=True)
        )
        if rotation is not None:
            Q_BHTD, K_BGTD = rotate(Q_BHTD, rotation), rotate(K_BGTD, rotation)
        if self.sharing == 1:
            return Q_BHTD, K_BGTD, V_BGTD
        return Q_BHTD, K_BGTD.repeat_interleave(self.sharing, 1), V_BGTD.repeat_interleave(self.sharing, 1)

    def of_each_head(self, rows: Tensor) -> Tensor:
        """Rows of the product of queries, keys and values (C + 2 G D, ...) with those that heads share written out for
        each of them: (3 C, ...).
        """
        if self.sharing == 1:
            return rows
        Q, K, V = rows.split(self.widths)
        groups = self.heads // self.sharing
        copied = (part.unflatten(0, (groups, -1)).repeat_interleave(self.sharing, 0).flatten(0, 1) for part in (K, V))
        return torch.cat([Q, *copied])

    def looks(self, x_BTC: Tensor, rotation: Tensor | None) -> Tensor:
        """Where each token of a text looks, (B, H, T, T); a row sums to 1."""
        Q_BHTD, K_BHTD, _ = self._heads(x_BTC, rotation)
        return causal_weights(Q_BHTD, K_BHTD)


class TransformerBlock(ResidualBlock):
    """x + attention(norm(x)), then x + feedforward(norm(x)); the state is the keys and values."""

    attention_norm: nn.Module
    attention: SelfAttention

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, SelfAttention(config), "attention")


class Transformer(Core):
    """Blocks on input vectors; features (B, T, C). The state holds the keys and values of up to `context` tokens for
    each layer.
    """

    layers: list[TransformerBlock]  # an nn.ModuleList of them
    positions: Tensor
    output_deviation = DEVIATION

    def __init__(self, config: ModelConfig, input_width: int) -> None:
        super().__init__()
        self.context, self.position, self.width = config.context, config.position, input_width
        if config.position == "learned":
            self.learned_positions = nn.Embedding(config.context, config.hidden)
        else:
            self._head_width, self._base = config.hidden // config.heads, config.rope_base
            self.register_buffer("positions", self._position_table(FIRST_POSITIONS), persistent=False)
        self.layers = nn.ModuleList(TransformerBlock(config) for _ in range(config.layers))  # type: ignore[assignment]
        self.norm = norm_of(config)
        self.input_dropout = Dropout(config.dropout_at("input"), config.variational)

    def _position_table(self, count: int) -> Tensor:
        """What stands for the first positions, up to the context: rotations (2, T, D/2), or vectors (T, C)."""
        count = min(count, self.context)
        if self.position == "rope":
            return rotary_positions(count, self._head_width, self._base)
        return sinusoidal_positions(count, self.width)

    def positions_until(self, until: int) -> Tensor:
        """The table of positions, made longer where it does not reach so far: few texts fill a long context."""
        if until > self.positions.shape[-2]:
            with torch.inference_mode(False):  # it may first be needed in a validation, and then in training
                self.positions = self._position_table(2 * until).to(self.positions)
        return self.positions

    def forward(self, x: InputVectors, state: State | None) -> tuple[Tensor, State]:
        """Features of each token; ValueError when the past and the new tokens are more than `context`."""
        y, rotation = self.placed(x.dense(), 0 if state is None else state[0][0].shape[2])
        present = []
        for number, layer in enumerate(self.layers):
            y, layer_state = layer(y, None if state is None else state[number], rotation, x.lengths_B)
            present.append(layer_state)
        return self.norm(y), tuple(present)

    def looks(self, x: InputVectors) -> Tensor:
        """Where each token of a text looks, layer by layer, (L, B, H, T, T)."""
        y, rotation = self.placed(x.dense(), 0)
        found = []
        for layer in self.layers:
            found.append(layer.attention.looks(layer.attention_norm(y), rotation))
            y, _ = layer(y, None, rotation, None)
        return torch.stack(found)

    def placed(self, y: Tensor, past: int) -> tuple[Tensor, Tensor | None]:
        """Vectors of tokens after `past` others, with their positions, or beside the rotations of these.

        ValueError when the past and the new tokens are more than `context`.
        """
        until = past + y.shape[1]
        if until > self.context:
            raise ValueError(f"{until} tokens do not fit into a context of {self.context}")
        rotation = None
        if self.position == "learned":
            y = y + self.learned_positions.weight[past:until]
        elif self.position == "sinusoidal":
            y = y + self.positions_until(until)[past:until]
        else:
            rotation = self.positions_until(until)[:, past:until]
        return self.input_dropout(y), rotation

    def rotation(self, count: int) -> Tensor | None:
        """The rotations of the first positions; None where positions are not told by turning."""
        return self.positions_until(count)[:, :count] if self.position == "rope" else None

    def restarted(self, state: State, restarts_B: Tensor) -> State:
        """Never asked for: a transformer is trained on windows that each begin afresh."""
        raise NotImplementedError("a transformer carries no state between batches: train it with --stateless")

    @staticmethod
    def size(config: ModelConfig, input_width: int) -> CoreSize:
        """In each block queries, keys, values and output, the dense net, and two norms; then a norm."""
        H, L = config.hidden, config.layers
        beside, products = beside_mixer(config)
        positions = config.context * H if config.position == "learned" else 0
        keys = H // config.heads * config.key_heads
        attention = 2 * H * H + 2 * keys * H
        beside += 2 * H + 2 * keys if config.biases else 0
        return CoreSize(
            parameters=positions + L * (attention + beside) + norm_parameters(config),
            product_weights=L * (attention + products),
            pair_flops=12 * L * H,
        )

    @staticmethod
    def embedding_deviation(config: ModelConfig) -> float:
        """That of all its weights."""
        return DEVIATION

    def initialize(self, config: ModelConfig) -> None:
        """As every stack of blocks."""
        draw_matrices(self, config, "attention")
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def shards(self) -> Iterator[nn.Module]:
        """The blocks."""
        return iter(self.layers)

    def steps(self, inputs: Inputs, precision: str) -> Steps:
        """With a buffer of keys and values, and by step.c where it was compiled."""
        from seqtool.models.decoding.transformer import TransformerSteps

        return TransformerSteps(inputs, self, precision)
