"""mingru and gdn a token at a time, in few operations; what a mixer does not say stands for itself.

Shapes: B sequences, C width, H heads, D width of a head, K taps, P tables of the stem.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seqtool.models.cores.mixers import GatedDeltaNet, MinGru
from seqtool.models.cores.stack import Stack
from seqtool.models.decoding.products import Product
from seqtool.models.decoding.steps import ModuleSteps
from seqtool.models.inputs import Inputs
from seqtool.models.scan import gated_step

MixerState = tuple[Tensor, ...]
MixerStep = Callable[[Tensor, MixerState, Tensor], tuple[Tensor, MixerState]]
"""x + mixer(normalised x), (B, C), and the mixer's state, from the normalised x, the state and x."""


class StackSteps(ModuleSteps):
    """Blocks on the sum of a token's rows of the stem's tables, looked up at once."""

    def __init__(self, inputs: Inputs, core: Stack, precision: str) -> None:
        super().__init__(inputs, core)
        assert inputs.embedding is not None
        self._symbols, self._norm = inputs.symbols, core.norm
        self._tables = torch.cat([inputs.embedding.weight, *(table.weight for table in inputs.embeddings_before)])
        self._offsets = self._symbols * torch.arange(inputs.stem - 1, -1, -1, device=self._tables.device)
        self._blocks: list[Any] = []
        for block, mixer in zip(core.layers, core.mixers, strict=True):
            mix = STEPS.get(type(mixer), _by_itself)(mixer, precision)
            up, down = (Product(part.weight, precision) for part in (block.feedforward.up, block.feedforward.down))
            self._blocks.append((block.mixer_norm, mix, block.feedforward_norm, up, block.feedforward.activate, down))

    def step(self, ids_B: Tensor) -> Tensor:
        """Features (B, C) after one more token of each row."""
        *of_layers, (before_BL,) = self._state
        ids_BP = torch.cat([before_BL, ids_B.unsqueeze(1)], 1)  # the newest last
        x_BC = F.embedding(ids_BP + self._offsets, self._tables).sum(1)
        after = []
        for (norm, mix, feedforward_norm, up, activate, down), state in zip(self._blocks, of_layers, strict=True):
            x_BC, state = mix(norm(x_BC), state, x_BC)
            x_BC = down(activate(up(feedforward_norm(x_BC))), x_BC)
            after.append(state)
        self._state = (*after, (ids_BP[:, 1:],))
        features: Tensor = self._norm(x_BC)
        return features


def _mingru(mixer: MinGru, precision: str) -> MixerStep:
    gates_candidates, output = (Product(part.weight, precision) for part in (mixer.gates_candidates, mixer.output))

    def step(normed_BC: Tensor, state: MixerState, x_BC: Tensor) -> tuple[Tensor, MixerState]:
        h_BC = gated_step(gates_candidates(normed_BC), mixer.gate_bias, state[0], mixer.most)
        return output(h_BC, x_BC), (h_BC,)

    return step


def _gdn(mixer: GatedDeltaNet, precision: str) -> MixerStep:
    read = Product(torch.cat([mixer.queries_keys_values.weight, mixer.gates.weight]), precision)
    output, width = Product(mixer.output.weight, precision), mixer.queries_keys_values.out_features

    def step(normed_BC: Tensor, state: MixerState, x_BC: Tensor) -> tuple[Tensor, MixerState]:
        S_BHDD, before_BKC = state
        qkv_BC, gates = read(normed_BC).split((width, mixer.gates.out_features), -1)
        seen_BKC = torch.cat([before_BKC, qkv_BC.unsqueeze(1)], 1)
        qkv_BC = F.silu((seen_BKC * mixer.convolution).sum(1))
        o_BTHD, S_BHDD = mixer.remember(qkv_BC.unsqueeze(1), gates.unsqueeze(1), S_BHDD)
        return output(o_BTHD.flatten(1), x_BC), (S_BHDD, seen_BKC[:, 1:])

    return step


def _by_itself(mixer: Any, precision: str) -> MixerStep:
    """By the module, whatever the precision."""

    def step(normed_BC: Tensor, state: MixerState, x_BC: Tensor) -> tuple[Tensor, MixerState]:
        y_BTC, after = mixer(normed_BC.unsqueeze(1), state)
        return x_BC + y_BTC[:, 0], after

    return step


STEPS: dict[type[Any], Callable[[Any, str], MixerStep]] = {MinGru: _mingru, GatedDeltaNet: _gdn}
