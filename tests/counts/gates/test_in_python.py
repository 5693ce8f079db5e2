"""What is in C is what is in Python."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.counts.gates import gates as module
from seqtool.counts.gates.in_python import counted, hashed
from seqtool.native.loading import part
from tests.counts.gates.test_gates import hostile, new_gates, told


@pytest.mark.skipif(part("mixing") is None, reason="not built")
@pytest.mark.parametrize("models, size", [(0, 12), (2, 12), (1, 300)])
def test_c_is_python(models: int, size: int, monkeypatch: pytest.MonkeyPatch):
    ids = hostile(6, 66, size)
    found = []
    for compiled in (True, False):
        monkeypatch.setattr(module, "part", part if compiled else lambda name: None)
        gates = new_gates(models, size)
        state_F = gates.begin(1)[0]
        log_p = [told(m, 22, size) for m in range(models)]
        nats = [gates.read(state_F, ids[:22], [None] * models, learn=True)]
        nats.append(gates.read(state_F, ids[22:44], log_p, learn=True))
        nats.append(gates.read(state_F.copy(), ids[44:], log_p))
        gates.advance(state_F, ids[44:])
        nats.append(gates.next_log_p(state_F, [one[0] for one in log_p]))
        found.append((np.concatenate(nats), state_F, gates.arrays))
    (nats, state_F, arrays), (expected, expected_F, expected_arrays) = found
    assert np.allclose(nats, expected, rtol=0, atol=1e-2)
    assert state_F.tolist() == expected_F.tolist()
    for name in ("past", "found", "followed", "table"):
        assert np.array_equal(arrays[name], expected_arrays[name]), name
    for name in ("maps", "chances", "weights", "last", "stages", "match_maps"):
        assert np.allclose(arrays[name], expected_arrays[name], rtol=0, atol=1e-3), name


def test_a_counter_forgets_one_way_when_the_other_comes():
    counter = 0
    for _ in range(200):
        counter = counted(counter, 1)
    assert counter >> 5 & 31 == 31
    assert not counter & 31
    assert counter >> 16 > 0.99 * 65536
    assert counter >> 11 & 31 > 20
    counter = counted(counted(counter, 0), 0)
    assert counter & 31 == 2
    assert counter >> 5 & 31 < 14
    assert not counter >> 10 & 1


def test_a_hash_depends_on_every_bit():
    values = [hashed(a, b) for a in (0, 1, -1, 1 << 63) for b in (0, 1, 2, 1 << 62)]
    assert len(set(values)) == len(values)
    assert all(0 <= value < 1 << 64 for value in values)
