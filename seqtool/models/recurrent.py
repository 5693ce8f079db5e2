"""rnn, gru and lstm: layers that share their parameters over time.

Shapes: B batch, T time, V vocabulary, E embedding, H hidden, G gates (H, 3H or 4H).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.config import ModelConfig
from seqtool.models.cells import STATES, LayerState, run_cell
from seqtool.models.size import GATES
from seqtool.models.state import State, map_state

IDENTITY_INPUT_DEVIATION = 0.001


class RecurrentLayer(nn.Module):
    """One recurrent layer: torch's fused kernel, whose weights the written-out cell can use as well."""

    def __init__(self, kind: str, input_width: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.kind, self.hidden, self.activation = kind, hidden, activation
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

    def forward(self, x_BTE: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """Outputs (B, T, H) and the state after the last step, by the fused kernel where there is one."""
        if self.kind == "rnn" and self.activation == "sigmoid":
            return self.reference(x_BTE, state)
        wrapped = tuple(part.to(x_BTE.dtype).unsqueeze(0).contiguous() for part in state)  # torch: (layers, B, H)
        if self.kind == "lstm":
            y_BTH, after = self.kernel(x_BTE, wrapped)
        else:
            y_BTH, last = self.kernel(x_BTE, wrapped[0])
            after = (last,)
        return y_BTH, tuple(part.squeeze(0) for part in after)

    def reference(self, x_BTE: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """The same by the cell's equations."""
        W_ih, _, b_ih, _ = self.weights
        return self._unroll(F.linear(x_BTE, W_ih, b_ih), state)

    def one_hot(self, ids_BT: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """The same on one-hot vectors that are never made: W_ih times the one-hot of i is column i of W_ih."""
        W_ih, _, b_ih, _ = self.weights
        return self._unroll(F.embedding(ids_BT, W_ih.t()) + b_ih, state)

    def _unroll(self, x_BTG: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        _, W_hh, _, b_hh = self.weights
        return run_cell(self.kind, x_BTG, state, W_hh, b_hh, self.activation)


class Recurrent(nn.Module):
    """Stacked recurrent layers on embedded or one-hot tokens; features (B, T, H)."""

    layers: list[RecurrentLayer]  # an nn.ModuleList of them

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.one_hot = config.input == "one-hot"
        self.embedding = None if self.one_hot else nn.Embedding(vocab_size, config.embed_width)
        widths = [vocab_size if self.one_hot else config.embed_width] + [config.hidden] * (config.layers - 1)
        self.layers = nn.ModuleList(  # type: ignore[assignment]
            RecurrentLayer(config.model, width, config.hidden, config.activation) for width in widths
        )
        self.dropout = nn.Dropout(config.dropout)
        self.states = STATES[config.model]

    def forward(self, ids_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Features of each token and the state of each layer after the last one."""
        if state is None:
            zero = self.layers[0].weights[1].new_zeros(len(ids_BT), self.layers[0].hidden)
            state = tuple((zero,) * self.states for _ in self.layers)
        x = ids_BT if self.embedding is None else self.dropout(self.embedding(ids_BT))
        after = []
        for number, (layer, layer_state) in enumerate(zip(self.layers, state, strict=True)):
            run = layer.one_hot if self.one_hot and number == 0 else layer
            x, layer_state = run(x, layer_state)
            x = self.dropout(x)
            after.append(layer_state)
        return x, tuple(after)

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
