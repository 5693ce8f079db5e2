"""Pupils who pass or fail with a known probability: how far is a classifier of numbers and categories from the best?

    python -m corpora.pass_or_fail > train.csv
    python -m corpora.pass_or_fail --rows 500 --seed 1 > test.csv

A pupil has hours of study a week, attendance in percent and a course, and passes with probability

    p = sigmoid(BIAS + PER_HOUR * hours + PER_PERCENT * attendance + COURSES[course]),

so a perceptron with a sigmoid (logistic regression) can be exactly right; height and pet say nothing. The best decision
is "yes" where p >= 1/2 (Bayes), the best prediction p itself. Hours, attendance and course are independent and take
finitely many values: the expected accuracy and log loss of the best are sums over all of them.

Printed on stderr: accuracy and log loss of the best and of the majority's constant, expected on fresh pupils and on the
rows written.
"""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Iterable
from typing import NamedTuple

from corpora.recipe import asked, run

HOURS = {half / 2: math.exp(-(((half / 2 - 8) / 4) ** 2) / 2) for half in range(41)}
"""Hours of study a week, each with its relative frequency: a bell around 8, cut off at 0 and 20."""
ATTENDANCE = {percent: math.exp((percent - 100) / 15) for percent in range(50, 101)}
BIAS, PER_HOUR, PER_PERCENT = -11.0, 0.5, 0.1
COURSES = {"day": 0.0, "evening": -1.5, "online": 0.8}
PETS = ("cat", "dog", "fish", "none")
COLUMNS = ("hours", "attendance", "course", "height", "pet", "pass")


class Pupil(NamedTuple):
    """What the probability of passing depends on."""

    hours: float
    attendance: int
    course: str


def probability(pupil: Pupil) -> float:
    """Of passing."""
    logit = BIAS + PER_HOUR * pupil.hours + PER_PERCENT * pupil.attendance + COURSES[pupil.course]
    return 1 / (1 + math.exp(-logit))


def drawn(rows: int, seed: int) -> list[tuple[Pupil, str, bool]]:
    """Pupils, each with the rest of its columns but the last, and whether it passed."""
    chance = random.Random(seed)
    hours = chance.choices(list(HOURS), list(HOURS.values()), k=rows)
    attendance = chance.choices(list(ATTENDANCE), list(ATTENDANCE.values()), k=rows)
    course = chance.choices(list(COURSES), k=rows)
    pupils = [Pupil(*values) for values in zip(hours, attendance, course, strict=True)]
    return [
        (pupil, f"{chance.gauss(168, 9):.0f},{chance.choice(PETS)}", chance.random() < probability(pupil))
        for pupil in pupils
    ]


def everyone() -> list[tuple[Pupil, float]]:
    """Each possible pupil and its probability of being drawn."""
    total = sum(HOURS.values()) * sum(ATTENDANCE.values()) * len(COURSES)
    return [
        (Pupil(hours, attendance, course), HOURS[hours] * ATTENDANCE[attendance] / total)
        for hours, attendance, course in itertools.product(HOURS, ATTENDANCE, COURSES)
    ]


def scores(cases: Iterable[tuple[float, float, float]]) -> tuple[float, float]:
    """Accuracy and log loss (nats) over cases of (weight, predicted probability of passing, share that passed)."""
    weight = accuracy = nats = 0.0
    for w, predicted, passed in cases:
        weight += w
        accuracy += w * (passed if predicted >= 0.5 else 1 - passed)
        nats -= w * (passed * math.log(predicted) + (1 - passed) * math.log1p(-predicted))
    return accuracy / weight, nats / weight


def best_possible(rows: list[tuple[Pupil, str, bool]]) -> dict[str, tuple[float, float]]:
    """Accuracy and log loss of the best and of the constant share of passes, expected and on these rows."""
    law = [(weight, probability(pupil)) for pupil, weight in everyone()]
    share = sum(weight * p for weight, p in law)
    return {
        "best possible, expected": scores((weight, p, p) for weight, p in law),
        "best possible, on these rows": scores((1, probability(pupil), passed) for pupil, _, passed in rows),
        "majority, expected": scores((weight, share, p) for weight, p in law),
        "majority, on these rows": scores((1, share, passed) for _, _, passed in rows),
    }


def main() -> None:
    """Write the table, and say on stderr how well it can be predicted."""
    options = asked("Pupils who pass or fail with a known probability, as csv.", 2000)
    rows = drawn(options.rows, options.seed)
    print(",".join(COLUMNS))
    for pupil, rest, passed in rows:
        print(f"{pupil.hours},{pupil.attendance},{pupil.course},{rest},{'yes' if passed else 'no'}")
    for name, (accuracy, nats) in best_possible(rows).items():
        print(f"{name:<29} accuracy {accuracy:.4f}  log loss {nats:.4f}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
