"""What the pictures share: made-up text, trainings on it, and what is read off their metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtool.reports.pictures import Line
from seqtool.runs.metrics import Metrics

if TYPE_CHECKING:
    from corpora.gallery import Workshop

TEXT = (
    "python corpora/grammar.py --characters 200000 --valid-characters 15000 --train $G/text.txt --valid $G/other.txt "
    "--json"
)
TRAIN = (
    "seqtool train $G/text.txt --valid $G/other.txt --force --vocab-type word --min-count 1 --hidden 64 "
    "--batch-size 16 --bptt 32"
)
COLOURS = (0, 1, 2, 3, 4, 9, 6)
"""Of lines one after the other: the most unlike come first."""
BY_SGD = "--schedule constant --warmup 0 --early-stop 0 --optimizer sgd --momentum 0"


def trained(workshop: Workshop, data: Sequence[str], runs: dict[str, str]) -> dict[str, Metrics]:
    """The metrics of some trainings, by name, after their data were made; a command ends with its run's place."""
    workshop.run(*data)
    workshop.run(*runs.values())
    return {name: workshop.metrics(command.rsplit("$G/", 1)[1]) for name, command in runs.items()}


def validations(metrics: Metrics) -> tuple[list[float], list[float]]:
    """Steps and losses."""
    return metrics.validations["step"].tolist(), metrics.validations["valid_loss"].tolist()


def validation_lines(found: dict[str, Metrics], first_colour: int = 0) -> list[Line]:
    """The validation losses of runs, by name."""
    colours = COLOURS[first_colour:]
    return [
        Line(name, *validations(one), "valid", hue) for hue, (name, one) in zip(colours, found.items(), strict=False)
    ]


def best_step(metrics: Metrics) -> int:
    """The step of the least validation loss."""
    steps, losses = validations(metrics)
    return int(steps[int(np.nanargmin(losses))])


def best_loss(metrics: Metrics) -> float:
    """The least validation loss."""
    return min(validations(metrics)[1])


def last_loss(metrics: Metrics) -> float:
    """The last validation loss; NaN where there is none."""
    return [math.nan, *validations(metrics)[1]][-1]


def training_loss(metrics: Metrics, step: int) -> float:
    """The mean training loss of the logged steps near a step."""
    steps, losses = metrics.steps["step"], metrics.steps["loss"]
    return float(losses[np.abs(steps - step) <= 0.06 * steps[-1]].mean())


def smooth(values: Any, width: int = 5) -> list[float]:
    """Means of up to `width` neighbours."""
    return [float(np.mean(values[max(0, place - width // 2) : place + width // 2 + 1])) for place in range(len(values))]


def possible_loss(workshop: Workshop, figures: str, text: str, run: str) -> float:
    """What the grammar itself loses on a text, in nats per token of a run's vocabulary."""
    (rate,) = [value for name, value in json.loads(figures).items() if name.endswith(f"{text}_nats_per_character")]
    config = json.loads((workshop.folder / run / "config.json").read_text())
    return float(rate) * len((workshop.folder / text).read_text()) / float(config["data"]["valid_tokens"])


def level(name: str, value: float, metrics: Metrics, colour: int) -> Line:
    """A value that no step changes, as long as a training."""
    return Line(name, [0.0, float(metrics.steps["step"][-1])], [value, value], "level", colour)
