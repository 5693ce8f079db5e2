"""A decoder-only transformer: causal self-attention and feed-forward blocks with the norm before each.

A token's input is the sum of an embedding of itself and embeddings of the tokens just before, from a table for each
place (`stem` tables; 1 is the plain transformer). What the last few tokens say need not be learned by attention
first, which in a short training is most of what a small transformer learns.

Shapes: B batch, T new tokens, S past and new tokens, C width of the model, H heads, D width of a head.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.models.attention import attention, rotary_positions, rotate, sinusoidal_positions
from seqtool.models.dropout import Dropout, drop_symbols
from seqtool.models.size import feedforward_width
from seqtool.models.state import State
from seqtool.settings.model import ModelConfig

FIRST_POSITIONS = 4096  # that a table of positions begins with
NORMS: dict[str, type[nn.Module]] = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


class SelfAttention(nn.Module):
    """Queries, keys and values of every token; each token gathers the values of those before it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.queries_keys_values = nn.Linear(config.hidden, 3 * config.hidden, bias=False)
        self.output = nn.Linear(config.hidden, config.hidden, bias=False)

    def forward(
        self, x_BTC: Tensor, past: tuple[Tensor, ...] | None, rotation: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """What the tokens gather, (B, T, C), and the keys and values (B, H, S, D) for the tokens to come."""
        heads_BTHD = (part.unflatten(-1, (self.heads, -1)) for part in self.queries_keys_values(x_BTC).chunk(3, dim=-1))
        Q_BHTD, K_BHSD, V_BHSD = (part.transpose(1, 2) for part in heads_BTHD)
        if rotation is not None:
            Q_BHTD, K_BHSD = rotate(Q_BHTD, rotation), rotate(K_BHSD, rotation)
        if past is not None:
            K_BHSD, V_BHSD = torch.cat([past[0], K_BHSD], dim=2), torch.cat([past[1], V_BHSD], dim=2)
        y_BHTD = attention(Q_BHTD, K_BHSD, V_BHSD)
        return self.output(y_BHTD.transpose(1, 2).flatten(2)), (K_BHSD, V_BHSD)


class PositionWise(nn.Module):
    """The same small dense net at every position: relu or gelu 4 wide, or swiglu (Shazeer 2020) of equal size."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.kind = config.feedforward
        inner = feedforward_width(config)
        self.up = nn.Linear(config.hidden, 2 * inner if self.kind == "swiglu" else inner, bias=False)
        self.down = nn.Linear(inner, config.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        return self.down(self.activate(self.up(x)))

    def activate(self, x: Tensor) -> Tensor:
        """What lies between the products."""
        if self.kind == "swiglu":
            gate, x = x.chunk(2, dim=-1)
            return F.silu(gate) * x
        return F.relu(x) if self.kind == "relu" else F.gelu(x)


class Block(nn.Module):
    """x + attention(norm(x)), then x + feedforward(norm(x))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        norm = NORMS[config.norm]
        self.attention_norm, self.attention = norm(config.hidden), SelfAttention(config)
        self.feedforward_norm, self.feedforward = norm(config.hidden), PositionWise(config)
        self.dropout = Dropout(config.dropout_at("hidden"), config.variational)

    def forward(
        self, x_BTC: Tensor, past: tuple[Tensor, ...] | None, rotation: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The block's output and its keys and values."""
        gathered, present = self.attention(self.attention_norm(x_BTC), past, rotation)
        x_BTC = x_BTC + self.dropout(gathered)
        return x_BTC + self.dropout(self.feedforward(self.feedforward_norm(x_BTC))), present


class Transformer(nn.Module):
    """Blocks on embedded tokens; features (B, T, C).

    The state holds the keys and values of up to `context` tokens for each layer, and last the ids that the stem looks
    back to; before the first token stand `<s>`.
    """

    layers: list[Block]  # an nn.ModuleList of them
    embeddings_before: list[nn.Embedding]  # likewise
    positions: Tensor

    def __init__(self, config: ModelConfig, vocab_size: int, begin_id: int) -> None:
        super().__init__()
        self.context, self.position, self.begin_id = config.context, config.position, begin_id
        self.embedding = nn.Embedding(vocab_size, config.hidden)
        self.embeddings_before = nn.ModuleList(  # type: ignore[assignment]
            nn.Embedding(vocab_size, config.hidden) for _ in range(config.stem - 1)
        )
        if config.position == "learned":
            self.learned_positions = nn.Embedding(config.context, config.hidden)
        else:
            self._head_width = config.hidden // config.heads
            self.register_buffer("positions", self._position_table(FIRST_POSITIONS), persistent=False)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))  # type: ignore[assignment]
        self.norm = NORMS[config.norm](config.hidden)
        self.dropout_embedding = config.dropout_embedding
        self.input_dropout = Dropout(config.dropout_at("input"), config.variational)

    def _position_table(self, count: int) -> Tensor:
        """What stands for the first positions, up to the context: rotations (2, T, D/2), or vectors (T, C)."""
        count = min(count, self.context)
        if self.position == "rope":
            return rotary_positions(count, self._head_width)
        return sinusoidal_positions(count, self.embedding.embedding_dim)

    def positions_until(self, until: int) -> Tensor:
        """The table of positions, made longer where it does not reach so far: few texts fill a long context."""
        if until > self.positions.shape[-2]:
            with torch.inference_mode(False):  # it may first be needed in a validation, and then in training
                self.positions = self._position_table(2 * until).to(self.positions)
        return self.positions

    def forward(self, ids_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Features of each token; ValueError when the past and the new tokens are more than `context`."""
        past = 0 if state is None else state[0][0].shape[2]
        until = past + ids_BT.shape[1]
        if until > self.context:
            raise ValueError(f"{until} tokens do not fit into a context of {self.context}")
        before = len(self.embeddings_before)
        ids_before = ids_BT.new_full((len(ids_BT), before), self.begin_id) if state is None else state[-1][0]
        ids = torch.cat([ids_before, ids_BT], dim=1)
        x = self.embedding(ids_BT)
        for place, embedding in enumerate(self.embeddings_before, start=1):
            x = x + embedding(ids[:, before - place : ids.shape[1] - place])
        if self.training and self.dropout_embedding:
            x = drop_symbols(x, ids_BT, self.embedding.num_embeddings, self.dropout_embedding)
        rotation = None
        if self.position == "learned":
            x = x + self.learned_positions.weight[past:until]
        elif self.position == "sinusoidal":
            x = x + self.positions_until(until)[past:until]
        else:
            rotation = self.positions_until(until)[:, past:until]
        x = self.input_dropout(x)
        present = []
        for number, layer in enumerate(self.layers):
            x, layer_state = layer(x, None if state is None else state[number], rotation)
            present.append(layer_state)
        return self.norm(x), (*present, (ids[:, ids.shape[1] - before :],))

    def restarted(self, state: State, restarts_B: Tensor) -> State:
        """Never asked for: a transformer is trained on windows that each begin afresh."""
        raise NotImplementedError("a transformer carries no state between batches: train it with --stateless")


@torch.no_grad()
def initialize_transformer(core: Transformer, config: ModelConfig) -> None:
    """Normal weights of deviation 0.02, at the end of residual branches by sqrt(2 layers) less (GPT-2), or by name."""
    for name, parameter in core.named_parameters():
        if parameter.dim() < 2:
            continue
        if config.init == "xavier" and "embedding" not in name:
            nn.init.xavier_uniform_(parameter)
        elif config.init == "orthogonal" and "embedding" not in name:
            nn.init.orthogonal_(parameter)
        else:
            nn.init.normal_(parameter, std=0.02)
        if name.endswith(("attention.output.weight", "down.weight")):
            parameter.div_(math.sqrt(2 * config.layers))
