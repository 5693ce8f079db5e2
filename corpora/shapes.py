"""Small pictures of shapes as pixels, with captions of a known grammar, as csv: how often can the very words be told?

    python -m corpora.shapes > train.csv
    python -m corpora.shapes --rows 2000 --seed 1 > test.csv

A picture has SIDE x SIDE pixels, p00 to p99, row by row: a shape of one of two sizes in one of the four quarters, 1 on
0, and on every pixel normal noise of standard deviation NOISE, which hides nothing: the shape is seen in each picture.
The caption says size, shape and quarter. For some sizes and shapes there are two words, of which one is drawn:

    a little ring at the top left

What is shown can be told in every case, which word was drawn in none: so the greatest accuracy that can be expected, of
the whole caption, is the product of the mean probabilities of the likeliest words. Printed on stderr: that, and the
accuracy of the likeliest words on the rows written.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from corpora.recipe import asked, run

SIDE, NOISE = 10, 0.1
SIZES = {3: {"small": 0.8, "little": 0.2}, 5: {"large": 0.8, "big": 0.2}}
SHAPES = {
    "square": {"square": 1.0},
    "ring": {"ring": 0.75, "frame": 0.25},
    "cross": {"cross": 1.0},
    "bar": {"bar": 1.0},
    "post": {"post": 0.75, "pole": 0.25},
}
"""The words for each shape, and how probable each is; the same of sizes."""
QUARTERS = {"top left": (0, 0), "top right": (0, 1), "bottom left": (1, 0), "bottom right": (1, 1)}


def covers(shape: str, size: int, row: int, column: int) -> bool:
    """Whether a shape has the pixel in that row and column of its own square."""
    middle, edge = size // 2, size - 1
    return {
        "square": True,
        "ring": row in (0, edge) or column in (0, edge),
        "cross": middle in (row, column),
        "bar": row == middle,
        "post": column == middle,
    }[shape]


class Picture(NamedTuple):
    """What is shown, where its square begins, and the words of the caption."""

    shape: str
    size: int
    quarter: str
    corner: tuple[int, int]
    words: tuple[str, str]

    @property
    def caption(self) -> str:
        """The caption."""
        return f"a {' '.join(self.words)} at the {self.quarter}"

    @property
    def likeliest(self) -> bool:
        """Whether its words are the likeliest of what is shown."""
        choices = (SIZES[self.size], SHAPES[self.shape])
        return all(
            word == max(choice, key=lambda one: choice[one]) for word, choice in zip(self.words, choices, strict=True)
        )

    def pixels(self) -> list[bool]:
        """Row by row, without noise."""
        top, left = self.corner
        inside = range(self.size)
        return [
            row - top in inside and column - left in inside and covers(self.shape, self.size, row - top, column - left)
            for row, column in product(range(SIDE), repeat=2)
        ]


def drawn(rows: int, seed: int) -> Iterator[tuple[Picture, list[float]]]:
    """Pictures, and their pixels with noise."""
    chance = random.Random(seed)
    half = SIDE // 2
    for _ in range(rows):
        shape, size, quarter = chance.choice(list(SHAPES)), chance.choice(list(SIZES)), chance.choice(list(QUARTERS))
        down, right = QUARTERS[quarter]
        corner = (down * half + chance.randint(0, half - size), right * half + chance.randint(0, half - size))
        words = tuple(chance.choices(list(said), list(said.values()))[0] for said in (SIZES[size], SHAPES[shape]))
        picture = Picture(shape, size, quarter, corner, (words[0], words[1]))
        yield picture, [pixel + chance.gauss(0, NOISE) for pixel in picture.pixels()]


def best_accuracy() -> float:
    """The greatest accuracy of whole captions that can be expected."""
    by_size = sum(max(words.values()) for words in SIZES.values()) / len(SIZES)
    by_shape = sum(max(words.values()) for words in SHAPES.values()) / len(SHAPES)
    return by_size * by_shape


def main() -> None:
    """Write pictures, and say on stderr how many of their captions can be told."""
    options = asked("Small pictures of shapes as pixels with captions, as csv.", 5_000)
    print(",".join(f"p{row}{column}" for row, column in product(range(SIDE), repeat=2)) + ",caption")
    right = 0
    for picture, pixels in drawn(options.rows, options.seed):
        print(",".join(f"{pixel:.2f}" for pixel in pixels) + f",{picture.caption}")
        right += picture.likeliest
    print(f"best possible, expected       accuracy {best_accuracy():.4f}", file=sys.stderr)
    print(f"best possible, on these rows  accuracy {right / options.rows:.4f}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
