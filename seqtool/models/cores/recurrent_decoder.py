"""rnn, gru and lstm that write: without attention, with additive or with multiplicative attention.

none (Sutskever et al. 2014): all that is known of the source is the state that the decoder begins with. luong (Luong et
al. 2015, sections 3 and 3.1, "general", without input feeding): attention comes after the recurrent layers, so that
these run over the whole text at once. bahdanau (Bahdanau et al. 2015, appendix A): what the state before looks at is an
input of the next step, so that steps follow each other.

Shapes: B batch, S positions that were read, M width of each, T tokens written, E embedding, G gates, H hidden, A width
of attention, O features.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.models.attention import additive_scores, multiplicative_scores, over_seen
from seqtool.models.cells import STATES, LayerState, run_cell_once
from seqtool.models.cores.decoder import Decoder, Memory, no_looks
from seqtool.models.cores.recurrent import Recurrent, RecurrentLayer
from seqtool.models.dropout import dropped
from seqtool.models.inputs import InputVectors
from seqtool.models.state import State
from seqtool.settings.model import ModelConfig


class RecurrentDecoder(Decoder):
    """Recurrent layers whose first state is told from the source, and attention over it."""

    def __init__(self, config: ModelConfig, input_width: int, memory_width: int) -> None:
        super().__init__()
        self.attention, self.embed = config.attention, input_width
        self.attends = config.attention != "none"
        additive = config.attention == "bahdanau"
        H = config.feature_width
        self.core = Recurrent(config, input_width + (memory_width if additive else 0))
        self.states = STATES[config.model]
        widths = [layer.hidden for layer in self.core.layers]
        self.first_states = nn.Linear(memory_width, self.states * sum(widths))
        self._widths = [width for width in widths for _ in range(self.states)]
        self.width = H
        if additive:
            self.query = nn.Linear(H, H, bias=False)
            self.key = nn.Linear(memory_width, H)
            self.score = nn.Parameter(torch.empty(H).uniform_(-(H**-0.5), H**-0.5))
        elif config.attention == "luong":
            self.key = nn.Linear(memory_width, H, bias=False)
        if config.attention != "none":
            self.join = nn.Linear(H + memory_width, H)

    def read(self, memory: Memory) -> State:
        """The first state of each layer; then keys, values and lengths, where there is attention."""
        parts = torch.tanh(self.first_states(memory.summary_BM)).float().split(self._widths, dim=-1)
        first = tuple(tuple(parts[n : n + self.states]) for n in range(0, len(parts), self.states))
        if self.attention == "none":
            return (*first, (memory.lengths_B,))
        return (*first, (self.key(memory.values_BSM), memory.values_BSM, memory.lengths_B))

    def forward(self, x_BTE: Tensor, given: State, state: State | None) -> tuple[Tensor, State]:
        """Features of each token, (B, T, H), by the fused layers where attention does not come between steps."""
        before = given[:-1] if state is None else state
        if self.attention == "bahdanau":
            features_BTH, contexts_BTM, after, _ = self._by_steps(x_BTE, given, before)
            return self._joined(features_BTH, contexts_BTM), after
        features_BTH, after = self.core(InputVectors(dense_BTE=x_BTE), before)
        if self.attention == "none":
            return features_BTH, after
        return self._joined(
            features_BTH, self._weights(features_BTH, given) @ given[-1][1].to(features_BTH.dtype)
        ), after

    def looks(self, x_BTE: Tensor, given: State) -> Tensor:
        """(B, 1, 1, T, S); without attention (B, 0, 1, T, S)."""
        if self.attention == "none":
            return no_looks(x_BTE, int(given[-1][0].max()))
        if self.attention == "bahdanau":
            weights_BTS = self._by_steps(x_BTE, given, given[:-1])[-1]
        else:
            weights_BTS = self._weights(self.core(InputVectors(dense_BTE=x_BTE), given[:-1])[0], given)
        return weights_BTS[:, None, None]

    def _joined(self, features_BTH: Tensor, contexts_BTM: Tensor) -> Tensor:
        """tanh(W [h; c]), eq. 5 of Luong et al."""
        return torch.tanh(self.join(torch.cat([features_BTH, contexts_BTM.to(features_BTH.dtype)], dim=-1)))

    def _weights(self, features_BTH: Tensor, given: State) -> Tensor:
        """Where each state looks, (B, T, S)."""
        keys_BSH, _, lengths_B = given[-1]
        scores_BTS = multiplicative_scores(features_BTH, keys_BSH.to(features_BTH.dtype))
        return over_seen(scores_BTS.float(), lengths_B).to(features_BTH.dtype)

    def _by_steps(self, x_BTE: Tensor, given: State, state: State) -> tuple[Tensor, Tensor, State, Tensor]:
        """Features (B, T, H), what was looked at (B, T, M), the last state, and the weights (B, T, S)."""
        keys_BSA, values_BSM, lengths_B = given[-1]
        layers: list[RecurrentLayer] = list(self.core.layers)
        W_ih, _, b_ih, _ = layers[0].weights
        x_BTG = F.linear(self.core.input_dropout(x_BTE), W_ih[:, : self.embed], b_ih)
        W_context = W_ih[:, self.embed :]
        shares = []
        for layer in layers:
            W_hh = dropped(layer.weights[1], layer.weight_dropout, self.training)
            shares.append(functools.partial(F.linear, weight=W_hh, bias=layer.weights[3]))
        features, contexts, looks = [], [], []
        for x_BG in x_BTG.unbind(1):
            queries_B1A = self.query(state[-1][0]).unsqueeze(1)
            weights_B1S = over_seen(additive_scores(queries_B1A, keys_BSA, self.score).float(), lengths_B)
            context_BM = (weights_B1S.to(values_BSM.dtype) @ values_BSM).squeeze(1)
            y_BG = x_BG + F.linear(context_BM, W_context)
            after: list[LayerState] = []
            for number, (layer, before) in enumerate(zip(layers, state, strict=True)):
                if number:
                    W, _, b, _ = layer.weights
                    y_BG = F.linear(self.core.hidden_dropout(after[-1][0].unsqueeze(1)).squeeze(1), W, b)
                after.append(run_cell_once(layer.kind, y_BG, before, shares[number], layer.activation))
            state = tuple(after)
            features.append(state[-1][0])
            contexts.append(context_BM)
            looks.append(weights_B1S)
        return torch.stack(features, 1), torch.stack(contexts, 1), state, torch.cat(looks, 1)

    def initialize(self, config: ModelConfig) -> None:
        """As the recurrent core does; what is about attention as torch does."""
        self.core.initialize(config)
