"""One token at a time: what `model(ids, state)` computes, in the fewest operations, for sequences side by side.

At one token a step every weight is read from memory for little arithmetic, and what an operation costs to start is
as much as what it does. So products known beforehand are looked up (the gates that each token's embedding gives), keys
and values are written into one buffer instead of joined, weights may be read in fewer bits, and step.c, where it was
compiled, does the products of a few sequences and all that lies between them in a transformer. Tests hold every
stepper to the model.

Shapes: B sequences, V vocabulary, S symbols that are learned to be predicted, C width, G gates, H heads, D width of a
head, W columns of the buffer of keys and values.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from seqtool.errors import UsageError
from seqtool.models import native
from seqtool.models.cells import LayerState, run_cell_once
from seqtool.models.language_model import LanguageModel
from seqtool.models.recurrent import Recurrent, RecurrentLayer
from seqtool.models.state import State, map_state, rows_of, take_rows
from seqtool.models.transformer import Block, Transformer

READ_TOKENS = 1024  # of a prompt, at once
TABLE_NUMBERS = 1 << 22  # a table of every token's gates is made when it is no larger
LEAST_GROWTH = 64  # columns added to a full buffer of keys and values


class Product:
    """The product with a matrix (out, in) whose numbers are kept in this precision; all arithmetic is in fp32.

    So a row's result is the same whatever the number of rows, but for the last bits. int8: each row is scaled so that
    its largest number is 127 (symmetric, one scale a row).
    """

    def __init__(self, weight: Tensor, precision: str) -> None:
        weight = weight.detach()
        self.weights, self.scales = weight.contiguous(), None
        if precision == "bf16":
            self.weights = weight.bfloat16().contiguous()
        elif precision == "int8":
            self.scales = (weight.abs().amax(dim=1) / 127).clamp_min(1e-12)
            self.weights = (weight / self.scales.unsqueeze(1)).round().to(torch.int8).contiguous()
        self._native = native.library() if weight.device.type == "cpu" else None
        self.matrix = native.matrix(self.weights, self.scales)
        self._threads = native.threads_for(self.bytes)

    @functools.cached_property
    def _wide(self) -> Tensor:
        """The same numbers in fp32, (in, out)."""
        wide = self.weights.float()
        return (wide if self.scales is None else wide * self.scales.unsqueeze(1)).t()

    @property
    def bytes(self) -> int:
        """Of the weights."""
        return self.weights.numel() * self.weights.element_size()

    def __call__(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """x W^T + plus."""
        if self._native is not None and len(x) <= native.MOST_ROWS:
            return native.product(self._native, self.matrix, x, plus, self._threads)
        return torch.mm(x, self._wide) if plus is None else torch.addmm(plus, x, self._wide)


class Steps(Protocol):
    """The part of a stepper that differs by architecture: what it remembers, and features from the next tokens."""

    def put(self, rows: list[int], state: State) -> None:
        """Let some rows be what the model remembers after reading their tokens."""

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only, in this order; one may be taken several times."""

    def step(self, ids_B: Tensor) -> Tensor:
        """Features (B, C) after one more token of each row."""


class Stepper:
    """log p(next token) of several sequences, a token at a time.

    `begin` reads prompts, `step` one more token of each. A transformer sees `context` tokens: `full` names the rows
    that hold so many, which must be begun again with their newest ones (`read_again`).
    """

    @torch.inference_mode()
    def __init__(self, model: LanguageModel, precision: str = "fp32") -> None:
        if precision == "int8" and model.device.type != "cpu":
            raise UsageError("--precision int8 is for the CPU: choose bf16 or fp32 on a GPU")
        self._model, self.begin_id, self.context = model, model.begin_id, model.context
        self._steps: Steps
        self._lengths: list[int] = []
        self._head = _Head(model, precision)
        if isinstance(model.core, Recurrent):
            self._new_steps: Callable[[int, int], Steps] = RecurrentSteps(model.core, precision).of
        elif isinstance(model.core, Transformer):
            self._new_steps = TransformerSteps(model.core, precision).of
        else:
            self._new_steps = functools.partial(ModelSteps, model.core)

    def begin(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read `<s>` and each prompt; log p of the next tokens, (B, V). A transformer reads the end of a long one."""
        different = list(dict.fromkeys(map(tuple, prompts)))
        self._lengths = [0] * len(different)
        self._steps = self._new_steps(len(different), max(map(len, different)) + 1)
        log_p_BV = torch.empty(len(different), self._model.vocab_size, device=self._model.device)
        self.read_again(list(range(len(different))), different, log_p_BV)
        if len(different) == len(prompts):
            return log_p_BV
        numbers = {prompt: number for number, prompt in enumerate(different)}
        rows = torch.tensor([numbers[tuple(prompt)] for prompt in prompts], device=self._model.device)
        self.keep(rows)
        return log_p_BV.index_select(0, rows)

    def step(self, ids_B: Tensor) -> Tensor:
        """log p of the tokens after these, (B, V), in a buffer that the next step writes over."""
        self._lengths = [length + 1 for length in self._lengths]
        return self._head.log_p(self._steps.step(ids_B))

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only, in this order; one may be taken several times."""
        self._steps.keep(rows)
        self._lengths = [self._lengths[row] for row in rows.tolist()]

    @property
    def room(self) -> int | None:
        """Steps until a row is full; None when none ever is."""
        return None if self.context is None else self.context - max(self._lengths)

    @property
    def full(self) -> list[int]:
        """The rows that can take no further token."""
        context = self.context
        return [] if context is None else [row for row, length in enumerate(self._lengths) if length >= context]

    def read_again(self, rows: list[int], prompts: Sequence[Sequence[int]], log_p_BV: Tensor) -> None:
        """Begin these rows with `<s>` and other texts, and put in their log p (B, V)."""
        was_training = self._model.training
        self._model.eval()
        try:
            ended = read(self._model, prompts)
        finally:
            self._model.train(was_training)
        for places, logits_BV, state in ended:
            taken = [rows[place] for place in places]
            self._steps.put(taken, state)
            log_p_BV[taken] = logits_BV.float().log_softmax(dim=-1)
            for row, place in zip(taken, places, strict=True):
                self._lengths[row] = min(len(prompts[place]) + 1, self.context or len(prompts[place]) + 1)


def read(model: LanguageModel, prompts: Sequence[Sequence[int]]) -> list[tuple[list[int], Tensor, State]]:
    """Read `<s>` and prompts of any lengths side by side; for each length: which prompts have it, the logits (B, V) of
    what comes next, and the state.

    The longer ones read on where a shorter one has ended. A transformer reads the end of a prompt that is longer than
    its context.
    """
    room = math.inf if model.context is None else model.context - 1
    texts = [
        [model.begin_id, *(prompt[len(prompt) - int(room) :] if len(prompt) > room else prompt)] for prompt in prompts
    ]
    going = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    ended: list[tuple[list[int], Tensor, State]] = []
    done, state = 0, None
    while going:
        until = min(len(texts[going[0]]), done + READ_TOKENS)
        ids_BT = torch.tensor([texts[place][done:until] for place in going], device=model.device)
        features_BTC, state = model.core(ids_BT, state)
        done = until
        over = sum(len(texts[place]) == done for place in going)
        if over:
            ended.append((going[:over], model.head(features_BTC[:over, -1:])[:, -1], rows_of(state, slice(over))))
            going, state = going[over:], rows_of(state, slice(over, None))
    return ended


class _Head:
    """From features to log p of all V symbols; the unseen share the probability that the model keeps for them."""

    def __init__(self, model: LanguageModel, precision: str) -> None:
        self._narrow = None if model.narrow is None else Product(model.narrow.weight, precision)
        self._output, self._bias = Product(model.output_weight, precision), model.output_bias
        self._seen_ids = model.seen_ids
        unseen = model.vocab_size - model.symbols.seen
        # The seen have the mass 1, the unseen together 1 / tokens, as in LanguageModel.
        self._rest = -math.log(model.symbols.tokens * unseen) if unseen else None
        self._mass = math.log1p(1 / model.symbols.tokens)
        self._log_p_BV = torch.empty(0, model.vocab_size)

    def log_p(self, features_BC: Tensor) -> Tensor:
        """(B, V)."""
        narrowed = features_BC if self._narrow is None else self._narrow(features_BC)
        log_p_BS = self._output(narrowed, self._bias).log_softmax(dim=-1)
        if self._rest is None:
            return log_p_BS
        if len(self._log_p_BV) != len(log_p_BS):
            size = (len(log_p_BS), self._log_p_BV.shape[1])
            self._log_p_BV = torch.full(size, self._rest - self._mass, device=log_p_BS.device)
        return self._log_p_BV.index_copy_(1, self._seen_ids, log_p_BS.sub_(self._mass))


class ModelSteps:
    """By the model itself."""

    def __init__(self, core: torch.nn.Module, rows: int, longest: int) -> None:
        self._core = core
        self._state: State = ()
        self._rows = rows

    def put(self, rows: list[int], state: State) -> None:
        """Let some rows be what the model remembers after reading their tokens."""
        self._state = put_rows(self._state, self._rows, rows, state)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self._state = take_rows(self._state, rows)

    def step(self, ids_B: Tensor) -> Tensor:
        """Features (B, C) after one more token of each row."""
        features_BTC, self._state = self._core(ids_B.unsqueeze(1), self._state)
        return features_BTC[:, 0]


def put_rows(whole: State, count: int, rows: list[int], part: State) -> State:
    """A state of `count` sequences with some of them replaced; `()` is one that has none yet."""
    if not whole:
        whole = map_state(lambda tensor: tensor.new_zeros(count, *tensor.shape[1:]), part)
    for layer, layer_part in zip(whole, part, strict=True):
        for tensor, tensor_part in zip(layer, layer_part, strict=True):
            tensor[rows] = tensor_part
    return whole


class RecurrentSteps:
    """rnn, gru and lstm: the cells' equations, the first layer's share of the input looked up by token."""

    def __init__(self, core: Recurrent, precision: str) -> None:
        self._layers = list(core.layers)
        self._hidden_shares, self._input_shares = [], []
        for layer in core.layers:
            W_ih, W_hh, b_ih, b_hh = layer.weights
            self._hidden_shares.append(_with_bias(Product(W_hh, precision), b_hh))
            self._input_shares.append(_with_bias(Product(W_ih, precision), b_ih))
        self._look_up = _first_share(core, self._input_shares[0])
        self._state: State = ()
        self._rows = 0

    def of(self, rows: int, longest: int) -> RecurrentSteps:
        """Itself, for so many sequences that have read nothing."""
        self._state, self._rows = (), rows
        return self

    def put(self, rows: list[int], state: State) -> None:
        """Let some rows be what the model remembers after reading their tokens."""
        self._state = put_rows(self._state, self._rows, rows, map_state(Tensor.float, state))

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self._state = take_rows(self._state, rows)

    def step(self, ids_B: Tensor) -> Tensor:
        """Features (B, C) after one more token of each row."""
        x_BG = self._look_up(ids_B)
        after: list[LayerState] = []
        for number, (layer, state) in enumerate(zip(self._layers, self._state, strict=True)):
            if number:
                x_BG = self._input_shares[number](after[-1][0])
            after.append(run_cell_once(layer.kind, x_BG, state, self._hidden_shares[number], layer.activation))
        self._state = tuple(after)
        return after[-1][0]


def _with_bias(multiply: Product, bias: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: multiply(x, bias)


def _first_share(core: Recurrent, share: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """W_ih x + b_ih of the first layer from ids (B,): (B, G)."""
    first: RecurrentLayer = core.layers[0]
    W_ih, _, b_ih, _ = first.weights
    if core.embedding is None:  # the column of a one-hot vector
        table_VG = W_ih.t().contiguous() + b_ih
    else:
        embedding_VE = core.embedding.weight
        if len(embedding_VE) * len(W_ih) > TABLE_NUMBERS:
            return lambda ids_B: share(embedding_VE.index_select(0, ids_B))
        table_VG = F.linear(embedding_VE, W_ih, b_ih)
    return lambda ids_B: table_VG.index_select(0, ids_B)


class TransformerSteps:
    """Attention over a buffer of keys and values, all rows ending at the same column, each beginning at its own."""

    def __init__(self, core: Transformer, precision: str) -> None:
        self._core = core
        self._tables = torch.cat([core.embedding.weight, *(table.weight for table in core.embeddings_before)])
        self._layers = [_LayerStep(layer, core.position == "rope", precision) for layer in core.layers]
        if core.position == "rope":
            self._rotations = torch.complex(*core.positions)
        self._native = None
        loaded = native.library() if self._tables.device.type == "cpu" else None
        if loaded is not None:
            self._native = native.Blocks(
                loaded,
                [layer.matrices for layer in self._layers],
                [(layer.attention_norm, layer.feedforward_norm) for layer in core.layers],
                core.layers[0].attention.heads,
                core.layers[0].feedforward.kind,
                sum(layer.bytes for layer in self._layers),
            )

    def of(self, rows: int, longest: int) -> TransformerSteps:
        """Itself, for so many sequences that have read nothing, of up to `longest` tokens."""
        self._at = min(longest, self._core.context)
        self._begins = [self._at] * rows
        for layer in self._layers:
            layer.allocate(rows, self._at, self._tables.device)
        before = len(self._core.embeddings_before)
        self._before = torch.zeros(rows, before, dtype=torch.long, device=self._tables.device)
        self._offsets = self._core.embedding.num_embeddings * torch.arange(1, before + 1, device=self._tables.device)
        return self

    def put(self, rows: list[int], state: State) -> None:
        """Let some rows be what the model remembers after reading their tokens."""
        tokens = state[0][0].shape[2]
        for layer, (K, V) in zip(self._layers, state[:-1], strict=True):
            layer.put(rows, K, V, self._at)
        self._before[rows] = state[-1][0].flip(1) + self._offsets
        for row in rows:
            self._begins[row] = self._at - tokens
        self._see()

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
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
        self._before = ids_BP[:, :-1] + self._core.embedding.num_embeddings
        x_BC = F.embedding(ids_BP, self._tables).sum(dim=1)
        if self._mask is None:
            place: slice | Tensor = slice(self._at - self._from, self._at - self._from + 1)
        else:
            place = self._at - self._places
        rotation = None
        if self._core.position == "learned":
            x_BC = x_BC + self._core.learned_positions.weight[place]
        elif self._core.position == "sinusoidal":
            x_BC = x_BC + self._core.positions[place]
        else:
            rotation = self._rotations[place]
        if self._native is not None:
            turns = None if rotation is None else rotation.expand(len(x_BC), -1)
            if len(x_BC) <= native.MOST_ROWS:
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

    def __init__(self, block: Block, rotary: bool, precision: str) -> None:
        self._heads, self._rotary = block.attention.heads, rotary
        W_qkv = block.attention.queries_keys_values.weight
        if rotary:
            # The two numbers that turn together stand side by side here: as one complex number.
            parts = (W.unflatten(0, (self._heads, -1)) for W in W_qkv.chunk(3))
            W_qkv = torch.cat([_side_by_side(W_HDC, dim=1).flatten(0, 1) for W_HDC in parts])
        self._head_width = len(W_qkv) // 3 // self._heads
        self._attention_norm, self._feedforward_norm = block.attention_norm, block.feedforward_norm
        self._qkv = Product(W_qkv, precision)
        self._gathered = Product(_gathering(block, self._heads, rotary), precision)
        self._up, self._down = (
            Product(part.weight, precision) for part in (block.feedforward.up, block.feedforward.down)
        )
        self._activate = block.feedforward.activate

    @property
    def matrices(self) -> dict[str, native.Matrix]:
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
            self._KV[rows, number, :, columns] = (_side_by_side(part, dim=3) if self._rotary else part).float()

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
        return self._qkv(self._attention_norm(x_BC))

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
        x_BC = self._gathered(y_BC, x_BC)
        return self._down(self._activate(self._up(self._feedforward_norm(x_BC))), x_BC)


def _gathering(block: Block, heads: int, rotary: bool) -> Tensor:
    """The matrix that reads what attention gathered, its columns in the order in which values stand here."""
    W_o = block.attention.output.weight
    return _side_by_side(W_o.unflatten(1, (heads, -1)), dim=2).flatten(1) if rotary else W_o


def _side_by_side(x: Tensor, dim: int) -> Tensor:
    """x_i and x_{i + D/2} along a dimension of size D, moved to 2i and 2i + 1."""
    return x.unflatten(dim, (2, -1)).transpose(dim, dim + 1).flatten(dim, dim + 1)
