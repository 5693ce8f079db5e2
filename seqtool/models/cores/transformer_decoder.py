"""A transformer that writes: in each block self-attention, attention to what was read, and a dense net.

The norm stands before each (Vaswani et al. 2017, section 3.2.3; pre-norm of Xiong et al. 2020).

Shapes: B batch, S positions that were read, M width of each, T new tokens, C width of the model, H heads, D width of a
head.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from seqtool.models.attention import attention_to_all, attention_weights, rotate
from seqtool.models.cores.block import PositionWise, norm_of
from seqtool.models.cores.decoder import Decoder, Memory
from seqtool.models.cores.transformer import SelfAttention, Transformer
from seqtool.models.dropout import Dropout
from seqtool.models.state import State
from seqtool.settings.model import ModelConfig


class CrossAttention(nn.Module):
    """Queries of the tokens that are written, keys and values of what was read.

    Rotary, queries and keys are turned by their places as in self-attention (Su et al. 2021), so that a token can ask
    for what stands a little before or behind its own place, which translations often want; what it asks for by meaning
    alone lies in the numbers that turn slowly.
    """

    def __init__(self, config: ModelConfig, memory_width: int) -> None:
        super().__init__()
        self.heads, self.turns = config.heads, config.attention == "rotary"
        self.queries = nn.Linear(config.hidden, config.hidden, bias=False)
        self.keys_values = nn.Linear(memory_width, 2 * config.hidden, bias=False)
        self.output = nn.Linear(config.hidden, config.hidden, bias=False)

    def read(self, values_BSM: Tensor, rotation: Tensor | None) -> tuple[Tensor, Tensor]:
        """Keys and values of what was read, (B, H, S, D) each, the keys turned by their places."""
        K_BSC, V_BSC = self.keys_values(values_BSM).chunk(2, dim=-1)
        return self._heads(K_BSC, rotation), self._heads(V_BSC, None)

    def ask(self, x_BTC: Tensor, rotation: Tensor | None) -> Tensor:
        """Queries (B, H, T, D), turned by the places of the tokens that ask."""
        return self._heads(self.queries(x_BTC), rotation)

    def forward(self, x_BTC: Tensor, read: tuple[Tensor, ...], lengths_B: Tensor, rotation: Tensor | None) -> Tensor:
        """What the tokens gather, (B, T, C)."""
        K_BHSD, V_BHSD = read
        y_BHTD = attention_to_all(self.ask(x_BTC, rotation), K_BHSD, V_BHSD, lengths_B)
        return self.output(y_BHTD.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor, rotation: Tensor | None) -> Tensor:
        heads = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return rotate(heads, rotation) if self.turns and rotation is not None else heads


class DecoderBlock(nn.Module):
    """x + self-attention(norm(x)), then x + attention(norm(x), read), then x + feedforward(norm(x))."""

    def __init__(self, config: ModelConfig, memory_width: int) -> None:
        super().__init__()
        self.attention_norm, self.attention = norm_of(config), SelfAttention(config)
        self.reading_norm, self.reading = norm_of(config), CrossAttention(config, memory_width)
        self.feedforward_norm, self.feedforward = norm_of(config), PositionWise(config)
        self.dropout = Dropout(config.dropout_at("hidden"), config.variational)

    def forward(
        self,
        x_BTC: Tensor,
        read: tuple[Tensor, ...],
        lengths_B: Tensor,
        past: tuple[Tensor, ...] | None,
        rotation: Tensor | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The block's output and its keys and values."""
        asking_BTC, present = self.before_reading(x_BTC, past, rotation)
        gathered = self.reading(self.reading_norm(asking_BTC), read, lengths_B, rotation)
        x_BTC = asking_BTC + self.dropout(gathered)
        return x_BTC + self.dropout(self.feedforward(self.feedforward_norm(x_BTC))), present

    def before_reading(
        self, x_BTC: Tensor, past: tuple[Tensor, ...] | None, rotation: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The tokens after self-attention, and their keys and values."""
        gathered, present = self.attention(self.attention_norm(x_BTC), past, rotation)
        return x_BTC + self.dropout(gathered), present


class TransformerDecoder(Decoder):
    """Blocks that look at the tokens before and at what was read. The state holds keys and values for each layer."""

    def __init__(self, config: ModelConfig, input_width: int, memory_width: int) -> None:
        super().__init__()
        # Causal, with the positions of a core; its blocks are replaced by those that also read.
        self.core = Transformer(_causal(config), input_width)
        self.core.layers = nn.ModuleList(DecoderBlock(_causal(config), memory_width) for _ in range(config.layers))  # type: ignore[assignment]
        self.width = config.hidden

    def read(self, memory: Memory) -> State:
        """Keys and values of what was read for each layer, then its lengths."""
        rotation = self.core.rotation(memory.values_BSM.shape[1])
        return (*(layer.reading.read(memory.values_BSM, rotation) for layer in self._layers), (memory.lengths_B,))

    @property
    def _layers(self) -> list[DecoderBlock]:
        return list(self.core.layers)  # type: ignore[arg-type]

    def forward(self, x_BTE: Tensor, given: State, state: State | None) -> tuple[Tensor, State]:
        """Features (B, T, C), and the keys and values of all tokens so far."""
        y, rotation = self._begin(x_BTE, state)
        present = []
        for number, layer in enumerate(self._layers):
            y, layer_state = layer(y, given[number], given[-1][0], None if state is None else state[number], rotation)
            present.append(layer_state)
        return self.core.norm(y), tuple(present)

    def _begin(self, x_BTE: Tensor, state: State | None) -> tuple[Tensor, Tensor | None]:
        """The tokens with their positions, and the rotations of these."""
        return self.core.placed(x_BTE, 0 if state is None else state[0][0].shape[2])

    def looks(self, x_BTE: Tensor, given: State) -> Tensor:
        """(B, layers, heads, T, S)."""
        y, rotation = self._begin(x_BTE, None)
        looks = []
        for number, layer in enumerate(self._layers):
            K_BHSD, _ = given[number]
            asking_BTC, _ = layer.before_reading(y, None, rotation)
            Q_BHTD = layer.reading.ask(layer.reading_norm(asking_BTC), rotation)
            looks.append(attention_weights(Q_BHTD, K_BHSD, given[-1][0]))
            y, _ = layer(y, given[number], given[-1][0], None, rotation)
        return torch.stack(looks, 1)

    @torch.no_grad()
    def initialize(self, config: ModelConfig) -> None:
        """As a transformer's, with three residual branches in a block."""
        self.core.initialize(config)
        if config.init == "default":
            for layer in self._layers:
                layer.reading.output.weight.div_(math.sqrt(2 * config.layers))


def _causal(config: ModelConfig) -> ModelConfig:
    """The settings of blocks in which no token sees a later one."""
    return dataclasses.replace(config, bidirectional=False)
