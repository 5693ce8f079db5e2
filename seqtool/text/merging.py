"""Merging the bytes of a unit into pieces, as byte-pair encoding does: of all neighbours that can be merged those
first whose merge was learned first, the leftmost of equals (Sennrich et al. 2016).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import pairwise

FEW = 100  # tokens among which the best pair is found by looking at all
NONE = 1 << 62  # the rank of a pair that is not merged


class Merges:
    """Merges neighbours by the rank of their pair: `pairs` are merged in this order, and make the ids of `made`."""

    def __init__(self, pairs: Sequence[tuple[int, int]], made: Sequence[int]) -> None:
        self._rank = {pair: rank for rank, pair in enumerate(pairs)}
        self._made = made

    def merge(self, ids: list[int]) -> list[int]:
        """The ids that are left of those of a unit's bytes."""
        return self._merge_few(ids) if len(ids) <= FEW else self._merge_many(ids)

    def _merge_few(self, ids: list[int]) -> list[int]:
        ids = list(ids)
        rank_of = self._rank.get
        ranks = [rank_of(pair, NONE) for pair in pairwise(ids)]
        while ranks and (best := min(ranks)) < NONE:
            place = ranks.index(best)
            ids[place : place + 2] = [self._made[best]]
            del ranks[place]
            if place:
                ranks[place - 1] = rank_of((ids[place - 1], ids[place]), NONE)
            if place < len(ranks):
                ranks[place] = rank_of((ids[place], ids[place + 1]), NONE)
        return ids

    def _merge_many(self, ids: list[int]) -> list[int]:
        """In time n log n: pairs wait in a heap, and one of which a part has been merged before is passed over."""
        ids, count = list(ids), len(ids)
        rank_of = self._rank.get
        after, before = list(range(1, count + 1)), list(range(-1, count - 1))
        ranks = (rank_of(pair, NONE) for pair in pairwise(ids))
        waiting = [rank * count + place for place, rank in enumerate(ranks) if rank < NONE]
        heapq.heapify(waiting)
        while waiting:
            rank, place = divmod(heapq.heappop(waiting), count)
            second = after[place]
            if second == count or ids[place] < 0 or rank_of((ids[place], ids[second])) != rank:
                continue
            ids[place], ids[second] = self._made[rank], -1
            third = after[place] = after[second]
            if third < count:
                before[third] = place
                if (found := rank_of((ids[place], ids[third]))) is not None:
                    heapq.heappush(waiting, found * count + place)
            first = before[place]
            if first >= 0 and (found := rank_of((ids[first], ids[place]))) is not None:
                heapq.heappush(waiting, found * count + first)
        return [index for index in ids if index >= 0]
