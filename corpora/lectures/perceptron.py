"""Pass or fail by two numbers: the line of a perceptron."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from corpora.pass_or_fail import BIAS, COURSES, PER_HOUR, PER_PERCENT
from seqtool.reports.gallery import Claim, Picture
from seqtool.reports.pictures import Chart, Line

if TYPE_CHECKING:
    from corpora.gallery import Workshop

DATA = "python -m corpora.pass_or_fail --rows 1000 > $G/pupils.csv"
TRAIN = (
    "seqtool train $G/pupils.csv --force -o $G/perceptron --model ffn --layers 1 --target pass --numeric "
    "hours,attendance --ignore course,height,pet --batch-size 100 --steps 200 --lr 0.05"
)
GRID = (
    "(echo hours,attendance; for attendance in $(seq 50 2 100); do for hours in $(seq 0 0.5 20); do "
    "echo $hours,$attendance; done; done) > $G/grid.csv"
)
ASKED = "seqtool predict $G/perceptron $G/grid.csv --json"
JUDGED = "seqtool eval $G/perceptron $G/pupils.csv --json"
HOURS, ATTENDANCES = np.linspace(0, 20, 41), np.linspace(50, 100, 26)


def perceptron(workshop: Workshop) -> Picture:
    """Where half are expected to pass."""
    workshop.run(DATA, GRID)
    workshop.run(TRAIN)
    answer, report = workshop.run(ASKED, JUDGED)
    told = np.array([_passes(json.loads(line)) for line in answer.splitlines()])
    line = [_crossing(row) for row in told.reshape(len(ATTENDANCES), -1)]
    best = [_crossing(row) for row in _known()]
    with open(workshop.folder / "pupils.csv", encoding="utf-8") as file:
        pupils = [(row["pass"], float(row["attendance"]), float(row["hours"])) for row in csv.DictReader(file)]
    bent, apart = _bend(line), float(np.nanmean(np.abs(np.array(line) - np.array(best))))
    return Picture(
        "A perceptron's decision line",
        "A perceptron weighs its inputs, adds a bias and takes a sigmoid: where the sum is 0, its answer is one half. "
        "So it decides by a straight line through its inputs.",
        [
            Claim(
                f"The line is straight: no point of it is more than {bent:.2f} hours beside a straight one.",
                bent < 0.2,
            ),
            Claim(
                f"It lies {apart:.1f} hours from the best possible on average, and "
                f"{json.loads(report)['accuracy']:.0%} of the pupils are on the right side of it.",
                apart < 1.5,
            ),
        ],
        [DATA, TRAIN, GRID, ASKED, JUDGED],
        [
            Chart(
                "Pupils by attendance, % (across) and hours of study a week (up)",
                "attendance, %",
                [
                    _points(pupils, "yes", "passed", 0),
                    _points(pupils, "no", "failed", 1),
                    Line("the perceptron", ATTENDANCES.tolist(), line, "mean", 8),
                    Line("the best possible", ATTENDANCES.tolist(), best, "level", 9),
                ],
            )
        ],
        heads=["hours with which half pass, at an attendance of", "60%", "80%", "100%"],
        rows=[
            [name, *(f"{values[place]:.1f}" for place in (5, 15, 25))]
            for name, values in (("the perceptron", line), ("the best possible", best))
        ],
    )


def _passes(answer: dict[str, Any]) -> float:
    """The probability of passing, of an answer that has the likelier label and its probability."""
    p = float(answer["probabilities"][0])
    return p if answer["labels"][0] == "yes" else 1 - p


def _known() -> Any:
    """The probability of passing at each attendance and hours, of pupils of any course."""
    logits = BIAS + PER_HOUR * HOURS[None] + PER_PERCENT * ATTENDANCES[:, None]
    return np.mean([1 / (1 + np.exp(-(logits + course))) for course in COURSES.values()], axis=0)


def _points(pupils: Sequence[tuple[str, float, float]], passed: str, name: str, colour: int) -> Line:
    chosen = [(attendance, hours) for kind, attendance, hours in pupils if kind == passed]
    return Line(name, [x for x, _ in chosen], [y for _, y in chosen], "dots", colour)


def _crossing(p: Any) -> float:
    """The hours at which a rising probability is one half; NaN where it never is."""
    above = np.flatnonzero(p >= 0.5)
    if not len(above) or above[0] == 0:
        return math.nan
    n = int(above[0])
    return float(HOURS[n - 1] + (HOURS[n] - HOURS[n - 1]) * (0.5 - p[n - 1]) / (p[n] - p[n - 1]))


def _bend(line: Sequence[float]) -> float:
    """How far a line is from straight, at most."""
    given = np.isfinite(line)
    x, y = ATTENDANCES[given], np.array(line)[given]
    return float(np.abs(np.polyval(np.polyfit(x, y, 1), x) - y).max())
