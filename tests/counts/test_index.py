"""A key is found where it is, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.counts.index import DENSE_KEYS, KeyIndex


@pytest.mark.parametrize("limit", [5_000, DENSE_KEYS + 1, 1 << 50])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 1_000])
def test_keys_are_found_and_others_are_not(limit: int, count: int):
    random = np.random.default_rng(count)
    keys = np.sort(random.choice(5_000, count, replace=False)).astype(np.int64) * ((limit - 1) // 5_000 or 1)
    index = KeyIndex(keys, limit)
    wanted = np.concatenate([random.permutation(keys), random.integers(0, limit, 500)])
    places = {key: place for place, key in enumerate(keys.tolist())}
    assert index.find(wanted).tolist() == [places.get(key, -1) for key in wanted.tolist()]


def test_keys_that_want_the_same_slots_are_told_apart():
    """Multiples of a large power of two differ in few bits of the hash."""
    keys = np.arange(5_000, dtype=np.int64) << 44
    index = KeyIndex(keys, 1 << 60)
    assert index.find(keys).tolist() == list(range(5_000))
    assert set(index.find(keys + 1).tolist()) == {-1}
