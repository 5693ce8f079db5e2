"""An rnn with relu by SGD, with and without clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpora.lectures.common import BY_SGD, TEXT, TRAIN, last_loss, trained, validation_lines, validations
from seqtool.reports.gallery import Chart, Claim, Picture

if TYPE_CHECKING:
    from corpora.gallery import Workshop

STEPS = 100


def clipping(workshop: Workshop) -> Picture:
    """What one step too long does."""
    common = f"{TRAIN} --model rnn --activation relu --init identity {BY_SGD} --steps {STEPS} --eval-every 2"
    runs = {
        "no clipping, rate 1": f"{common} --lr 1 --clip-norm 0 -o $G/unclipped",
        "no clipping, rate 0.3": f"{common} --lr 0.3 --clip-norm 0 -o $G/unclipped-slow",
        "norm clipped to 0.25, rate 1": f"{common} --lr 1 --clip-norm 0.25 -o $G/clipped",
        "values clipped to 0.01, rate 1": f"{common} --lr 1 --clip-norm 0 --clip-value 0.01 -o $G/values",
    }
    found = trained(workshop, [TEXT], runs)
    wild, slow, tame, _ = found.values()
    highest = {name: max(validations(one)[1]) for name, one in found.items()}
    ended = int(wild.steps["step"][-1])
    return Picture(
        "Clipping the gradient",
        "Where gradients explode, a single step can throw the weights far away. Clipping the norm keeps the gradient's "
        "direction and limits its length, so that no step is too long; clipping values limits each number by itself.",
        [
            Claim(
                f"Without clipping the loss goes from {wild.steps['loss'][0]:.2f} to "
                f"{highest['no clipping, rate 1']:.1e} nats per token, and at step {ended} of {STEPS} it "
                "is no finite number any more: exit code 4.",
                ended < STEPS,
            ),
            Claim(
                f"With its norm clipped, the same training at the same rate ends at {last_loss(tame):.2f}.",
                validations(tame)[0][-1] == STEPS and last_loss(tame) < tame.steps["loss"][0] - 1,
            ),
            Claim(
                f"A lower rate alone goes on, but with leaps up to {highest['no clipping, rate 0.3']:.1f}, and ends at "
                f"{last_loss(slow):.2f}.",
                validations(slow)[0][-1] == STEPS and last_loss(slow) > last_loss(tame),
            ),
        ],
        [TEXT, *runs.values()],
        [Chart("Validation loss, nats per token (logarithmic)", "steps", validation_lines(found), log_y=True)],
        heads=["", "last step", "highest loss", "last loss"],
        rows=[
            [name, f"{validations(one)[0][-1]:.0f}", f"{highest[name]:,.2f}", f"{last_loss(one):.3f}"]
            for name, one in found.items()
        ],
    )
