"""What a training knows of its task, and of every task: batches, an objective, a validation. It knows none by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from seqtool.models.net import Net
from seqtool.models.state import State
from seqtool.runs.config import RunConfig

Stopped = Callable[[], bool]


class Sums(NamedTuple):
    """What an objective gives for a part of a batch, summed over its targets, and the state after it."""

    objective: Tensor
    """What is minimised: a scalar with a gradient."""
    loss: Tensor
    """What is reported, in nats for a likelihood: a scalar without one."""
    state: State


class Batch(Protocol):
    """What one step learns from: the rows that this process asked for."""

    @property
    def rows(self) -> int:
        """How many there are."""

    @property
    def targets(self) -> int:
        """How many targets all processes' rows have: what sums are divided by."""

    @property
    def rate_factor(self) -> float:
        """What the step's learning rate is multiplied by."""

    def restarts(self, device: torch.device) -> Tensor:
        """Which rows begin afresh, without the state from the batch before, (rows,)."""

    def part(self, rows: slice, device: torch.device) -> tuple[Any, ...]:
        """What the objective is given for some of the rows, behind their state."""


class Batches(Protocol):
    """Mini-batches of a text or table. Each is a function of its step, so that training can go on anywhere."""

    @property
    def steps_per_pass(self) -> float:
        """Batches in which all of it is read once."""

    def batch(self, step: int, rows: slice) -> Batch:
        """Some rows of the batch of a step."""


@dataclass(frozen=True)
class Validation:
    """A loss on what is held back: the sum over so many targets."""

    loss_sum: float
    targets: int
    score: float | None = None
    """What the best weights are chosen by instead, 0 to 1, higher is better; None where the loss decides."""

    @property
    def loss(self) -> float:
        """Per target; infinite where there was none."""
        return self.loss_sum / self.targets if self.targets else math.inf

    @property
    def judged(self) -> float:
        """What the best weights have least of."""
        return self.loss if self.score is None else 1.0 - self.score


class Validator(Protocol):
    """How good a model is, during training."""

    def validate(self, model: Net, stopped: Stopped | None) -> Validation | None:
        """The loss on what is held back; None when `stopped` said yes on the way."""

    def probes(self, model: Net) -> dict[str, Any]:
        """What else is recorded of a model beside a validation; nothing where nothing was asked."""


class Task(Validator, Protocol):
    """A job to be trained, with its data and the run's whole configuration."""

    @property
    def config(self) -> RunConfig:
        """The run's configuration."""

    def batches(self) -> Batches:
        """What is learned from."""

    def new_model(self) -> Net:
        """A model with its first weights, on the CPU, drawn from the run's seed alone."""

    def objective(self, model: Net) -> nn.Module:
        """A module that gives the Sums of a part of a batch, `objective(state, *part)`: the whole forward pass."""

    def example(self, rows: int, targets: int, device: torch.device) -> tuple[Any, ...]:
        """A part of a batch with so many rows of so many targets, to try a step with."""

    def write(self, folder: Path, config: RunConfig) -> None:
        """Write the configuration, and what belongs to it beside weights, into a run's directory."""
