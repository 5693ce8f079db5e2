"""rnn, gru and lstm: layers that share their parameters over time.

Shapes: B batch, T time, V vocabulary, E embedding, H hidden, G gates (H, 3H or 4H).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.models import cells, recurrence
from seqtool.models.cells import STATES, LayerState, run_cell
from seqtool.models.cores.core import Core, CoreSize
from seqtool.models.dropout import Dropout, dropped
from seqtool.models.inputs import Inputs, InputVectors
from seqtool.models.state import State
from seqtool.settings.model import ModelConfig

if TYPE_CHECKING:
    from seqtool.models.decoding.steps import Steps

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
IDENTITY_INPUT_DEVIATION = 0.001
TABLE_PAYS = 4  # tokens for each symbol, from which on a product for each symbol is less work than one for each token


class RecurrentLayer(nn.Module):
    """One recurrent layer: on the CPU the compiled one where it was built, else torch's fused kernel.

    The written-out cell can use the same weights.
    """

    def __init__(
        self, kind: str, input_width: int, hidden: int, activation: str = "tanh", weight_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.kind, self.hidden, self.activation, self.weight_dropout = kind, hidden, activation, weight_dropout
        self.kernel: nn.RNNBase
        if kind == "lstm":
            self.kernel = nn.LSTM(input_width, hidden, batch_first=True)
        elif kind == "gru":
            self.kernel = nn.GRU(input_width, hidden, batch_first=True)
        else:
            fused = "relu" if activation == "relu" else "tanh"
            self.kernel = nn.RNN(input_width, hidden, nonlinearity=fused, batch_first=True)

    @property
    def weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """W_ih (G, E), W_hh (G, H), b_ih (G,) and b_hh (G,)."""
        W_ih, W_hh, b_ih, b_hh = self.kernel.parameters()
        return W_ih, W_hh, b_ih, b_hh

    def _dropped_weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The same, in training with dropout on W_hh: DropConnect (Wan et al. 2013), as in AWD-LSTM."""
        W_ih, W_hh, b_ih, b_hh = self.weights
        return W_ih, dropped(W_hh, self.weight_dropout, self.training), b_ih, b_hh

    def forward(self, x_BTE: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """Outputs (B, T, H) and the state after the last step, by the fused kernel where there is one."""
        if self.kind == "rnn" and self.activation == "sigmoid":
            return self.reference(x_BTE, state)
        dtype = self._compiled_dtype(x_BTE.device)
        if dtype is not None:
            W_ih, W_hh, _, b_hh = self._dropped_weights()
            return self._compiled(F.linear(x_BTE, W_ih, self._input_bias), None, W_hh, b_hh, state, dtype)
        wrapped = tuple(part.to(x_BTE.dtype).unsqueeze(0).contiguous() for part in state)  # torch: (layers, B, H)
        if self.training and self.weight_dropout:
            y_BTH, *parts = self._kernel_with(self._dropped_weights(), x_BTE, wrapped)
            after = tuple(parts)
        elif self.kind == "lstm":
            with recurrence.torch_kernels(x_BTE.device):
                y_BTH, after = self.kernel(x_BTE, wrapped)
        else:
            y_BTH, last = self.kernel(x_BTE, wrapped[0])
            after = (last,)
        return y_BTH, tuple(part.squeeze(0).to(given.dtype) for part, given in zip(after, state, strict=True))

    def _kernel_with(self, weights: tuple[Tensor, ...], x_BTE: Tensor, state: LayerState) -> tuple[Tensor, ...]:
        """What the fused kernel gives with other weights than its own: outputs and the parts of the state."""
        kernel: Any = {"lstm": torch.lstm, "gru": torch.gru}.get(self.kind) or getattr(torch, f"rnn_{self.activation}")
        given = state if self.kind == "lstm" else state[0]
        options = {"has_biases": True, "num_layers": 1, "dropout": 0.0, "train": True}
        with recurrence.torch_kernels(x_BTE.device):
            return kernel(x_BTE, given, list(weights), **options, bidirectional=False, batch_first=True)

    def reference(self, x_BTE: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """The same by the cell's equations."""
        W_ih, W_hh, b_ih, b_hh = self._dropped_weights()
        return run_cell(self.kind, F.linear(x_BTE, W_ih, b_ih), state, W_hh, b_hh, self.activation)

    def _compiled_dtype(self, device: torch.device) -> torch.dtype | None:
        """The arithmetic in which the compiled layer runs here; None where it was not built, or torch's is faster."""
        if device.type != "cpu" or self.weights[0].dtype != torch.float32:
            return None
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        return dtype if recurrence.multiplies(dtype) else None

    @property
    def _input_bias(self) -> Tensor:
        """Biases of the input's share: both, but for a gru, whose reset gate lies between (`cells.gru_cell`)."""
        _, _, b_ih, b_hh = self.weights
        return b_ih if self.kind == "gru" else b_ih + b_hh

    def _compiled(
        self, x: Tensor, ids_BT: Tensor | None, W_hh: Tensor, b_hh: Tensor, state: LayerState, dtype: torch.dtype
    ) -> tuple[Tensor, LayerState]:
        own_bias = b_hh if self.kind == "gru" else None
        return recurrence.run(self.kind, self.activation == "relu", x, ids_BT, W_hh, own_bias, state, dtype)

    def symbols(self, embedding: Tensor | None, ids_BT: Tensor, state: LayerState) -> tuple[Tensor, LayerState] | None:
        """The same on rows of an embedding (V, E), or on one-hot vectors where it is None.

        One product for each symbol instead of one for each token; None where the compiled layer does not run.
        """
        dtype = None if self.kind == "rnn" and self.activation == "sigmoid" else self._compiled_dtype(ids_BT.device)
        if dtype is None:
            return None
        W_ih, W_hh, _, b_hh = self._dropped_weights()
        with torch.autocast("cpu", enabled=False):
            table_VG = W_ih.t() + self._input_bias if embedding is None else F.linear(embedding, W_ih, self._input_bias)
        return self._compiled(table_VG, ids_BT, W_hh, b_hh, state, dtype)

    def one_hot(self, ids_BT: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """The same on one-hot vectors that are never made: W_ih times the one-hot of i is column i of W_ih."""
        W_ih, W_hh, b_ih, b_hh = self._dropped_weights()
        found = self.symbols(None, ids_BT, state) if W_ih.shape[1] <= ids_BT.numel() else None
        if found is not None:
            return found
        return run_cell(self.kind, F.embedding(ids_BT, W_ih.t()) + b_ih, state, W_hh, b_hh, self.activation)


class Recurrent(Core):
    """Stacked recurrent layers; features (B, T, H). The state of each layer is (h,), or (h, c) of an lstm."""

    layers: list[RecurrentLayer]  # an nn.ModuleList of them

    def __init__(self, config: ModelConfig, input_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(  # type: ignore[assignment]
            RecurrentLayer(config.model, before, hidden, config.activation, config.weight_dropout)
            for before, hidden in _widths(config, input_width)
        )
        self.input_dropout = Dropout(config.dropout_at("input"), config.variational)
        self.hidden_dropout = Dropout(config.dropout_at("hidden"), config.variational)
        self.states = STATES[config.model]

    def forward(self, x: InputVectors, state: State | None) -> tuple[Tensor, State]:
        """Features of each token and the state of each layer after the last one."""
        if state is None:
            weight = next(self.parameters())
            state = tuple((weight.new_zeros(x.rows, layer.hidden),) * self.states for layer in self.layers)
        y, layer_state = self._first(x, state[0])
        after = [layer_state]
        for layer, layer_state in zip(self.layers[1:], state[1:], strict=True):
            y, layer_state = layer(self.hidden_dropout(y), layer_state)
            after.append(layer_state)
        return y, tuple(after)

    def _first(self, x: InputVectors, state: LayerState) -> tuple[Tensor, LayerState]:
        """The first layer: where there are many tokens of few symbols, by a product for each symbol."""
        layer = self.layers[0]
        if x.ids_BT is not None and x.one_hot:
            return layer.one_hot(x.ids_BT, state)
        dropping = self.training and self.input_dropout.rate
        if x.ids_BT is not None and x.table_VE is not None and not dropping:
            found = None
            if TABLE_PAYS * len(x.table_VE) <= x.ids_BT.numel():
                found = layer.symbols(x.table_VE, x.ids_BT, state)
            if found is not None:
                return found
        return layer(self.input_dropout(x.dense()), state)

    def gate_values(self, x: InputVectors) -> list[dict[str, Tensor]]:
        """Those of the cells, from what each layer reads and has carried on."""
        found, y = [], None
        for number, layer in enumerate(self.layers):
            W_ih, W_hh, b_ih, b_hh = layer.weights
            if y is None and x.one_hot:
                assert x.ids_BT is not None
                x_BTG = F.embedding(x.ids_BT, W_ih.t()) + b_ih
            else:
                x_BTG = F.linear(x.dense() if y is None else y, W_ih, b_ih)
            state = (x_BTG.new_zeros(x.rows, layer.hidden),) * self.states
            y = self._first(x, state)[0] if number == 0 else layer(y, state)[0]
            found.append(cells.gate_values(layer.kind, x_BTG, F.pad(y, (0, 0, 1, 0))[:, :-1], W_hh, b_hh))
        return found if any(found) else []

    @staticmethod
    def size(config: ModelConfig, input_width: int) -> CoreSize:
        """For each gate a matrix for the input, one for the hidden state, and torch's two biases."""
        G = GATES[config.model]
        widths = list(_widths(config, input_width))
        first = G * widths[0][1]
        products = sum(G * hidden * (before + hidden) for before, hidden in widths)
        if config.input == "one-hot":
            products -= first * input_width
        return CoreSize(
            parameters=sum(G * hidden * (before + hidden + 2) for before, hidden in widths),
            product_weights=products,
            table_weights=first * input_width if config.input == "learned" else 0,
            table_width=first,
        )

    @torch.no_grad()
    def initialize(self, config: ModelConfig) -> None:
        """Set the weights by `config.init`, gate by gate, and the forget gate's bias.

        xavier: Glorot & Bengio 2010. orthogonal: Saxe et al. 2014, for W_hh, Xavier for W_ih. identity: W_hh = I, small
        W_ih and zero biases, so that at first a state is kept as it is (Le, Jaitly & Hinton 2015, section 2, with
        ReLU).
        """
        for layer in self.layers:
            (W_ih, W_hh, b_ih, b_hh), hidden = layer.weights, layer.hidden
            if config.init != "default":
                for gate in range(GATES[config.model]):
                    rows = slice(gate * hidden, (gate + 1) * hidden)
                    nn.init.xavier_uniform_(W_ih[rows])
                    if config.init == "identity":
                        nn.init.normal_(W_ih[rows], std=IDENTITY_INPUT_DEVIATION)
                        nn.init.eye_(W_hh[rows])
                    elif config.init == "orthogonal":
                        nn.init.orthogonal_(W_hh[rows])
                    else:
                        nn.init.xavier_uniform_(W_hh[rows])
                b_ih.zero_()
                b_hh.zero_()
            if config.model == "lstm" and config.forget_bias:
                b_ih[hidden : 2 * hidden] = config.forget_bias
                b_hh[hidden : 2 * hidden] = 0.0

    def one_hot_columns(self) -> Tensor:
        """The columns of the first W_ih, (V, G)."""
        W_ih_GV, *_ = self.layers[0].weights
        return W_ih_GV.t()

    def steps(self, inputs: Inputs, precision: str) -> Steps:
        """By the cells' equations."""
        from seqtool.models.decoding.recurrent import RecurrentSteps

        return RecurrentSteps(inputs, self, precision)


def _widths(config: ModelConfig, input_width: int) -> Iterator[tuple[int, int]]:
    """Of each layer the width of what it reads and its own."""
    hidden = [config.hidden] * (config.layers - 1) + [config.feature_width]
    return zip([input_width, *hidden], hidden, strict=False)
