"""mingru and gdn: a stack of blocks whose mixers carry a state of constant size, also of several kinds in turn.

Shapes: B batch, T time, C width of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from seqtool.models.cores.block import DEVIATION, ResidualBlock, beside_mixer, draw_matrices, norm_of, norm_parameters
from seqtool.models.cores.core import Core, CoreSize
from seqtool.models.cores.mixers import MIXERS
from seqtool.models.dropout import Dropout
from seqtool.models.inputs import Inputs, InputVectors
from seqtool.models.state import State
from seqtool.settings.model import ModelConfig

if TYPE_CHECKING:
    from seqtool.models.decoding.steps import Steps


class Stack(Core):
    """Blocks on input vectors; features (B, T, C). The state of each layer is that of its mixer."""

    layers: list[ResidualBlock]  # an nn.ModuleList of them
    output_deviation = DEVIATION

    def __init__(self, config: ModelConfig, input_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(  # type: ignore[assignment]
            ResidualBlock(config, _mixer(name, config)) for name in config.mixer_of_layers
        )
        self.norm = norm_of(config)
        self.input_dropout = Dropout(config.dropout_at("input"), config.variational)

    def forward(self, x: InputVectors, state: State | None) -> tuple[Tensor, State]:
        """Features of each token and the state of each layer after the last one."""
        y, after = self.input_dropout(x.dense()), []
        for number, layer in enumerate(self.layers):
            y, layer_state = layer(y, None if state is None else state[number])
            after.append(layer_state)
        return self.norm(y), tuple(after)

    def gate_values(self, x: InputVectors) -> list[dict[str, Tensor]]:
        """Those of the mixers."""
        y, found = x.dense(), []
        for layer, mixer in zip(self.layers, self.mixers, strict=True):
            found.append(mixer.gate_values(layer.get_submodule("mixer_norm")(y)))
            y, _ = layer(y, None)
        return found

    @staticmethod
    def size(config: ModelConfig, input_width: int) -> CoreSize:
        """In each block a mixer, the dense net, and two norms; then a norm."""
        beside, products = beside_mixer(config)
        sizes = [MIXERS[name].size(config) for name in config.mixer_of_layers]
        in_window = config.context * sum(size.pair_flops for size in sizes)
        return CoreSize(
            parameters=sum(size.parameters + beside for size in sizes) + norm_parameters(config),
            product_weights=sum(size.product_weights + products for size in sizes),
            token_flops=sum(size.token_flops for size in sizes) + in_window,
        )

    @staticmethod
    def embedding_deviation(config: ModelConfig) -> float:
        """That of all its weights."""
        return DEVIATION

    def initialize(self, config: ModelConfig) -> None:
        """As every stack of blocks; then what of each mixer is no matrix."""
        draw_matrices(self, config, "mixer")
        for mixer in self.mixers:
            mixer.initialize()

    @property
    def mixers(self) -> list[Any]:
        """The mixer of each layer."""
        return [layer.mixer for layer in self.layers]

    def shards(self) -> Iterator[nn.Module]:
        """The blocks."""
        return iter(self.layers)

    def steps(self, inputs: Inputs, precision: str) -> Steps:
        """In few operations, by step.c where it was compiled."""
        from seqtool.models.decoding.stack import StackSteps

        return StackSteps(inputs, self, precision)


def _mixer(name: str, config: ModelConfig) -> nn.Module:
    """The mixer of that name."""
    mixer = MIXERS[name](config)
    assert isinstance(mixer, nn.Module)
    return mixer
