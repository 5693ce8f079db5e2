"""rnn, gru and lstm a token at a time.

Shapes: B sequences, V vocabulary, E embedding, G gates, H hidden.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from seqtool.models.cells import LayerState, run_cell_once
from seqtool.models.cores.recurrent import Recurrent, RecurrentLayer
from seqtool.models.decoding.products import Product
from seqtool.models.decoding.steps import ModuleSteps
from seqtool.models.inputs import Inputs
from seqtool.models.size import TABLE_NUMBERS


class RecurrentSteps(ModuleSteps):
    """rnn, gru and lstm: the cells' equations, the first layer's share of the input looked up by token."""

    def __init__(self, inputs: Inputs, core: Recurrent, precision: str) -> None:
        super().__init__(inputs, core)
        self._layers = list(core.layers)
        self._hidden_shares, self._input_shares = [], []
        for layer in core.layers:
            W_ih, W_hh, b_ih, b_hh = layer.weights
            self._hidden_shares.append(functools.partial(Product(W_hh, precision), plus=b_hh))
            self._input_shares.append(functools.partial(Product(W_ih, precision), plus=b_ih))
        self._look_up = _first_share(inputs, core, self._input_shares[0])

    def step(self, ids_B: Tensor) -> Tensor:
        """Features (B, H) after one more token of each row."""
        x_BG = self._look_up(ids_B)
        after: list[LayerState] = []
        for number, (layer, state) in enumerate(zip(self._layers, self._state, strict=True)):
            if number:
                x_BG = self._input_shares[number](after[-1][0])
            after.append(run_cell_once(layer.kind, x_BG, state, self._hidden_shares[number], layer.activation))
        self._state = tuple(after)
        return after[-1][0]


def _first_share(inputs: Inputs, core: Recurrent, share: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """W_ih x + b_ih of the first layer from ids (B,): (B, G)."""
    first: RecurrentLayer = core.layers[0]
    W_ih, _, b_ih, _ = first.weights
    if inputs.embedding is None:  # the column of a one-hot vector
        table_VG = W_ih.t().contiguous() + b_ih
    else:
        embedding_VE = inputs.embedding.weight
        if len(embedding_VE) * len(W_ih) > TABLE_NUMBERS:
            return lambda ids_B: share(embedding_VE.index_select(0, ids_B))
        table_VG = F.linear(embedding_VE, W_ih, b_ih)
    return lambda ids_B: table_VG.index_select(0, ids_B)
