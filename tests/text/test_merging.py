"""Merging by ranks: the short and the long way give what the definition gives."""

from __future__ import annotations

import random
from itertools import pairwise

from seqtool.text.merging import FEW, Merges


def by_definition(ids: list[int], pairs: list[tuple[int, int]], made: list[int]) -> list[int]:
    """Merge the pair of the lowest rank, the leftmost of equals, until there is none."""
    while True:
        found = [(pairs.index(pair), place) for place, pair in enumerate(pairwise(ids)) if pair in pairs]  # fmt: skip
        if not found:
            return ids
        rank, place = min(found)
        ids = [*ids[:place], made[rank], *ids[place + 2 :]]


def test_merges_are_those_of_the_definition():
    rng = random.Random(2)
    for number in range(200):
        known = list(range(4))
        pairs, made = [], []
        for index in range(4, 14):
            pair = (rng.choice(known), rng.choice(known))
            if pair not in pairs:
                pairs.append(pair)
                made.append(index)
                known.append(index)
        if number % 2:  # a pair may stand before the one that makes its parts
            order = rng.sample(range(len(pairs)), len(pairs))
            pairs, made = [pairs[place] for place in order], [made[place] for place in order]
        merges = Merges(pairs, made)
        for _ in range(5):
            ids = [rng.randrange(4) for _ in range(rng.randrange(40))]
            expected = by_definition(ids, pairs, made)
            assert merges.merge(ids) == merges._merge_many(ids) == expected


def test_the_last_rank_of_a_pair_that_is_there_twice_counts():
    assert Merges([(0, 1), (1, 2), (0, 1)], [3, 4, 3]).merge([0, 1, 2]) == [0, 4]


def test_a_long_unit_takes_no_time_of_the_square():
    assert Merges([(0, 0), (1, 1)], [1, 2]).merge([0] * 30_000) == [2] * 7_500
    assert FEW < 1000
