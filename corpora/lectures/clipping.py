"""An rnn with relu by SGD, with and without clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpora.lectures.common import BY_SGD, TEXT, TRAIN, last_loss, trained, validation_lines, validations
from seqtool.reports.gallery import Claim, Picture
from seqtool.reports.pictures import Chart

if TYPE_CHECKING:
    from corpora.gallery import Workshop

STEPS = 100


def clipping(workshop: Workshop) -> Picture:
    """What one step too long does."""
    common = f"{TRAIN} --model rnn --activation relu --init identity {BY_SGD} --steps {STEPS} --eval-every 2"
    runs = {
        "no clipping, rate 1": f"{common} --lr 1 --clip-norm 0 -o $G/unclipped",
        "no clipping, rate 0.3": f"{common} --lr 0.3 --clip-norm 0 -o $G/unclipped-slow",
        "norm clipped to 0.1, rate 1": f"{common} --lr 1 --clip-norm 0.1 -o $G/clipped",
    }
    found = trained(workshop, [TEXT], runs)
    wild, _, tame = found.values()
    highest = {name: max(validations(one)[1]) for name, one in found.items()}
    first, survived = float(wild.steps["loss"][0]), int(validations(wild)[0][-1])
    ring = (0, survived, validations(wild)[1][-1], "then no finite number")
    return Picture(
        "Clipping the gradient",
        "Where gradients explode, a single step can throw the weights far away. Clipping the norm keeps the gradient's "
        "direction and limits its length, so that no step is too long.",
        [
            Claim(
                f"Without clipping the loss goes from {first:.2f} to {highest['no clipping, rate 1']:.1e} nats per "
                f"token in {survived} steps, and then is no finite number any more: exit code 4.",
                survived < STEPS and highest["no clipping, rate 1"] > 1000,
            ),
            Claim(
                f"A lower rate alone is no cure: the loss leaps up to {highest['no clipping, rate 0.3']:,.1f}.",
                highest["no clipping, rate 0.3"] > 2 * first,
            ),
            Claim(
                f"With its norm clipped the same training at the first rate is never above "
                f"{highest['norm clipped to 0.1, rate 1']:.2f}, and ends at {last_loss(tame):.2f}.",
                highest["norm clipped to 0.1, rate 1"] < 1.5 * first and last_loss(tame) < first - 0.3,
            ),
        ],
        [TEXT, *runs.values()],
        [Chart("Validation loss, nats per token (logarithmic)", "steps", validation_lines(found), True, [ring])],
        heads=["", "last step", "highest loss", "last loss"],
        rows=[
            [name, f"{validations(one)[0][-1]:.0f}", _told(highest[name]), _told(last_loss(one))]
            for name, one in found.items()
        ],
    )


def _told(loss: float) -> str:
    return f"{loss:,.2f}" if loss < 1e6 else f"{loss:.1e}"
