"""ffn: dense layers on a window of the last tokens (Bengio et al. 2003, eq. 1), the lecture's model without recurrence.

It cannot see beyond its window, and each place in the window has weights of its own: the limits that recurrence lifts.
Shapes: B batch, T time, K window, V vocabulary, E embedding, H hidden.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.models.cells import ACTIVATIONS
from seqtool.models.dropout import Dropout, drop_symbols
from seqtool.models.state import State, map_state
from seqtool.settings.model import ModelConfig


class FeedForward(nn.Module):
    """Dense layers over a window of `context` tokens; features (B, T, H)."""

    layers: list[nn.Linear]  # an nn.ModuleList of them

    def __init__(self, config: ModelConfig, vocab_size: int, begin_id: int) -> None:
        super().__init__()
        self.window, self.begin_id = config.context, begin_id
        self.one_hot = config.input == "one-hot"
        self.embedding = None if self.one_hot else nn.Embedding(vocab_size, config.embed_width)
        width = vocab_size if self.one_hot else config.embed_width
        widths = [width * self.window] + [config.hidden] * (config.layers - 1)
        self.layers = nn.ModuleList(  # type: ignore[assignment]
            nn.Linear(width, config.hidden) for width in widths
        )
        self.activation = ACTIVATIONS[config.activation]
        self.dropout_embedding = config.dropout_embedding
        self.input_dropout = Dropout(config.dropout_at("input"), config.variational)
        self.hidden_dropout = Dropout(config.dropout_at("hidden"), config.variational)

    def forward(self, ids_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Features of each token; the state is the last K-1 ids. Before the beginning of a text stand `<s>`."""
        if state is None:
            state = ((ids_BT.new_full((len(ids_BT), self.window - 1), self.begin_id),),)
        ids = torch.cat([state[0][0], ids_BT], dim=1)
        first = self.layers[0]
        if self.embedding is None:
            x_BTH = self._one_hot_product(ids, first) + first.bias
        else:
            x_BTE = self.embedding(ids)
            if self.training and self.dropout_embedding:
                x_BTE = drop_symbols(x_BTE, ids, self.embedding.num_embeddings, self.dropout_embedding)
            x_BTE = self.input_dropout(x_BTE)
            windows = x_BTE.unfold(1, self.window, 1).transpose(2, 3).flatten(2)  # (B, T, K*E), oldest token first
            x_BTH = first(windows)
        for layer in self.layers[1:]:
            x_BTH = layer(self.hidden_dropout(self.activation(x_BTH)))
        last_ids = ids[:, ids.shape[1] - (self.window - 1) :]
        return self.activation(x_BTH), ((last_ids,),)

    def restarted(self, state: State, restarts_B: Tensor) -> State:
        """The state with `<s>` all over the window in some rows."""
        return map_state(lambda ids: ids.masked_fill(restarts_B.unsqueeze(1), self.begin_id), state)

    def _one_hot_product(self, ids: Tensor, layer: nn.Linear) -> Tensor:
        """The product with K one-hot vectors, which are never made: a sum of K columns of the weights."""
        time = ids.shape[1] - self.window + 1
        columns_KVH = layer.weight.t().unflatten(0, (self.window, -1))
        return torch.stack(
            [F.embedding(ids[:, place : place + time], columns_KVH[place]) for place in range(self.window)]
        ).sum(0)


@torch.no_grad()
def initialize_feedforward(core: FeedForward, config: ModelConfig) -> None:
    """Set the dense layers' weights: torch's default, Xavier or orthogonal, with zero biases for the latter two."""
    if config.init != "default":
        for layer in core.layers:
            (nn.init.orthogonal_ if config.init == "orthogonal" else nn.init.xavier_uniform_)(layer.weight)
            layer.bias.zero_()
