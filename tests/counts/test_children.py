"""A token is found among those of its parent, and nowhere else; in C as in numpy."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.counts.children import bisected, find_children, in_order


@pytest.mark.parametrize("sizes", [[0], [1], [0, 0, 3, 0], [5, 0, 1, 700, 2, 2], [1] * 50])
def test_tokens_are_found_and_others_are_not(sizes: list[int]):
    random = np.random.default_rng(len(sizes))
    of_parents = [np.sort(random.choice(2000, size, replace=False)) for size in sizes]
    firsts = np.cumsum([0, *sizes]).astype(np.int32)
    tokens = np.concatenate(of_parents).astype(np.int32)
    parents = random.integers(0, len(sizes), 3000)
    wanted = np.where(random.random(3000) < 0.5, random.integers(-3, 2003, 3000), 0)
    for at in np.flatnonzero(random.random(3000) < 0.5):
        if sizes[parents[at]]:
            wanted[at] = random.choice(of_parents[parents[at]])
    places = {
        (parent, int(token)): int(firsts[parent]) + place
        for parent, own in enumerate(of_parents)
        for place, token in enumerate(own)
    }
    expected = [places.get(asked, -1) for asked in zip(parents.tolist(), wanted.tolist(), strict=True)]
    assert bisected(firsts, tokens, parents, wanted).tolist() == expected
    assert find_children(firsts, tokens, parents, wanted).tolist() == expected
    assert find_children(firsts, tokens, parents[::7], wanted[::7]).tolist() == expected[::7]
    assert find_children(firsts, tokens, parents[:0], wanted[:0]).tolist() == []


def test_ngrams_lie_in_the_order_of_their_parents_and_tokens():
    parents, tokens = np.array([2, 0, 2, 3, 0]), np.array([1, 7, 0, 5, 2])
    order, firsts = in_order(parents, tokens, 5, 10)
    assert order.tolist() == [4, 1, 2, 0, 3]
    assert (firsts.tolist(), firsts.dtype) == ([0, 2, 2, 4, 5, 5], np.int32)
    with pytest.raises(ValueError, match="twice"):
        in_order(np.array([1, 1]), np.array([3, 3]), 2, 10)
    assert in_order(parents[:0], tokens[:0], 2, 10).firsts.tolist() == [0, 0, 0]
