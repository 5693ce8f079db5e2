"""What every decoder gives: features of a text that is written, token by token, looking at what an encoder has read.

Shapes: B batch, S positions that were read, M width of each, T tokens written, E embedding, O width of the features.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqtool.models.state import State
from seqtool.settings.model import ModelConfig


class Memory(NamedTuple):
    """What an encoder has read."""

    values_BSM: Tensor
    lengths_B: Tensor
    """How many of the positions count."""
    summary_BM: Tensor
    """All of it in one vector."""

    def take(self, rows: Tensor) -> Memory:
        """The memories of some rows, in this order."""
        return Memory(*(part.index_select(0, rows) for part in self))


class Decoder(nn.Module):
    """An architecture that writes: `given = decoder.read(memory)`, then `features, state = decoder(x, given, state)`.

    `given` and `state` have the batch first in every tensor, as a State has.
    """

    width: int
    """O."""
    attends: bool = True
    """Whether it looks at what was read beside its first state."""

    def read(self, memory: Memory) -> State:
        """What the decoder makes of a memory before it writes."""
        raise NotImplementedError

    def forward(self, x_BTE: Tensor, given: State, state: State | None) -> tuple[Tensor, State]:
        """Features (B, T, O) after each of the tokens, and the state after the last; None begins a text."""
        raise NotImplementedError

    def looks(self, x_BTE: Tensor, given: State) -> Tensor:
        """Where it looks before it tells what follows each token of a text: (B, layers, heads, T, S), summing to 1.

        Without layers where it does not look at all.
        """
        raise NotImplementedError

    def initialize(self, config: ModelConfig) -> None:
        """Draw the first weights as --init says, from torch's global generator."""


def decoder_class(config: ModelConfig) -> type[Decoder]:
    """The class of the decoder of an architecture, from its own module."""
    module, name = config.architecture.decoder.split(".")
    found: type[Decoder] = getattr(importlib.import_module(f"seqtool.models.cores.{module}"), name)
    return found


def build_decoder(config: ModelConfig, input_width: int, memory_width: int) -> Decoder:
    """A decoder as torch initialises it."""
    make: type = decoder_class(config)
    decoder: Decoder = make(config, input_width, memory_width)
    return decoder


def last_of(values_BSM: Tensor, lengths_B: Tensor) -> Tensor:
    """The value at the last position of each sequence, (B, M)."""
    places_B1M = (lengths_B - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, values_BSM.shape[-1])
    return values_BSM.gather(1, places_B1M).squeeze(1)


def no_looks(x_BTE: Tensor, positions: int) -> Tensor:
    """Where a decoder looks that looks nowhere, (B, 0, 1, T, S)."""
    return torch.zeros(len(x_BTE), 0, 1, x_BTE.shape[1], positions, device=x_BTE.device)
