"""The task of answering examples: batches, the objective that the answers have, and validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from seqtool.embeddings.pretrained import initialise_embedding
from seqtool.errors import InputError
from seqtool.models.example_model import ExampleModel, build_example_model
from seqtool.models.net import Net
from seqtool.models.state import State
from seqtool.runs.config import RunConfig, write_config
from seqtool.settings.training import TrainConfig
from seqtool.tasks.examples.batches import ExampleBatches
from seqtool.tasks.examples.modules import task_module
from seqtool.tasks.examples.prepared import Prepared
from seqtool.tasks.examples.sets import ExampleSet, Rows, by_length
from seqtool.tasks.starting import freeze
from seqtool.training.task import Batches, Stopped, Sums, Validation

VALID_EXAMPLES, VALID_NUMBERS = 20_000, 1 << 25  # at most, and answers for them
SCORED_TOKENS = 1 << 16  # of a batch that is only scored
SCORED_EXAMPLES = 512


class Answers(Protocol):
    """What a task makes of a model's outputs. Targets and outputs are of N examples, or of all their tokens."""

    @property
    def outputs(self) -> int:
        """Numbers that a model gives for each."""

    @property
    def fitted(self) -> int:
        """Numbers that validation fits."""

    def unweighted(self, outputs: Tensor) -> Tensor:
        """The outputs as if all examples had counted the same in training, whatever the weights of classes."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each target, (N,), in nats for a likelihood."""

    def objective(self, outputs: Tensor, targets: Tensor, weights_N: Tensor | None, config: TrainConfig) -> Tensor:
        """What is minimised, a sum over the targets."""

    def fit(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What validation fits, from its unweighted examples: temperature, thresholds; the numbers of `fitted`."""

    def score(self, outputs: Tensor, targets: Tensor, fitted: Tensor, by: str) -> float | None:
        """What the best weights are chosen by, 0 to 1; None where it is the loss."""


def answers_of(task: Mapping[str, Any]) -> Answers:
    """The answers of a task, by its name and what it knows of its data."""
    return task_module(task["name"]).answers(task)


class ExampleObjective(nn.Module):
    """A model with what it is trained on."""

    def __init__(self, model: ExampleModel, answers: Answers, config: TrainConfig) -> None:
        super().__init__()
        self.model, self.answers, self.config = model, answers, config

    def forward(self, state: State | None, x: Any, targets: Tensor, weights_B: Tensor | None) -> Sums:
        """The objective and the loss, summed over the targets, and no state."""
        outputs = self.model(x).float()
        if self.model.shape.each:
            outputs, targets, weights_B = flat(outputs, targets, weights_B)
        objective = self.answers.objective(outputs, targets, weights_B, self.config)
        with torch.no_grad():
            loss = self.answers.losses(outputs, targets).sum()
        return Sums(objective, loss, ())


def flat(outputs_BTO: Tensor, targets_BT: Tensor, weights_B: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The answers, targets and weights of all tokens, one after the other."""
    inside_BT = targets_BT >= 0
    weights = None if weights_B is None else weights_B[:, None].expand_as(targets_BT)[inside_BT]
    return outputs_BTO[inside_BT], targets_BT[inside_BT], weights


@dataclass(frozen=True)
class ExampleTask:
    """A model to be trained on examples, validated on what is held back."""

    config: RunConfig
    data: Prepared

    def __post_init__(self) -> None:
        if not len(self.data.valid):
            raise InputError("no example is left for validation: give more, or --valid FILE")

    @property
    def answers(self) -> Answers:
        """What the outputs mean."""
        return answers_of(self.config.task)

    def batches(self) -> Batches:
        """Mini-batches of the training examples."""
        return ExampleBatches(self.data.train, self.config.training)

    def new_model(self) -> Net:
        """A model with its first weights."""
        assert self.config.shape is not None
        model = build_example_model(self.config.model, self.config.shape, self.config.training.seed)
        if self.data.start is not None:
            self.data.start.put_into(model)
        if self.data.beginning is not None:
            initialise_embedding(model.tables[0], self.data.beginning)
        freeze(model, self.config)
        return model

    def objective(self, model: Net) -> nn.Module:
        """The loss, and what regularises it."""
        assert isinstance(model, ExampleModel)
        return ExampleObjective(model, self.answers, self.config.training)

    def example(self, rows: int, targets: int, device: torch.device) -> tuple[Any, ...]:
        """So many of the training examples."""
        return tuple(self.data.train.take(np.arange(rows) % len(self.data.train)).to(device))

    def validate(self, model: Net, stopped: Stopped | None) -> Validation | None:
        """The loss on what is held back; what is fitted to it is put into the model."""
        assert isinstance(model, ExampleModel)
        answers = self.answers
        rows = first_rows(len(self.data.valid), min(VALID_EXAMPLES, max(1, VALID_NUMBERS // answers.outputs)))
        found = outputs_of(model, self.data.valid, rows, stopped)
        if found is None:
            return None
        outputs, targets = found
        loss = float(answers.losses(answers.unweighted(outputs), targets).double().sum())
        fitted = answers.fit(outputs, targets)
        model.fitted.copy_(fitted)
        score = answers.score(outputs, targets, fitted, self.config.training.best_by)
        return Validation(loss, self.data.valid.targets_in(rows), score)

    def probes(self, model: Net) -> dict[str, Any]:
        """Nothing."""
        return {}

    def write(self, folder: Path, config: RunConfig) -> None:
        """Write the vocabulary, where there is one, and the configuration into a run's directory."""
        write_config(folder, config, self.data.vocabulary)


def first_rows(count: int, most: int) -> Rows:
    """Up to `most` rows, spread evenly over all."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


@torch.no_grad()
def outputs_of(
    model: ExampleModel, examples: ExampleSet, rows: Rows, stopped: Stopped | None = None
) -> tuple[Tensor, Tensor] | None:
    """A model's outputs for some examples and their targets, in the order of `rows`; of tokens, all of them in order.

    None when `stopped` said yes on the way.
    """
    lengths = examples.lengths_N[rows]
    found: dict[int, tuple[Tensor, Tensor]] = {}
    for batch in by_length(lengths, SCORED_EXAMPLES, SCORED_TOKENS):
        if stopped is not None and stopped():
            return None
        taken = examples.take(rows[batch])
        outputs = model(taken.x.to(model.device)).float().cpu()
        for place, own_outputs, own_targets in zip(batch.tolist(), outputs, taken.targets, strict=True):
            inside = slice(int(lengths[place])) if model.shape.each else ...
            found[place] = own_outputs[inside], own_targets[inside]
    ordered = [found[place] for place in range(len(rows))]
    join = torch.cat if model.shape.each else torch.stack
    return join([outputs for outputs, _ in ordered]), join([targets for _, targets in ordered])
