"""SGD with learning rates too small, right and too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpora.lectures.common import BY_SGD, TEXT, TRAIN, last_loss, trained, validation_lines, validations
from seqtool.reports.gallery import Claim, Picture
from seqtool.reports.pictures import Chart

if TYPE_CHECKING:
    from corpora.gallery import Workshop

STEPS = 120
SMALL, RIGHT, LARGE = "0.003", "1", "30"


def rates(workshop: Workshop) -> Picture:
    """Where each rate leads."""
    common = f"{TRAIN} --model rnn {BY_SGD} --clip-norm 0 --steps {STEPS} --eval-every 4"
    runs = {f"rate {rate}": f"{common} --lr {rate} -o $G/rate-{rate}" for rate in (SMALL, "0.05", RIGHT, LARGE)}
    found = trained(workshop, [TEXT], runs)
    first = {name: float(one.steps["loss"][0]) for name, one in found.items()}
    highest = {name: max(validations(one)[1]) for name, one in found.items()}
    small, right, large = (f"rate {rate}" for rate in (SMALL, RIGHT, LARGE))
    ends = {name: last_loss(one) for name, one in found.items()}
    return Picture(
        "Learning rates: too small, right, too large",
        "With too small a rate the loss falls, but hardly gets anywhere; with too large a rate each step overshoots, "
        "and the loss jumps about or grows.",
        [
            Claim(
                f"In {STEPS} steps rate {SMALL} gets from {first[small]:.2f} to {ends[small]:.2f} nats per token, rate "
                f"{RIGHT} to {ends[right]:.2f}.",
                ends[right] + 0.5 < ends[small] < first[small],
            ),
            Claim(
                f"Rate {LARGE} drives the loss up to {highest[large]:.1f}, far above where it began, and ends at "
                f"{ends[large]:.2f}.",
                highest[large] > 1.5 * first[large] and ends[large] > ends[right] + 0.5,
            ),
        ],
        [TEXT, *runs.values()],
        [Chart("Validation loss, nats per token (logarithmic)", "steps", validation_lines(found), log_y=True)],
        heads=["", "first training loss", "highest validation loss", "last"],
        rows=[[name, f"{first[name]:.3f}", f"{highest[name]:.3f}", f"{ends[name]:.3f}"] for name in found],
    )
