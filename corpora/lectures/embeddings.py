"""Cosines between words, one-hot and learned."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from seqtool.reports.gallery import Claim, Picture
from seqtool.reports.pictures import Heat

if TYPE_CHECKING:
    from corpora.gallery import Workshop

WORDS = ("france", "italy", "japan", "paris", "rome", "tokyo", "dog", "cat", "horse", "dogs", "cats", "horses")
PLACES = 6  # words of the first two kinds, places; the others are animals
TEXT = "python corpora/capitals.py --words 300000 --train $G/capitals.txt --questions $G/questions.txt"
PAIRS = f"words='{' '.join(WORDS)}'; for a in $words; do for b in $words; do echo $a $b; done; done > $G/pairs.txt"
METHODS = {
    "one-hot": "seqtool embed train $G/capitals.txt --force -o $G/one-hot.vectors --method one-hot",
    "learned": "seqtool embed train $G/capitals.txt --force -o $G/learned.vectors --dim 50 --epochs 10",
}


def embeddings(workshop: Workshop) -> Picture:
    """Which words are like each other."""
    asked = [f"seqtool embed similarity $G/{name}.vectors - < $G/pairs.txt" for name in METHODS]
    judged = [f"seqtool embed evaluate $G/{name}.vectors $G/questions.txt --json" for name in METHODS]
    workshop.run(TEXT, PAIRS)
    workshop.run(*METHODS.values())
    answers, reports = workshop.run(*asked), workshop.run(*judged)
    cosines = {
        name: np.array([float(line.split("\t")[2]) for line in answer.splitlines()]).reshape(len(WORDS), -1)
        for name, answer in zip(METHODS, answers, strict=True)
    }
    right = {name: float(json.loads(report)["accuracy"]) for name, report in zip(METHODS, reports, strict=True)}
    kinds, apart = np.arange(len(WORDS)) // 3, ~np.eye(len(WORDS), dtype=bool)
    same = {name: float(values[(kinds[:, None] == kinds) & apart].mean()) for name, values in cosines.items()}
    far = {name: float(values[:PLACES, PLACES:].mean()) for name, values in cosines.items()}
    return Picture(
        "One-hot and learned embeddings",
        "One-hot vectors are all alike: each is at a right angle to every other. Vectors that are learned from what "
        "stands around words put words of like use near each other, and relations between them become directions.",
        [
            Claim("The cosine of any two different one-hot vectors is 0.", not cosines["one-hot"][apart].any()),
            Claim(
                f"The mean cosine of learned vectors is {same['learned']:.2f} between words of one kind, such as two "
                f"capitals, and {far['learned']:.2f} between places and animals.",
                same["learned"] > far["learned"] + 0.2,
            ),
            Claim(
                f"Of the analogies, such as paris to france as rome to …, learned vectors answer "
                f"{right['learned']:.0%} and one-hot ones {right['one-hot']:.0%}.",
                right["learned"] > right["one-hot"] + 0.3,
            ),
        ],
        [TEXT, *METHODS.values(), PAIRS, *asked, *judged],
        heats=[Heat(f"Cosines, {name}", WORDS, WORDS, values.tolist()) for name, values in cosines.items()],
        heads=["", "mean cosine, same kind", "places and animals", "analogies"],
        rows=[[name, f"{same[name]:.3f}", f"{far[name]:.3f}", f"{right[name]:.1%}"] for name in METHODS],
    )
