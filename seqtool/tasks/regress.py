"""The task of telling a number: squared error, of the target in deviations from its mean in training.

Shapes: N examples, O targets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqtool.errors import InputError
from seqtool.records.values import number_of
from seqtool.runs.loading import ExampleRun
from seqtool.settings.examples import ExampleConfig
from seqtool.settings.training import TrainConfig
from seqtool.tasks.examples.asking import Answer, Asking, answered, answered_with_targets, no_heading
from seqtool.tasks.examples.table import OF_TABLES, Table, open_table, prepare_table


@dataclass(frozen=True)
class Numbers:
    """The targets, by name, with their means and deviations in training."""

    names: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    @property
    def outputs(self) -> int:
        """Numbers that a model gives."""
        return len(self.names)

    @property
    def fitted(self) -> int:
        """Nothing is fitted."""
        return 0

    def unweighted(self, outputs: Tensor) -> Tensor:
        """The outputs: there are no classes."""
        return outputs

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The squared error of each example, averaged over the targets: in squared deviations."""
        return (outputs - targets).square().mean(-1)

    def objective(self, outputs: Tensor, targets: Tensor, weights_N: Tensor | None, config: TrainConfig) -> Tensor:
        """The squared errors, weighed, summed."""
        losses_N = self.losses(outputs, targets)
        return (losses_N if weights_N is None else losses_N * weights_N).sum()

    def fit(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Nothing."""
        return torch.zeros(0)

    def score(self, outputs: Tensor, targets: Tensor, fitted: Tensor, by: str) -> float | None:
        """The loss alone decides."""
        return None

    def in_units(self, outputs: Tensor) -> np.ndarray:
        """Outputs in the data's units, (N, O)."""
        return outputs.double().numpy() * np.array(self.deviations) + np.array(self.means)


MEANT = OF_TABLES
UNITS = ("example", "squared deviations")
SEPARATOR = "\t"
BACKTESTED = False
open_data, prepare, heading = open_table, prepare_table, no_heading


def described(
    values: Sequence[tuple[str, ...]], table: Table, examples: ExampleConfig, settings: dict[str, Any]
) -> dict[str, Any]:
    """The targets, with their means and deviations."""
    numbers = _numbers(table.roles.target, values, table.records.name)
    deviations = numbers.std(0)
    if not (deviations > 0).all():
        raise InputError("the target is the same number in all rows: there is nothing to tell")
    named = zip(table.roles.target, numbers.mean(0).tolist(), deviations.tolist(), strict=True)
    return {"targets": [list(each) for each in named]}


def targets(task: Mapping[str, Any], values: Sequence[tuple[str, ...]], source: str) -> np.ndarray:
    """The targets in deviations from their means, (N, O)."""
    found = answers(task)
    scaled = (_numbers(found.names, values, source) - np.array(found.means)) / np.array(found.deviations)
    return scaled.astype(np.float32)


def _numbers(names: Sequence[str], values: Sequence[tuple[str, ...]], source: str) -> np.ndarray:
    read = [[number_of(value) for value in row] for row in values]
    for row, own in zip(values, read, strict=True):
        for name, value, number in zip(names, row, own, strict=True):
            if math.isnan(number):
                raise InputError(f"{source}: {value[:40]!r} in column {name} is no number: mend it, or --task classify")
    return np.array(read, np.float64)


def groups(targets: np.ndarray) -> None:
    """None."""


def importance(task: Mapping[str, Any], targets: np.ndarray) -> None:
    """All the same."""


def same_answers(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the outputs of two runs mean the same: targets with the same means and deviations."""
    return bool(one["targets"] == other["targets"])


def predictions(run: ExampleRun, paths: Sequence[str], asking: Asking) -> Iterator[list[Answer]]:
    """For each row the number of each target, as they come."""
    numbers = answers(run.config.task)
    return answered(
        run, paths, asking, lambda outputs: [_answer(numbers, told) for told in numbers.in_units(outputs).tolist()]
    )


def _answer(numbers: Numbers, told: list[float]) -> Answer:
    return Answer((tuple(f"{number:.6g}" for number in told),), dict(zip(numbers.names, told, strict=True)))


def evaluation(run: ExampleRun, paths: Sequence[str], asking: Asking) -> dict[str, Any]:
    """Every metric beside the baseline, on rows that have a target."""
    from seqtool.scoring.metrics.numbers import numbers_report

    numbers = answers(run.config.task)
    outputs, values, left_out = answered_with_targets(run, paths, asking)
    truth = _numbers(numbers.names, values, ", ".join(paths))
    means, deviations = np.array(numbers.means), np.array(numbers.deviations)
    report = numbers_report(numbers.names, truth, numbers.in_units(outputs), mean_D=means, deviation_D=deviations)
    return {"task": "regress", **report, "left_out": left_out}


def answers(task: Mapping[str, Any]) -> Numbers:
    """The targets that a run's configuration names."""
    try:
        names, means, deviations = zip(*task["targets"], strict=True)
        found = Numbers(tuple(map(str, names)), tuple(map(float, means)), tuple(map(float, deviations)))
        if not np.isfinite([found.means, found.deviations]).all() or min(found.deviations) <= 0:
            raise ValueError("numbers that are none")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("a run's configuration names no targets: it was edited") from error
    return found
