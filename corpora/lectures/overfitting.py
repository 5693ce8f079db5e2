"""Few data and a large net: with early stopping, with dropout, or with neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpora.lectures.common import (
    best_loss,
    best_step,
    last_loss,
    level,
    possible_loss,
    smooth,
    trained,
    training_loss,
    validation_lines,
    validations,
)
from seqtool.reports.gallery import Claim, Picture
from seqtool.reports.pictures import Chart, Line

if TYPE_CHECKING:
    from corpora.gallery import Workshop

STEPS = 240
FEW = (
    "python corpora/grammar.py --characters 30000 --valid-characters 30000 --train $G/few.txt --valid $G/held.txt "
    "--json"
)
TRAIN = (
    "seqtool train $G/few.txt --valid $G/held.txt --force --vocab-type word --min-count 1 --model lstm "
    f"--hidden 128 --lr 0.005 --schedule constant --batch-size 16 --bptt 32 --steps {STEPS} --eval-every 12"
)


def overfitting(workshop: Workshop) -> Picture:
    """What is learned by heart, and what helps."""
    runs = {
        "neither": f"{TRAIN} --dropout 0 --early-stop 0 -o $G/neither",
        "early stopping": f"{TRAIN} --dropout 0 --early-stop 2 -o $G/stopped",
        "dropout": f"{TRAIN} --dropout 0.5 --early-stop 0 -o $G/dropout",
    }
    found = trained(workshop, [FEW], runs)
    possible = possible_loss(workshop, workshop.run(FEW)[0], "held.txt", "neither")
    plain, stopped, dropped = found.values()
    at, low, last = best_step(plain), best_loss(plain), last_loss(plain)
    learned, ended = training_loss(plain, at), training_loss(plain, STEPS)
    stop = int(stopped.validations["step"][-1])
    return Picture(
        "Overfitting and early stopping",
        "A net with room enough learns its training data by heart: the training loss goes on falling while the loss on "
        "data that it has not seen rises. Early stopping keeps the weights from before that; dropout makes it harder "
        "to learn by heart.",
        [
            Claim(
                f"After step {at} the training loss falls on, from {learned:.2f} to {ended:.2f} nats per token, and "
                f"the validation loss rises from {low:.2f} to {last:.2f}.",
                last > low + 0.1 and ended < learned - 0.1,
            ),
            Claim(
                f"The training loss ends below {possible:.2f}, the best possible of new text: so much can only be "
                "known by heart.",
                ended < possible,
            ),
            Claim(
                f"Early stopping ends the same training at step {stop} of {STEPS}, and keeps the weights of step {at}.",
                stop < STEPS and best_step(stopped) == at,
            ),
            Claim(
                f"With dropout the validation loss ends at {last_loss(dropped):.2f}, not at {last:.2f}.",
                last_loss(dropped) < last - 0.1,
            ),
        ],
        [FEW, *runs.values()],
        [
            Chart(
                "Neither: training and validation, nats per token",
                "steps",
                [
                    Line("training", plain.steps["step"].tolist(), smooth(plain.steps["loss"])),
                    Line("validation", *validations(plain), "valid", 1),
                    level("the best possible", possible, plain, 9),
                ],
                rings=[(1, at, low, f"best: {low:.2f} at step {at}")],
            ),
            Chart(
                "All three: validation, nats per token",
                "steps",
                [*validation_lines(found, 1), level("the best possible", possible, plain, 9)],
            ),
        ],
        heads=["", "steps", "best step", "best validation", "last validation", "training at the end"],
        rows=[
            [
                name,
                f"{one.validations['step'][-1]:.0f}",
                f"{best_step(one)}",
                f"{best_loss(one):.3f}",
                f"{last_loss(one):.3f}",
                f"{training_loss(one, int(one.steps['step'][-1])):.3f}",
            ]
            for name, one in found.items()
        ],
    )
