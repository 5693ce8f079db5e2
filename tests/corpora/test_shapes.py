from __future__ import annotations

import math
from itertools import product

import pytest

from corpora import shapes
from tests.corpora.recipe import made


def seen(pixels: list[float]) -> tuple[str, int, str]:
    """The shape, size and quarter that a reader sees, by comparing all pictures without noise."""
    found = [pixel > 0.5 for pixel in pixels]
    for shape, size, (quarter, (down, right)) in product(shapes.SHAPES, shapes.SIZES, shapes.QUARTERS.items()):
        for row, column in product(range(shapes.SIDE // 2 - size + 1), repeat=2):
            corner = (down * shapes.SIDE // 2 + row, right * shapes.SIDE // 2 + column)
            if shapes.Picture(shape, size, quarter, corner, ("", "")).pixels() == found:
                return shape, size, quarter
    raise AssertionError("no such picture")


def test_what_is_shown_can_be_seen_and_the_likeliest_words_are_as_good_as_can_be():
    (header, *lines), figures = made("shapes", "--rows", 400, "--seed", 3)
    assert header.split(",")[0] == "p00"
    assert header.split(",")[-2:] == ["p99", "caption"]
    right = 0
    for line in lines:
        *pixels, caption = line.split(",")
        shape, size, quarter = seen(list(map(float, pixels)))
        words = [max(said, key=lambda one, said=said: said[one]) for said in (shapes.SIZES[size], shapes.SHAPES[shape])]
        right += caption == f"a {' '.join(words)} at the {quarter}"
    (expected,), (on_rows,) = figures["best possible, expected"], figures["best possible, on these rows"]
    assert right / 400 == pytest.approx(on_rows, abs=1e-4)
    assert on_rows == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / 400))
    assert expected == pytest.approx(0.8 * (3 + 2 * 0.75) / 5, abs=1e-4)
