"""ffn: dense layers on a window of the last tokens (Bengio et al. 2003, eq. 1), the lecture's model without recurrence.

It cannot see beyond its window, and each place in the window has weights of its own: the limits that recurrence lifts.
Shapes: B batch, T time, K window, V vocabulary, E embedding, H hidden.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.models.cells import ACTIVATIONS
from seqtool.models.cores.core import Core, CoreSize
from seqtool.models.dropout import Dropout
from seqtool.models.inputs import InputVectors
from seqtool.models.state import State
from seqtool.settings.model import ModelConfig


class DenseWindow(Core):
    """Dense layers over the vectors of the last `context` tokens; features (B, T, H). It has no state of its own."""

    layers: list[nn.Linear]  # an nn.ModuleList of them

    def __init__(self, config: ModelConfig, input_width: int) -> None:
        super().__init__()
        self.places = config.context
        widths = [input_width * self.places] + [config.hidden] * (config.layers - 1)
        self.layers = nn.ModuleList(  # type: ignore[assignment]
            nn.Linear(width, config.hidden) for width in widths
        )
        self.activation = ACTIVATIONS[config.activation]
        self.input_dropout = Dropout(config.dropout_at("input"), config.variational)
        self.hidden_dropout = Dropout(config.dropout_at("hidden"), config.variational)

    @staticmethod
    def window(config: ModelConfig) -> int:
        """All places but the newest."""
        return config.context - 1

    def forward(self, x: InputVectors, state: State | None) -> tuple[Tensor, State]:
        """Features of each token that has K - 1 vectors before it in x."""
        first = self.layers[0]
        if x.ids_BT is not None and x.one_hot:
            y_BTH = self._one_hot_product(x.ids_BT, first) + first.bias
        else:
            x_BTE = self.input_dropout(x.dense())
            windows = x_BTE.unfold(1, self.places, 1).transpose(2, 3).flatten(2)  # (B, T, K*E), oldest token first
            y_BTH = first(windows)
        for layer in self.layers[1:]:
            y_BTH = layer(self.hidden_dropout(self.activation(y_BTH)))
        return self.activation(y_BTH), ()

    @staticmethod
    def size(config: ModelConfig, input_width: int) -> CoreSize:
        """A matrix for each place of the window, and the layers above."""
        K, H, L = config.context, config.hidden, config.layers
        looked_up = config.input == "one-hot"
        return CoreSize(
            parameters=(K * input_width + 1) * H + (L - 1) * (H + 1) * H,
            product_weights=(0 if looked_up else K * input_width * H) + (L - 1) * H * H,
        )

    @torch.no_grad()
    def initialize(self, config: ModelConfig) -> None:
        """Set the dense layers' weights: torch's, Xavier or orthogonal, with zero biases for the latter two."""
        if config.init != "default":
            for layer in self.layers:
                (nn.init.orthogonal_ if config.init == "orthogonal" else nn.init.xavier_uniform_)(layer.weight)
                layer.bias.zero_()

    def one_hot_columns(self) -> Tensor:
        """The columns of the first weights, (V, K H): those of all places side by side."""
        columns_KVH = self.layers[0].weight.t().unflatten(0, (self.places, -1))
        return columns_KVH.transpose(0, 1).flatten(1)

    def _one_hot_product(self, ids: Tensor, layer: nn.Linear) -> Tensor:
        """The product with K one-hot vectors, which are never made: a sum of K columns of the weights."""
        time = ids.shape[1] - self.places + 1
        columns_KVH = layer.weight.t().unflatten(0, (self.places, -1))
        return torch.stack(
            [F.embedding(ids[:, place : place + time], columns_KVH[place]) for place in range(self.places)]
        ).sum(0)
