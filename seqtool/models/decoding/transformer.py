"""The transformer a token at a time: keys and values in one buffer, and step.c where it was compiled.

Shapes: B sequences, C width, H heads, D width of a head, P tables of the stem, W columns of the buffer of keys and
values.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from seqtool.models.cores.transformer import Transformer, TransformerBlock
from seqtool.models.decoding import compiled_step
from seqtool.models.decoding.products import Product
from seqtool.models.inputs import Inputs
from seqtool.models.state import State

LEAST_GROWTH = 64  # columns added to a full buffer of keys and values


class TransformerSteps:
    """Attention over a buffer of keys and values, all rows ending at the same column, each beginning at its own."""

    def __init__(self, inputs: Inputs, core: Transformer, precision: str) -> None:
        self._core, self._symbols, self._lookback = core, inputs.symbols, inputs.stem - 1
        assert inputs.embedding is not None
        self._tables = torch.cat([inputs.embedding.weight, *(table.weight for table in inputs.embeddings_before)])
        self._layers = [_LayerStep(layer, core.position == "rope", precision) for layer in core.layers]
        if core.position == "rope":
            self._rotations = torch.complex(*core.positions)
        self._native = None
        loaded = compiled_step.step_library() if self._tables.device.type == "cpu" else None
        # What is in C knows no biases, nor the tangent's gelu.
        if loaded is not None and all(layer.is_plain for layer in self._layers):
            self._native = compiled_step.Blocks(
                loaded,
                [layer.matrices for layer in self._layers],
                [(layer.attention_norm, layer.feedforward_norm) for layer in core.layers],
                core.layers[0].attention.heads,
                core.layers[0].feedforward.kind,
                sum(layer.bytes for layer in self._layers),
            )

    def restart(self, rows: int, longest: int) -> None:
        """Reset to `rows` empty sequences, which may be given up to `longest` tokens to begin with."""
        self._at = min(longest, self._core.context)
        self._begins = [self._at] * rows
        for layer in self._layers:
            layer.allocate(rows, self._at, self._tables.device)
        self._before = torch.zeros(rows, self._lookback, dtype=torch.long, device=self._tables.device)
        self._offsets = self._symbols * torch.arange(1, self._lookback + 1, device=self._tables.device)

    def put(self, rows: list[int], state: State) -> None:
        """Set some rows to the model's state after their tokens."""
        tokens = state[0][0].shape[2]
        for layer, (K, V) in zip(self._layers, state[:-1], strict=True):
            layer.put(rows, K, V, self._at)
        self._before[rows] = state[-1][0].flip(1) + self._offsets
        for row in rows:
            self._begins[row] = self._at - tokens
        self._see()

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only."""
        for layer in self._layers:
            layer.keep(rows)
        self._before = self._before.index_select(0, rows)
        self._begins = [self._begins[row] for row in rows.tolist()]
        self._see()

    def _see(self) -> None:
        """Set what each row sees: all columns from the first that any row has, but for those before its own first."""
        self._from = min(self._begins)
        self._mask = None
        self._places = torch.tensor(self._begins, device=self._tables.device)
        if max(self._begins) > self._from:
            columns_W = torch.arange(self._layers[0].columns, device=self._tables.device)
            hidden_BW = columns_W < self._places.unsqueeze(1)
            self._mask = torch.zeros(hidden_BW.shape, device=self._tables.device).masked_fill_(hidden_BW, -math.inf)
        if self._native is not None:
            self._native.see([layer.buffer for layer in self._layers], self._begins)

    def step(self, ids_B: Tensor) -> Tensor:
        """Features (B, C) after one more token of each row."""
        if self._at == self._layers[0].columns:
            self._grow()
        ids_BP = torch.cat([ids_B.unsqueeze(1), self._before], dim=1)
        self._before = ids_BP[:, :-1] + self._symbols
        x_BC = F.embedding(ids_BP, self._tables).sum(dim=1)
        if self._mask is None:
            place: slice | Tensor = slice(self._at - self._from, self._at - self._from + 1)
        else:
            place = self._at - self._places
        rotation: Tensor | None = None
        places = self._at - self._from + 1
        if self._core.position == "learned":
            x_BC = x_BC + self._core.learned_positions.weight[place]
        elif self._core.position == "sinusoidal":
            x_BC = x_BC + self._core.positions_until(places)[place]
        else:
            if places > len(self._rotations):
                self._rotations = torch.complex(*self._core.positions_until(places))
            rotation = self._rotations[place]
        if self._native is not None:
            turns = None if rotation is None else rotation.expand(len(x_BC), -1).contiguous()
            if len(x_BC) <= compiled_step.MOST_ROWS:
                x_BC = self._native.step(x_BC, self._at, turns)
            else:
                for number, layer in enumerate(self._layers):
                    y_BC = self._native.attend(number, layer.ask(x_BC), self._at, turns)
                    x_BC = layer.finish(x_BC, y_BC)
        else:
            mask = None if self._mask is None else self._mask[:, None, None, self._from : self._at + 1]
            # Queries and keys turn; values stay as they are.
            turns = None if rotation is None else torch.stack([rotation, rotation, torch.ones_like(rotation)], 1)
            for layer in self._layers:
                y_BC = layer.attend(layer.ask(x_BC), self._at, self._from, mask, turns)
                x_BC = layer.finish(x_BC, y_BC)
        self._at += 1
        features: Tensor = self._core.norm(x_BC)
        return features

    def _grow(self) -> None:
        """Leave out the columns that no row sees, and add some."""
        live = self._at - self._from
        for layer in self._layers:
            layer.move(self._from, live, live + max(LEAST_GROWTH, live // 2))
        self._begins = [begin - self._from for begin in self._begins]
        self._at = live
        self._see()


class _LayerStep:
    """One block of a transformer with its buffer of keys and values, (B, 2, H, W, D)."""

    def __init__(self, block: TransformerBlock, rotary: bool, precision: str) -> None:
        self._heads, self._rotary = block.attention.heads, rotary
        W_qkv, self._b_qkv = _asking(block, rotary)
        self._head_width = len(W_qkv) // 3 // self._heads
        self._attention_norm, self._feedforward_norm = block.attention_norm, block.feedforward_norm
        self._qkv = Product(W_qkv, precision)
        self._gathered = Product(_gathering(block, self._heads, rotary), precision)
        self._up, self._down = (
            Product(part.weight, precision) for part in (block.feedforward.up, block.feedforward.down)
        )
        self._activate = block.feedforward.activate
        self._b_gathered, self._b_up, self._b_down = (
            _detached(part.bias) for part in (block.attention.output, block.feedforward.up, block.feedforward.down)
        )
        self.is_plain = self._b_qkv is None and block.feedforward.kind in compiled_step.ACTIVATIONS

    @property
    def matrices(self) -> dict[str, compiled_step.Matrix]:
        """The products, as step.c calls them."""
        products = {"qkv": self._qkv, "gathered": self._gathered, "up": self._up, "down": self._down}
        return {name: product.matrix for name, product in products.items()}

    @property
    def bytes(self) -> int:
        """Of all weights."""
        return sum(product.bytes for product in (self._qkv, self._gathered, self._up, self._down))

    @property
    def buffer(self) -> Tensor:
        """Keys and values, (B, 2, H, W, D)."""
        return self._KV

    @property
    def columns(self) -> int:
        """W."""
        return self._KV.shape[3]

    def allocate(self, rows: int, columns: int, device: torch.device) -> None:
        """A buffer for so many sequences of so many tokens."""
        self._KV = torch.zeros(rows, 2, self._heads, columns, self._head_width, device=device)

    def put(self, rows: list[int], K_BHSD: Tensor, V_BHSD: Tensor, until: int) -> None:
        """The keys and values that the model gave some rows, to end before the column `until`."""
        columns = slice(until - K_BHSD.shape[2], until)
        for number, part in enumerate((K_BHSD, V_BHSD)):
            self._KV[rows, number, :, columns] = _side_by_side(part, dim=3) if self._rotary else part

    def keep(self, rows: Tensor) -> None:
        """These rows only."""
        self._KV = self._KV.index_select(0, rows)

    def move(self, begin: int, count: int, columns: int) -> None:
        """The `count` columns from `begin` on, at the beginning of a new buffer of `columns`."""
        old = self._KV.narrow(3, begin, count)
        self.allocate(len(old), columns, old.device)
        self._KV.narrow(3, 0, count).copy_(old)

    def ask(self, x_BC: Tensor) -> Tensor:
        """Queries, keys and values, (B, 3C)."""
        return _plus(self._qkv(self._attention_norm(x_BC)), self._b_qkv)

    def attend(self, qkv_B3C: Tensor, at: int, first: int, mask: Tensor | None, rotation: Tensor | None) -> Tensor:
        """What the token at column `at` gathers, (B, C), from the columns from `first` to its own."""
        rows = qkv_B3C.shape[0]
        qkv_B3HD = qkv_B3C.view(rows, 3, self._heads, self._head_width)
        if rotation is not None:
            pairs = torch.view_as_complex(qkv_B3HD.view(rows, 3, self._heads, -1, 2))
            turned = torch.view_as_real(pairs * rotation.unsqueeze(2))
            qkv_B3HD = turned.view(rows, 3, self._heads, self._head_width)
        self._KV.select(3, at).copy_(qkv_B3HD.narrow(1, 1, 2))
        q_BH1D = qkv_B3HD.select(1, 0).unsqueeze(2)
        K_BHSD, V_BHSD = self._KV.narrow(3, first, at + 1 - first).unbind(1)
        return F.scaled_dot_product_attention(q_BH1D, K_BHSD, V_BHSD, attn_mask=mask).reshape(rows, -1)

    def finish(self, x_BC: Tensor, y_BC: Tensor) -> Tensor:
        """The block's output (B, C), from its input and what attention gathered."""
        x_BC = _plus(self._gathered(y_BC, x_BC), self._b_gathered)
        inner = _plus(self._up(self._feedforward_norm(x_BC)), self._b_up)
        return _plus(self._down(self._activate(inner), x_BC), self._b_down)


def _detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()


def _plus(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias


def _asking(block: TransformerBlock, rotary: bool) -> tuple[Tensor, Tensor | None]:
    """The matrix of queries, keys and values, and its bias; the rows that turn together side by side, as one complex
    number.
    """
    asks, bias = block.attention.queries_keys_values, None
    weight = block.attention.of_each_head(asks.weight)
    if asks.bias is not None:
        bias = block.attention.of_each_head(asks.bias).detach()
    if not rotary:
        return weight, bias

    def turned(rows: Tensor) -> Tensor:
        parts = (part.unflatten(0, (block.attention.heads, -1)) for part in rows.chunk(3))
        return torch.cat([_side_by_side(part, dim=1).flatten(0, 1) for part in parts])

    return turned(weight), None if bias is None else turned(bias)


def _gathering(block: TransformerBlock, heads: int, rotary: bool) -> Tensor:
    """The matrix that reads what attention gathered, its columns in the order in which values stand here."""
    W_o = block.attention.output.weight
    return _side_by_side(W_o.unflatten(1, (heads, -1)), dim=2).flatten(1) if rotary else W_o


def _side_by_side(x: Tensor, dim: int) -> Tensor:
    """x_i and x_{i + D/2} along a dimension of size D, moved to 2i and 2i + 1."""
    return x.unflatten(dim, (2, -1)).transpose(dim, dim + 1).flatten(dim, dim + 1)
