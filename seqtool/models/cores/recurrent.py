"""rnn, gru and lstm: layers that share their parameters over time.

Shapes: B batch, T time, V vocabulary, E embedding, H hidden, G gates (H, 3H or 4H).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.models import recurrence
from seqtool.models.cells import STATES, LayerState, run_cell
from seqtool.models.dropout import Dropout, drop_symbols
from seqtool.models.size import GATES
from seqtool.models.state import State, map_state
from seqtool.settings.model import ModelConfig

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
        return W_ih, F.dropout(W_hh, self.weight_dropout, self.training), b_ih, b_hh

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


class Recurrent(nn.Module):
    """Stacked recurrent layers on embedded or one-hot tokens; features (B, T, H)."""

    layers: list[RecurrentLayer]  # an nn.ModuleList of them

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.one_hot = config.input == "one-hot"
        self.embedding = None if self.one_hot else nn.Embedding(vocab_size, config.embed_width)
        hidden = [config.hidden] * (config.layers - 1) + [config.feature_width]
        widths = [vocab_size if self.one_hot else config.embed_width, *hidden]
        self.layers = nn.ModuleList(  # type: ignore[assignment]
            RecurrentLayer(config.model, width, layer_hidden, config.activation, config.weight_dropout)
            for width, layer_hidden in zip(widths, hidden, strict=False)
        )
        self.dropout_embedding = config.dropout_embedding
        self.input_dropout = Dropout(config.dropout_at("input"), config.variational)
        self.hidden_dropout = Dropout(config.dropout_at("hidden"), config.variational)
        self.states = STATES[config.model]

    def forward(self, ids_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Features of each token and the state of each layer after the last one."""
        if state is None:
            weight = next(self.parameters())
            state = tuple((weight.new_zeros(len(ids_BT), layer.hidden),) * self.states for layer in self.layers)
        x, layer_state = self._first(ids_BT, state[0])
        after = [layer_state]
        for layer, layer_state in zip(self.layers[1:], state[1:], strict=True):
            x, layer_state = layer(self.hidden_dropout(x), layer_state)
            after.append(layer_state)
        return x, tuple(after)

    def _first(self, ids_BT: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """The first layer, on embedded or one-hot tokens."""
        layer = self.layers[0]
        if self.embedding is None:
            return layer.one_hot(ids_BT, state)
        dropped = self.training and (self.dropout_embedding or self.input_dropout.rate)
        if not dropped and TABLE_PAYS * self.embedding.num_embeddings <= ids_BT.numel():
            found = layer.symbols(self.embedding.weight, ids_BT, state)
            if found is not None:
                return found
        return layer(self._embedded(self.embedding, ids_BT), state)

    def _embedded(self, embedding: nn.Embedding, ids_BT: Tensor) -> Tensor:
        x_BTE = embedding(ids_BT)
        if self.training and self.dropout_embedding:
            x_BTE = drop_symbols(x_BTE, ids_BT, embedding.num_embeddings, self.dropout_embedding)
        return self.input_dropout(x_BTE)

    def restarted(self, state: State, restarts_B: Tensor) -> State:
        """The state with zeros in some rows."""
        return map_state(lambda part: part.masked_fill(restarts_B.unsqueeze(1), 0.0), state)


@torch.no_grad()
def initialize_recurrent(core: Recurrent, config: ModelConfig) -> None:
    """Set the weights by `config.init`, gate by gate, and the forget gate's bias.

    xavier: Glorot & Bengio 2010. orthogonal: Saxe et al. 2014, for W_hh, Xavier for W_ih. identity: W_hh = I, small
    W_ih and zero biases, so that at first a state is kept as it is (Le, Jaitly & Hinton 2015, section 2, with ReLU).
    """
    for layer in core.layers:
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
