"""Where a pair of numbers lies among many: sorted keys, found through a table instead of by bisection.

A bisection among millions of keys reads some twenty places of memory one after the other; a hash table reads one or
two. It is filled without a loop: sorted by their slots, the places that linear probing gives are a running maximum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DENSE_KEYS = 1 << 22  # so many possible keys have a table of all
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Fibonacci hashing

Int64 = npt.NDArray[np.int64]


class KeyIndex:
    """Finds keys among `keys`, which ascend and lie in 0..limit-1."""

    def __init__(self, keys: Int64, limit: int) -> None:
        self._keys = keys
        self._dense = limit <= DENSE_KEYS
        if self._dense:
            self._table = np.full(max(1, limit), -1, np.int32)
            self._table[keys] = np.arange(len(keys), dtype=np.int32)
            return
        bits = max(1, int(2 * len(keys) - 1).bit_length()) if len(keys) else 1
        self._shift = np.uint64(64 - bits)
        slots = self._slots(keys)
        order = np.argsort(slots)
        count = np.arange(len(keys))
        places = np.maximum.accumulate(slots[order] - count) + count
        # One slot behind the last stays empty, and no search goes past an empty slot.
        self._table = np.full(max(1 << bits, int(places[-1]) + 1 if len(places) else 0) + 1, -1, np.int32)
        self._table[places] = order

    def _slots(self, keys: Int64) -> Int64:
        return ((keys.view(np.uint64) * MULTIPLIER) >> self._shift).view(np.int64)

    def find(self, wanted: Int64) -> Int64:
        """The place of each wanted key among the keys; -1 where it is not among them. Shape (wanted,)."""
        if self._dense:
            return self._table[wanted].astype(np.int64)
        if not len(self._keys):
            return np.full(len(wanted), -1, np.int64)
        slots = self._slots(wanted)
        found = self._table[slots].astype(np.int64)
        others = np.flatnonzero((found >= 0) & (self._keys[found] != wanted))
        while len(others):
            slots[others] += 1
            candidates = self._table[slots[others]].astype(np.int64)
            found[others] = candidates
            others = others[(candidates >= 0) & (self._keys[candidates] != wanted[others])]
        return found
