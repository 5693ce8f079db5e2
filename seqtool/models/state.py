"""What a model remembers of the tokens before: the same shape of thing for every architecture.

A state is a tuple over layers of tuples of tensors, the batch in each tensor's first dimension: (h, c) of an LSTM, the
keys and values of a transformer, the last ids that the window of `ffn` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

State = tuple[tuple[Tensor, ...], ...]


def map_state(function: Callable[[Tensor], Tensor], state: State) -> State:
    """Apply a function to each tensor of a state."""
    return tuple(tuple(function(tensor) for tensor in layer) for layer in state)


def detached(state: State) -> State:
    """The same values, cut from the graph: where back-propagation through time is truncated."""
    return map_state(Tensor.detach, state)


def rows_of(state: State, rows: slice) -> State:
    """The states of consecutive sequences of the batch."""
    return map_state(lambda tensor: tensor[rows], state)


def joined(states: Sequence[State]) -> State:
    """The states of the parts of a batch as one."""
    if len(states) == 1:
        return states[0]
    return tuple(tuple(torch.cat(parts) for parts in zip(*layers, strict=True)) for layers in zip(*states, strict=True))


def take_rows(state: State, rows: Tensor) -> State:
    """The states of some sequences of the batch, in the order of `rows`."""
    return map_state(lambda tensor: tensor.index_select(0, rows), state)
