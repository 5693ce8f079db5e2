"""The gradient by lag, of architectures and initialisations, before training and after some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpora.lectures.common import BY_SGD, COLOURS, TEXT, TRAIN, trained
from seqtool.reports.gallery import Claim, Picture
from seqtool.reports.pictures import Chart, Line

if TYPE_CHECKING:
    from corpora.gallery import Workshop

LAGS, GROWN = 40, 2
NETS = {
    "rnn, tanh": "--model rnn",
    "rnn, tanh, orthogonal": "--model rnn --init orthogonal",
    "rnn, relu, identity": "--model rnn --activation relu --init identity",
    "gru": "--model gru",
    "lstm": "--model lstm",
    "lstm, forget bias 3": "--model lstm --forget-bias 3",
}
EXPLODED = f"rnn, relu, identity, after {GROWN} steps"


def gradients(workshop: Workshop) -> Picture:
    """What of a gradient is left further back."""
    common = f"{TRAIN} --probe-gradients {LAGS}"
    runs = {
        name: f"{common} --steps 1 --eval-every 1 {flags} -o $G/lag-{'-'.join(flags.split()[1::2])}"
        for name, flags in NETS.items()
    }
    grown = f"{BY_SGD} --lr 1 --clip-norm 0 --steps {GROWN} --eval-every {GROWN}"
    runs[EXPLODED] = f"{common} {NETS['rnn, relu, identity']} {grown} -o $G/lag-grown"
    found = {
        name: one.gradient_by_lag[-1 if name == EXPLODED else 0][1]
        for name, one in trained(workshop, [TEXT], runs).items()
    }
    share = {name: norms[-1] / norms[0] for name, norms in found.items()}
    return Picture(
        "Vanishing and exploding gradients",
        "On its way back through time the gradient is multiplied by the recurrent weights once a step: over many steps "
        "it vanishes or explodes. By what it is multiplied depends on the architecture and on the initial weights; an "
        "identity, or a gate that stays open, lets it through.",
        [
            Claim(
                f"In a plain rnn the gradient {LAGS} tokens back is {share['rnn, tanh']:.0e} of that 1 token back: "
                "nothing can be learned from there.",
                share["rnn, tanh"] < 1e-6,
            ),
            Claim(
                f"What is left {LAGS} tokens back is more from an orthogonal start, "
                f"{share['rnn, tanh, orthogonal']:.0e}; in an lstm whose forget gate begins open, "
                f"{share['lstm, forget bias 3']:.2f}; with relu and an identity, {share['rnn, relu, identity']:.2f}.",
                share["rnn, tanh"] < share["rnn, tanh, orthogonal"] < share["lstm, forget bias 3"]
                and share["rnn, relu, identity"] > 0.1,
            ),
            Claim(
                f"After {GROWN} steps by SGD without clipping the same rnn with relu has one that explodes: "
                f"{share[EXPLODED]:.1e} times as large.",
                share[EXPLODED] > 10,
            ),
        ],
        [TEXT, *runs.values()],
        [
            Chart(
                "Gradient of the loss by the hidden state so many tokens before (logarithmic)",
                "tokens before",
                [
                    Line(name, list(range(1, LAGS + 1)), norms, "valid" if name == EXPLODED else "mean", hue)
                    for hue, (name, norms) in zip(COLOURS, found.items(), strict=False)
                ],
                log_y=True,
            )
        ],
        heads=["", "1 token before", "10 before", "40 before", "40 to 1"],
        rows=[
            [name, *(f"{norms[place - 1]:.2e}" for place in (1, 10, LAGS)), f"{share[name]:.1e}"]
            for name, norms in found.items()
        ],
    )
