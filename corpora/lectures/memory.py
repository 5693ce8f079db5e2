"""A symbol, noise, a question: a window, recurrence and attention."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from corpora.lectures.common import trained, validation_lines
from corpora.memory import SYMBOLS
from seqtool.reports.gallery import Claim, Picture
from seqtool.reports.pictures import Chart, Line

if TYPE_CHECKING:
    from corpora.gallery import Workshop

DATA = (
    "python -m corpora.memory lag --length 40 --rows 8000 > $G/lag.conll",
    "python -m corpora.memory lag --length 40 --rows 1500 --seed 1 > $G/lag-test.conll",
)
TRAIN = (
    "seqtool train $G/lag.conll --valid $G/lag-test.conll --target tag --unscored _ --one-way --force "
    "--hidden 64 --dropout 0 --dropout-embedding 0 --batch-size 32 --steps 240 --eval-every 24 "
    "--early-stop 0"
)
NETS = {
    "window of 8": "--model ffn --context 8 --layers 2 --embed 32 --lr 0.003",
    "recurrence": "--model gru --layers 1 --embed 32 --lr 0.01",
    "attention": "--model transformer --context 64 --layers 2 --heads 2 --lr 0.003",
}
EDGES = (1, 2, 3, 4, 6, 8, 11, 15, 20, 28, 39)


def memory(workshop: Workshop) -> Picture:
    """How far back each remembers."""
    runs = {name: f"{TRAIN} {flags} -o $G/memory-{flags.split()[1]}" for name, flags in NETS.items()}
    found = trained(workshop, DATA, runs)
    asked = [f"seqtool predict {command.rsplit(' ', 1)[1]} $G/lag-test.conll" for command in runs.values()]
    lags, symbols = _questions((workshop.folder / "lag-test.conll").read_text())
    right: dict[str, list[float]] = {}
    for name, answer in zip(NETS, workshop.run(*asked), strict=True):
        hits = np.array(symbols) == np.array(_questions(answer)[1])
        parts = [(np.array(lags) >= low) & (np.array(lags) < high) for low, high in itertools.pairwise(EDGES)]
        right[name] = [float(hits[part].mean()) for part in parts]
    window, recurrent, attending = right.values()
    middles = [(low + high - 1) / 2 for low, high in itertools.pairwise(EDGES)]
    return Picture(
        "A window, recurrence and attention",
        "A symbol, then noise, then a question: which symbol was it? A window holds the last few tokens and no more. A "
        "recurrent net has to carry the symbol through every step; attention looks back at it, however far away it is.",
        [
            Claim(
                f"Within its window the feed-forward net is right in {window[0]:.0%}; furthest away it guesses, "
                f"{window[-1]:.0%}, where chance is {1 / len(SYMBOLS):.0%}.",
                window[0] > 0.8 and window[-1] < 0.2,
            ),
            Claim(
                f"Furthest away the recurrent net is right in {recurrent[-1]:.0%}, attention in {attending[-1]:.0%}.",
                min(recurrent[-1], attending[-1]) > window[-1] + 0.3,
            ),
        ],
        [*DATA, *runs.values(), *asked],
        [
            Chart(
                "Share of right answers, by distance",
                "tokens between",
                [Line(name, middles, values, "valid", place) for place, (name, values) in enumerate(right.items())],
            ),
            Chart("Validation loss, nats per answer", "steps", validation_lines(found)),
        ],
        heads=["tokens between", *(f"{a}" if b == a + 1 else f"{a} to {b - 1}" for a, b in itertools.pairwise(EDGES))],
        rows=[[name, *(f"{value:.0%}" for value in values)] for name, values in right.items()],
    )


def _questions(conll: str) -> tuple[list[int], list[str]]:
    """Of each sequence how many tokens lie between the symbol and the question, and the last tag."""
    blocks = [block.splitlines() for block in conll.strip().split("\n\n")]
    return [len(block) - 2 for block in blocks], [block[-1].split("\t")[1] for block in blocks]
