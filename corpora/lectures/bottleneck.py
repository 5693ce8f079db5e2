"""Sentences translated word for word, with and without attention."""

from __future__ import annotations

import base64
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from corpora.lectures.common import trained
from seqtool.reports.gallery import Claim, Picture
from seqtool.reports.pictures import Chart, Heat, Line

if TYPE_CHECKING:
    from corpora.gallery import Workshop

STEPS = 500
DATA = (
    "python -m corpora.word_for_word > $G/words.tsv",
    "python -m corpora.word_for_word --rows 300 --seed 1 > $G/words-test.tsv",
)
TRAIN = (
    "seqtool train $G/words.tsv --valid $G/words-test.tsv --target hsilgne --header yes --vocab-type word --force "
    f"--hidden 96 --lr 0.004 --batch-tokens 1024 --dropout 0 --label-smoothing 0 "
    f"--steps {STEPS} --eval-every 100 --early-stop 0"
)
MAPPED = "echo 'old dog finds small white bird' | seqtool predict $G/attention --force --attention-map $G/looks.html"
EDGES = (1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25)


def bottleneck(workshop: Workshop) -> Picture:
    """How long a sentence one vector holds, and where attention looks."""
    runs = {
        "bottleneck": f"{TRAIN} --attention none -o $G/bottleneck",
        "attention": f"{TRAIN} --attention luong -o $G/attention",
    }
    trained(workshop, DATA, runs)
    asked = [f"seqtool predict $G/{name} $G/words-test.tsv" for name in runs]
    *answers, written = workshop.run(*asked, MAPPED)
    (looks,) = workshop.page_data("looks.html")["maps"]
    rows = [line.split("\t") for line in (workshop.folder / "words-test.tsv").read_text().splitlines()[1:]]
    truth = [target.split() for _, target in rows]
    right = {name: _by_length(truth, answer.splitlines()) for name, answer in zip(runs, answers, strict=True)}
    narrow, attending = right.values()
    middles = [(low + high - 1) / 2 for low, high in itertools.pairwise(EDGES)]
    return Picture(
        "Bottleneck and attention",
        "A translator without attention has to put all that it has read into one vector, from which it writes: the "
        "longer the sentence, the less of it is kept. With attention it looks back, at each word that it writes, at "
        "what it read.",
        [
            Claim(
                f"Without attention {narrow[0]:.0%} of the words of the shortest sentences are right, and "
                f"{narrow[-1]:.0%} of the longest.",
                narrow[-1] < narrow[0] - 0.3,
            ),
            Claim(
                f"With attention, after as many steps, {attending[0]:.0%} and {attending[-1]:.0%}.",
                attending[-1] > narrow[-1] + 0.3,
            ),
        ],
        [*DATA, *runs.values(), *asked, MAPPED],
        [
            Chart(
                "Share of words that are right, by the words of the sentence",
                "words",
                [Line(name, middles, values, "valid", place) for place, (name, values) in enumerate(right.items())],
            )
        ],
        [
            Heat(
                f"Where it looked when it wrote {written.strip()}: a row for each word written",
                looks["target"],
                looks["source"],
                _shares(looks),
            )
        ],
        heads=["words", *(f"{low}, {low + 1}" for low in EDGES[:-1])],
        rows=[[name, *(f"{value:.0%}" for value in values)] for name, values in right.items()],
    )


def _by_length(truth: list[list[str]], told: list[str]) -> list[float]:
    """The share of words that stand where they should, of sentences of each length."""
    hits = [
        (len(own), sum(word == other for word, other in zip(own, line.split(), strict=False)))
        for own, line in zip(truth, told, strict=True)
    ]
    parts = [[one for one in hits if low <= one[0] < high] for low, high in itertools.pairwise(EDGES)]
    return [sum(right for _, right in part) / sum(words for words, _ in part) for part in parts]


def _shares(looks: dict[str, Any]) -> list[list[float]]:
    """The shares of a drawn attention map, the mean of its layers and heads."""
    shape = -1, len(looks["target"]), len(looks["source"])
    shares = np.frombuffer(base64.b64decode(looks["looks"]), np.uint8).reshape(shape).mean(0) / 255
    return [[float(share) for share in row] for row in shares]
