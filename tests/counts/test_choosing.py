"""The order is the one that text which was not counted asks for."""

from __future__ import annotations

import numpy as np

from seqtool.counts.choosing import best_of, candidates
from seqtool.counts.counting import NgramCounts

V, BEGIN = 8, 0


def text_of_order_three(seed: int, size: int) -> np.ndarray:
    """Each token follows from the two before, nearly always."""
    random, ids = np.random.default_rng(seed), [BEGIN, 1, 2]
    while len(ids) < size:
        ids.append(1 + (3 * ids[-1] + 5 * ids[-2]) % 6 if random.random() < 0.9 else int(random.integers(1, 7)))
    return np.array(ids)


def test_the_order_is_that_of_what_made_the_text():
    counts = NgramCounts(text_of_order_three(0, 5_000), V, BEGIN)
    found = list(candidates(counts, text_of_order_three(1, 2_000), 0, 16))
    assert [one.model.order for one in found] == list(range(1, len(found) + 1))
    assert best_of(found).model.order == 3
    assert len(found) == len(counts.orders) == 4
    assert {one.tokens for one in found} == {1_999}


def test_an_order_that_is_asked_for_is_taken():
    counts = NgramCounts(text_of_order_three(0, 500), V, BEGIN)
    (found,) = candidates(counts, text_of_order_three(1, 200), 6, 16)
    assert best_of([found]).model.order == 6


def test_no_more_than_the_most_are_tried():
    counts = NgramCounts(text_of_order_three(0, 5_000), V, BEGIN)
    found = list(candidates(counts, text_of_order_three(1, 2_000), 0, 2))
    assert best_of(found).model.order == len(found) == 2
