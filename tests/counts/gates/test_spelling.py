"""Tokens spelled in decisions: a prefix code, as short as Huffman's, whose parts agree with each other."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from seqtool.counts.gates.spelling import spelling_of


def least_decisions(counts: np.ndarray) -> int:
    """The decisions of a text of these counts by the shortest prefix code: the sum of all merged weights."""
    heap = [int(count) + 1 for count in counts]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


@pytest.mark.parametrize(
    "counts",
    [[0, 0], [5, 0], [3, 3, 3, 3, 3], [1 << 30, 0, 0, 7, 1 << 20], list(range(300)), [1 << n for n in range(40)]],
    ids=lambda counts: f"{len(counts)} tokens",
)
def test_it_is_a_shortest_prefix_code_that_agrees_with_its_tree(counts: list[int]):
    counts_V = np.array(counts)
    spelling = spelling_of(counts_V)
    size = len(counts)
    assert int(((counts_V + 1) * spelling.depths).sum()) == least_decisions(counts_V)
    assert sorted(spelling.leaves.tolist()) == list(range(size))
    place = {int(token): number for number, token in enumerate(spelling.leaves)}
    for token in range(size):
        node = 0
        for depth in range(int(spelling.depths[token])):
            bit = int(spelling.paths[token]) >> depth & 1
            first, middle, end = spelling.spans[node].tolist()
            low, high = (middle, end) if bit else (first, middle)
            assert low <= place[token] < high
            child = int(spelling.children[node, bit])
            assert child < 0 or child > node
            node = child
        assert node == ~token


def test_the_same_counts_give_the_same_code():
    counts = np.random.default_rng(0).integers(0, 5, 200)
    one, other = spelling_of(counts), spelling_of(counts)
    assert all(np.array_equal(value, vars(other)[name]) for name, value in vars(one).items())
