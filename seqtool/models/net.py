"""What training asks of every model: its weights in order, its state, and how it is split."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from seqtool.models.state import State


class Net(nn.Module):
    """A module that can be trained."""

    sharded_calls: tuple[str, ...] = ()
    """Methods beside `forward` through which it is called while its weights are split over processes."""
    fitted_buffers: tuple[str, ...] = ()
    """Buffers that validation fits; others are what the data say, the same from the beginning on."""

    def weights(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters by name, in the order in which checkpoints number them."""
        return list(self.named_parameters())

    def shards(self) -> Iterator[nn.Module]:
        """The parts whose weights are put together only while they are at work, where the model is split."""
        return iter(())

    def restarted(self, state: State, restarts_B: Tensor) -> State:
        """The state with some rows of the batch as before their beginning."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device
