"""The same net by six optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpora.lectures.common import TEXT, TRAIN, last_loss, trained, validation_lines, validations
from seqtool.reports.gallery import Claim, Picture
from seqtool.reports.pictures import Chart

if TYPE_CHECKING:
    from corpora.gallery import Workshop

STEPS, EARLY = 150, 30
OPTIMIZERS = {
    "SGD": ("sgd --momentum 0", 1.0),
    "SGD with momentum": ("sgd --momentum 0.9", 0.2),
    "Adagrad": ("adagrad", 0.02),
    "RMSProp": ("rmsprop", 0.002),
    "Adadelta": ("adadelta", 1.0),
    "Adam": ("adam", 0.005),
}
"""Of each its flag and its learning rate."""


def optimizers(workshop: Workshop) -> Picture:
    """How fast each learns."""
    common = f"{TRAIN} --model rnn --schedule constant --warmup 0 --early-stop 0 --steps {STEPS} --eval-every 15"
    runs = {
        name: f"{common} --optimizer {flag} --lr {rate} -o $G/{name.lower().replace(' ', '-')}"
        for name, (flag, rate) in OPTIMIZERS.items()
    }
    found = trained(workshop, [TEXT], runs)
    early = {name: validations(one)[1][EARLY // 15 - 1] for name, one in found.items()}
    ends = {name: last_loss(one) for name, one in found.items()}
    return Picture(
        "SGD, momentum, and adaptive optimizers",
        "SGD goes along the gradient, at the same rate for every weight. Momentum adds up the steps before. Adagrad, "
        "RMSProp, Adadelta and Adam divide each weight's step by the size of its own gradients so far, so that the "
        "weights of rare symbols learn as well; Adam has momentum besides.",
        [
            Claim(
                f"After {EARLY} steps Adam has a validation loss of {early['Adam']:.2f} nats per token, SGD "
                f"{early['SGD']:.2f}; after {STEPS} it is {ends['Adam']:.2f} and {ends['SGD']:.2f}.",
                early["Adam"] < early["SGD"] and ends["Adam"] < ends["SGD"],
            ),
            Claim(
                f"With momentum SGD gets to {ends['SGD with momentum']:.2f}, at a fifth of the rate.",
                ends["SGD with momentum"] < ends["SGD"],
            ),
        ],
        [TEXT, *runs.values()],
        [Chart("Validation loss, nats per token", "steps", validation_lines(found))],
        heads=["", "learning rate", f"after {EARLY} steps", f"after {STEPS} steps"],
        rows=[[name, f"{OPTIMIZERS[name][1]}", f"{early[name]:.3f}", f"{ends[name]:.3f}"] for name in found],
    )
