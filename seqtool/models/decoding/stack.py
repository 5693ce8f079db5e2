"""mingru and gdn a token at a time: by step.c for a few sequences, else in few operations.

Shapes: B sequences, C width, H heads, D width of a head, K taps, P tables of the stem, F numbers that gdn convolves.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from seqtool.models.cores.mixers import HEAD_EPSILON, GatedDeltaNet, MinGru
from seqtool.models.cores.stack import Stack
from seqtool.models.decoding import compiled_step
from seqtool.models.decoding.compiled_step import MixerWeights, StateBlocks
from seqtool.models.decoding.products import Product
from seqtool.models.decoding.steps import ModuleSteps
from seqtool.models.delta_rule import LENGTH_EPSILON
from seqtool.models.inputs import Inputs
from seqtool.models.scan import gated_step
from seqtool.models.state import State

MixerState = tuple[Tensor, ...]
MINGRU, GDN = 0, 1  # step.c's enum mixer


class MixerStep(Protocol):
    """A mixer and the residual sum behind it, a token at a time."""

    read: Product
    output: Product

    def __call__(self, normed_BC: Tensor, state: MixerState, x_BC: Tensor) -> tuple[Tensor, MixerState]:
        """x + mixer(normalised x), (B, C), and the mixer's state after it."""

    @property
    def weights(self) -> MixerWeights:
        """What else it has learned, for step.c."""


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
            mix = STEPS.get(type(mixer), _ByItself)(mixer, precision)
            up, down = (Product(part.weight, precision) for part in (block.feedforward.up, block.feedforward.down))
            self._blocks.append((block.mixer_norm, mix, block.feedforward_norm, up, block.feedforward.activate, down))
        self._native = self._compiled(core)
        self._seen: State | None = None

    def _compiled(self, core: Stack) -> StateBlocks | None:
        """The blocks for step.c; None where it was not compiled, or a mixer is none of its."""
        library = compiled_step.step_library() if self._tables.device.type == "cpu" else None
        own = all(type(mixer) in STEPS for mixer in core.mixers)
        heads = next((mixer.heads for mixer in core.mixers if isinstance(mixer, GatedDeltaNet)), 1)
        width = self._tables.shape[1] // heads
        deltas = any(isinstance(mixer, GatedDeltaNet) for mixer in core.mixers)
        if library is None or not own or (deltas and width > compiled_step.MOST_HEAD):
            return None
        products = [
            {"read": mix.read.matrix, "gathered": mix.output.matrix, "up": up.matrix, "down": down.matrix}
            for _, mix, _, up, _, down in self._blocks
        ]
        return StateBlocks(
            library,
            products,
            [(norm, feedforward_norm) for norm, _, feedforward_norm, *_ in self._blocks],
            [mix.weights for _, mix, *_ in self._blocks],
            self._tables,
            len(self._offsets),
            core.norm,
            heads,
            core.layers[0].feedforward.kind,
            sum(part.bytes for _, mix, _, up, _, down in self._blocks for part in (mix.read, mix.output, up, down)),
            HEAD_EPSILON,
            LENGTH_EPSILON,
        )

    def step(self, ids_B: Tensor) -> Tensor:
        """Features (B, C) after one more token of each row."""
        *of_layers, (before_BL,) = self._state
        ids_BP = torch.cat([before_BL, ids_B.unsqueeze(1)], 1)  # the newest last
        features: Tensor
        if self._native is not None and len(ids_BP) <= compiled_step.MOST_ROWS:
            after = self._states_of(of_layers)
            features = self._native.step(ids_BP)
        else:
            x_BC, after = F.embedding(ids_BP + self._offsets, self._tables).sum(1), []
            for (norm, mix, feedforward_norm, up, activate, down), state in zip(self._blocks, of_layers, strict=True):
                x_BC, state = mix(norm(x_BC), state, x_BC)
                x_BC = down(activate(up(feedforward_norm(x_BC))), x_BC)
                after.append(state)
            features = self._norm(x_BC)
        self._state = (*after, (ids_BP[:, 1:],))
        return features

    def _states_of(self, of_layers: list[MixerState]) -> list[MixerState]:
        """The states, as step.c changes them in place."""
        assert self._native is not None
        if self._seen is None or any(mine is not given for mine, given in zip(self._seen, of_layers, strict=True)):
            of_layers = [tuple(part.contiguous() for part in state) for state in of_layers]
            self._native.see(of_layers)
            self._seen = tuple(of_layers)
        return of_layers


class _MinGruStep:
    def __init__(self, mixer: MinGru, precision: str) -> None:
        self._mixer = mixer
        self.read, self.output = (Product(part.weight, precision) for part in (mixer.gates_candidates, mixer.output))

    def __call__(self, normed_BC: Tensor, state: MixerState, x_BC: Tensor) -> tuple[Tensor, MixerState]:
        h_BC = gated_step(self.read(normed_BC), self._mixer.gate_bias, state[0], self._mixer.most)
        return self.output(h_BC, x_BC), (h_BC,)

    @property
    def weights(self) -> MixerWeights:
        return MixerWeights(MINGRU, self._mixer.most, self._mixer.gate_bias.detach())


class _GatedDeltaStep:
    def __init__(self, mixer: GatedDeltaNet, precision: str) -> None:
        self._mixer = mixer
        self.read = Product(torch.cat([mixer.queries_keys_values.weight, mixer.gates.weight]), precision)
        self.output, self._width = Product(mixer.output.weight, precision), mixer.queries_keys_values.out_features

    def __call__(self, normed_BC: Tensor, state: MixerState, x_BC: Tensor) -> tuple[Tensor, MixerState]:
        S_BHDD, before_BKF = state
        qkv_BF, gates = self.read(normed_BC).split((self._width, self._mixer.gates.out_features), -1)
        seen_BKF = torch.cat([before_BKF, qkv_BF.unsqueeze(1)], 1)
        qkv_BF = F.silu((seen_BKF * self._mixer.convolution).sum(1))
        o_BTHD, S_BHDD = self._mixer.remember(qkv_BF.unsqueeze(1), gates.unsqueeze(1), S_BHDD)
        return self.output(o_BTHD.flatten(1), x_BC), (S_BHDD, seen_BKF[:, 1:])

    @property
    def weights(self) -> MixerWeights:
        mixer = self._mixer
        learned = (mixer.decay_bias, mixer.log_decay.exp(), mixer.convolution, mixer.head_norm.weight)
        bias, rates, taps, head_gain = (part.detach().contiguous() for part in learned)
        return MixerWeights(GDN, mixer.most, bias, rates, taps, head_gain, mixer.mirrors)


class _ByItself:
    """By the module, whatever the precision."""

    def __init__(self, mixer: Any, precision: str) -> None:
        self._mixer = mixer

    def __call__(self, normed_BC: Tensor, state: MixerState, x_BC: Tensor) -> tuple[Tensor, MixerState]:
        y_BTC, after = self._mixer(normed_BC.unsqueeze(1), state)
        return x_BC + y_BTC[:, 0], after


STEPS: dict[type[Any], Any] = {MinGru: _MinGruStep, GatedDeltaNet: _GatedDeltaStep}
