"""Dates in many writings, translated into ISO 8601 with and without attention."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from corpora.lectures.common import best_loss, trained, validation_lines
from seqtool.reports.gallery import Chart, Claim, Heat, Picture

if TYPE_CHECKING:
    from corpora.gallery import Workshop

STEPS = 800
DATA = (
    "python -m corpora.dates --rows 6000 > $G/dates.tsv",
    "python -m corpora.dates --rows 300 --seed 1 > $G/dates-test.tsv",
)
TRAIN = (
    "seqtool train $G/dates.tsv --valid $G/dates-test.tsv --target iso --source-type char --target-type char --force "
    f"--hidden 96 --embed 32 --layers 1 --batch-size 32 --dropout 0 --lr 0.01 --label-smoothing 0 "
    f"--steps {STEPS} --eval-every 80 --early-stop 0"
)
MAPPED = "echo 'Friday, 3 March 1972' | seqtool predict $G/attention --force --attention-map $G/looks.html"


def bottleneck(workshop: Workshop) -> Picture:
    """What one vector holds, and where attention looks."""
    runs = {
        "bottleneck": f"{TRAIN} --attention none -o $G/bottleneck",
        "attention": f"{TRAIN} --attention luong -o $G/attention",
    }
    judged = [f"seqtool eval $G/{name} $G/dates-test.tsv --json" for name in runs]
    found = trained(workshop, DATA, runs)
    reports = workshop.run(*judged)
    (written,) = workshop.run(MAPPED)
    right = {name: float(json.loads(report)["exact_match"]) for name, report in zip(runs, reports, strict=True)}
    (looks,) = workshop.page_data("looks.html")["maps"]
    loss = {name: best_loss(one) for name, one in found.items()}
    return Picture(
        "Bottleneck and attention",
        "A translator without attention has to put all that it has read into one vector, from which it writes. With "
        "attention it looks back, at each step of writing, at what it read where that matters.",
        [
            Claim(
                f"After {STEPS} steps {right['attention']:.0%} of new dates are right with attention, and "
                f"{right['bottleneck']:.0%} without.",
                right["attention"] > right["bottleneck"] + 0.05,
            ),
            Claim(
                f"The validation loss is {loss['attention']:.3f} nats per token with it, "
                f"{loss['bottleneck']:.3f} without.",
                loss["attention"] < loss["bottleneck"],
            ),
        ],
        [*DATA, *runs.values(), *judged, MAPPED],
        [Chart("Validation loss, nats per token (logarithmic)", "steps", validation_lines(found), log_y=True)],
        [
            Heat(
                f"Where it looked when it wrote {written.strip()}: a row for each character written",
                looks["target"],
                looks["source"],
                _shares(looks),
            )
        ],
        heads=["", "validation loss", "dates that are right"],
        rows=[[name, f"{loss[name]:.4f}", f"{right[name]:.1%}"] for name in runs],
    )


def _shares(looks: dict[str, Any]) -> list[list[float]]:
    """The shares of a drawn attention map, the mean of its layers and heads."""
    shape = -1, len(looks["target"]), len(looks["source"])
    shares = np.frombuffer(base64.b64decode(looks["looks"]), np.uint8).reshape(shape).mean(0) / 255
    return [[float(share) for share in row] for row in shares]
