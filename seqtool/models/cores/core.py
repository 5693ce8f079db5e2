"""What every architecture gives: features and a state from input vectors, and what is known of it beforehand.

Shapes: B batch, T time, E width of the input, H width of the features.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn

from seqtool.models.inputs import Inputs, InputVectors
from seqtool.models.state import State, map_state
from seqtool.settings.model import ModelConfig

if TYPE_CHECKING:
    from seqtool.models.decoding.steps import Steps


class CoreSize(NamedTuple):
    """How large a core is, known from its settings alone."""

    parameters: int
    """Trainable numbers."""
    product_weights: int
    """Of these, the weights that each token's vectors are multiplied by; what is looked up is none."""
    pair_flops: int = 0
    """Operations of training on a token for each token before it that it looks at, forward and backward."""
    token_flops: int = 0
    """Operations of training on a token that are neither: those on a state or a window of constant size."""
    table_weights: int = 0
    """Of the product's weights, those that are multiplied by input vectors alone: a table of all symbols' products,
    where it is small enough, is read in their place.
    """
    table_width: int = 0
    """Numbers in a row of that table."""


class Core(nn.Module):
    """An architecture: `features, state = core(x, state)`.

    A subclass defines `__init__(config, input_width)`, `forward` and `size`, and what else of these differs from it.
    """

    output_deviation: float | None = None
    """Standard deviation of the output layer's initial weights; None: as torch draws them."""

    def forward(self, x: InputVectors, state: State | None) -> tuple[Tensor, State]:
        """Features (B, T, H) of the new tokens and the state after the last one; None begins a text.

        Where the architecture has a window, x begins with that many vectors before the new ones.
        """
        raise NotImplementedError

    @staticmethod
    def size(config: ModelConfig, input_width: int) -> CoreSize:
        """How large the core of these settings is."""
        raise NotImplementedError

    @staticmethod
    def window(config: ModelConfig) -> int | None:
        """How many vectors before the first new one the core reads again; None where it has a state for that."""
        return None

    @staticmethod
    def embedding_deviation(config: ModelConfig) -> float:
        """Standard deviation of the embedding's initial weights; a tied one also scores, with logits of deviation 1."""
        return config.embed_width**-0.5 if config.tied else 1.0

    def initialize(self, config: ModelConfig) -> None:
        """Draw the first weights as --init says, from torch's global generator; as torch draws them by default."""

    def restarted(self, state: State, restarts_B: Tensor) -> State:
        """The state with some rows of the batch as before a text's beginning: zeros."""
        return map_state(lambda part: part.masked_fill(restarts_B.view(-1, *[1] * (part.dim() - 1)), 0.0), state)

    def looks(self, x: InputVectors) -> Tensor | None:
        """With what shares each token of a text looks at those up to it, (L, B, H, T, T); None without attention."""
        return None

    def gate_values(self, x: InputVectors) -> list[dict[str, Tensor]]:
        """Of each layer its gates by name, (B, T, N), over a text from its beginning; empty without gates."""
        return []

    def one_hot_columns(self) -> Tensor:
        """What stands for each symbol where the input is one-hot: the columns of the first weights, (V, ...)."""
        raise NotImplementedError

    def shards(self) -> Iterator[nn.Module]:
        """The parts whose weights are put together only while they are at work, where a model is split."""
        return iter(())

    def steps(self, inputs: Inputs, precision: str) -> Steps:
        """The same a token at a time. By default by this module itself, whatever the precision."""
        from seqtool.models.decoding.steps import ModuleSteps

        return ModuleSteps(inputs, self)


def core_class(config: ModelConfig) -> type[Core]:
    """The class of an architecture, from its own module."""
    module, name = config.architecture.core.split(".")
    found: type[Core] = getattr(importlib.import_module(f"seqtool.models.cores.{module}"), name)
    return found


def build_core(config: ModelConfig, input_width: int) -> Core:
    """A core as torch initialises it."""
    make: type = core_class(config)
    core: Core = make(config, input_width)
    return core
