"""A token spelled in decisions: a Huffman code (Huffman 1952) of the vocabulary, walked from its root.

Whatever gives each decision a probability gives all tokens probabilities that sum to 1: there is nothing to normalise.
Frequent tokens take few decisions, which is fast, and tokens that never came share one decision for a long way.

Shapes: V vocabulary, N = V-1 nodes.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MOST_DECISIONS = 64  # of a token: what its path has room for


@dataclass(frozen=True)
class Spelling:
    """The code. Node 0 is the root, and every node comes before those below it."""

    children: npt.NDArray[np.int32]
    """(N, 2): the node that follows a decision for left (0) or right (1), or ~token."""
    spans: npt.NDArray[np.int32]
    """(N, 3): of all leaves from left to right, those from the first up to the second are on the left of a node, and
    those from there up to the third on its right."""
    leaves: npt.NDArray[np.int32]
    """(V,): the token at each leaf, from left to right."""
    paths: npt.NDArray[np.uint64]
    """(V,): the decisions of each token, the first in the lowest bit."""
    depths: npt.NDArray[np.uint8]
    """(V,): how many these are."""


def spelling_of(counts_V: npt.NDArray[np.integer]) -> Spelling:
    """The code of tokens that came so often; each counts once more, so that all can be spelled. V is 2 or more.

    Of two that are equally frequent that with the lower id is merged first: the same counts give the same code.
    """
    size = len(counts_V)
    heap = [(int(count) + 1, token, ~token) for token, count in enumerate(counts_V.tolist())]
    heapq.heapify(heap)
    merged: list[tuple[int, int]] = []  # the last of them is the root
    while len(heap) > 1:
        rarest, rare = heapq.heappop(heap), heapq.heappop(heap)
        merged.append((rare[2], rarest[2]))
        heapq.heappush(heap, (rarest[0] + rare[0], size + len(merged), len(merged) - 1))
    nodes = size - 1
    children = np.array(merged[::-1], np.int32)
    children = np.where(children < 0, children, nodes - 1 - children).astype(np.int32)
    return _walked(children)


def _walked(children: npt.NDArray[np.int32]) -> Spelling:
    """The code of a tree, whose leaves are met from left to right."""
    pairs, nodes = children.tolist(), len(children)  # lists, whose elements are read and set far faster
    spans, leaves = [(0, 0, 0)] * nodes, [0] * (nodes + 1)
    paths, depths = [0] * (nodes + 1), [0] * (nodes + 1)
    sizes = [(1, 1)] * nodes  # leaves on each side
    for node in range(nodes - 1, -1, -1):
        left, right = pairs[node]
        sizes[node] = (sum(sizes[left]) if left >= 0 else 1), (sum(sizes[right]) if right >= 0 else 1)
    starts = [(0, 0, 0)] * nodes  # first leaf, path and depth of each node
    for node in range(nodes):
        first, path, depth = starts[node]
        assert depth < MOST_DECISIONS
        middle = first + sizes[node][0]
        spans[node] = first, middle, middle + sizes[node][1]
        for side, child in enumerate(pairs[node]):
            begin, taken = (middle, path | 1 << depth) if side else (first, path)
            if child < 0:
                leaves[begin], paths[~child], depths[~child] = ~child, taken, depth + 1
            else:
                starts[child] = begin, taken, depth + 1
    return Spelling(
        children,
        np.array(spans, np.int32),
        np.array(leaves, np.int32),
        np.array(paths, np.uint64),
        np.array(depths, np.uint8),
    )
