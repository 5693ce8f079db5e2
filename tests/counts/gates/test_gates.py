"""Gates: their probabilities are some, no score depends on what follows, and learning is by what was scored alone."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.counts.gates import gates as module
from seqtool.counts.gates.gates import FIELDS, Gates, buckets_for, learned_shapes

V, BEGIN = 12, 1
BOTH = pytest.mark.parametrize("compiled", [True, False], ids=["C", "Python"], indirect=True)


@pytest.fixture
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setattr(module, "part", lambda name: None)
    return bool(request.param)


def new_gates(models: int = 0, size: int = V, tokens: int = 1000, memory: int = 1 << 20) -> Gates:
    random = np.random.default_rng(5)
    counts = random.integers(0, 100, size)
    words, kinds = random.integers(0, 4, size), random.integers(0, 4, size)
    return Gates.new(counts, words, kinds, BEGIN % size, models, tokens, memory)


def hostile(seed: int, length: int, size: int = V) -> np.ndarray:
    """Runs of one token, periods, and noise."""
    random = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < length:
        kind = random.integers(3)
        if kind == 0:
            parts.append(np.full(random.integers(1, 30), random.integers(size)))
        elif kind == 1:
            parts.append(np.tile(random.integers(0, size, random.integers(1, 9)), random.integers(1, 12)))
        else:
            parts.append(random.integers(0, size, random.integers(1, 20)))
    return np.concatenate(parts)[:length].astype(np.int64)


def told(seed: int, length: int, size: int = V) -> np.ndarray:
    """log p of a model, now and then certain, wrong or none."""
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(size, 0.1), length) + 1e-12
    log_p = np.log(p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    log_p[::7] = -np.inf
    log_p[::7, 3 % size] = 0
    log_p[5::11] = np.nan
    return log_p


@BOTH
@pytest.mark.parametrize("models", [0, 1, 3])
@pytest.mark.parametrize("size", [2, V])
def test_all_next_tokens_sum_to_1_and_are_what_scoring_gives(compiled: bool, models: int, size: int):
    count = 60 if compiled else 10
    gates, ids = new_gates(models, size), hostile(0, count, size)
    log_p = [told(m, count, size) for m in range(models)]
    states = gates.begin(1)
    for t in range(0, count, 1 if compiled else 5):
        log_p_V = gates.next_log_p(states[0], [one[t] for one in log_p])
        assert np.exp(log_p_V.astype(np.float64)).sum() == pytest.approx(1, abs=1e-6)
        nats = gates.read(states[0].copy(), ids[t : t + 1], [one[t : t + 1] for one in log_p])
        assert float(nats[0]) == pytest.approx(-float(log_p_V[ids[t]]), abs=1e-5)
        ahead = slice(t, t + 1 if compiled else t + 5)
        gates.read(states[0], ids[ahead], [one[ahead] for one in log_p], learn=True)


@BOTH
def test_no_score_depends_on_what_follows_and_parts_are_the_whole(compiled: bool):
    count = 200 if compiled else 20
    ids, log_p = hostile(1, count), told(1, count)
    other = ids.copy()
    other[11:] = 0
    whole, changed = (
        gates.read(gates.begin(1)[0], text, [log_p], learn=True)
        for gates, text in ((new_gates(1), ids), (new_gates(1), other))
    )
    assert whole[:11].tolist() == changed[:11].tolist()
    gates = new_gates(1)
    state_F = gates.begin(1)[0]
    parts = [gates.read(state_F, ids[at : at + 7], [log_p[at : at + 7]], learn=True) for at in range(0, count, 7)]
    assert np.concatenate(parts).tolist() == whole.tolist()


@BOTH
def test_nothing_is_learned_unless_asked(compiled: bool):
    gates = new_gates(1)
    gates.read(gates.begin(1)[0], hostile(2, 12), [None], learn=True)
    before = gates.copy()
    state_F = gates.begin(1)[0]
    nats = [gates.read(gates.begin(1)[0], hostile(3, 8), [told(3, 8)]) for _ in range(2)]
    gates.advance(state_F, hostile(3, 8))
    gates.next_log_p(state_F, [told(4, 1)[0]])
    assert nats[0].tolist() == nats[1].tolist()
    assert gates.past_count == before.past_count == 12
    for name, array in gates.arrays.items():
        assert np.array_equal(array[: len(before.arrays[name])], before.arrays[name]), name
    moved = gates.begin(1)[0]
    gates.read(moved, hostile(3, 8), [None])
    assert moved.tolist() == state_F.tolist()


def test_what_is_learned_is_worth_something():
    gates, ids = new_gates(), np.tile(hostile(4, 300), 4)
    nats = gates.read(gates.begin(1)[0], ids, [], learn=True)
    assert nats[:300].mean() > 3 * nats[900:].mean()
    assert nats[900:].mean() < 0.2
    frozen = gates.read(gates.begin(1)[0], ids[:300], [])
    assert frozen.mean() < 0.5 * nats[:300].mean()


def test_a_model_that_knows_is_trusted_and_one_that_lies_is_not():
    ids = hostile(5, 1500)
    knows, lies = np.full((1500, V), np.log(0.1 / (V - 1)), np.float32), np.full((1500, V), -20.0, np.float32)
    knows[np.arange(1500), ids] = np.log(0.9)
    lies[np.arange(1500), (ids + 1) % V] = 0
    gates = new_gates(2)
    nats = gates.read(gates.begin(1)[0], ids, [knows, lies], learn=True)
    alone = new_gates()
    assert nats[1000:].mean() < 0.3 * alone.read(alone.begin(1)[0], ids, [], learn=True)[1000:].mean()


def test_more_tokens_than_were_expected_find_room():
    gates = new_gates(tokens=10, memory=0)
    assert len(gates.arrays["table"]) == module.LEAST_BUCKETS
    ids = np.random.default_rng(0).integers(0, V, 20_000)
    nats = gates.read(gates.begin(1)[0], ids, [], learn=True)
    assert np.isfinite(nats).all()
    assert gates.past_count == 20_000
    assert nats[10_000:].mean() == pytest.approx(np.log(V), rel=0.05)  # noise costs what it must


def test_an_id_that_is_none_is_refused_and_nothing_moves():
    gates = new_gates()
    state_F = gates.begin(1)[0]
    before = state_F.copy()
    for ids in ([V], [-1], [0, 1, 1 << 40]):
        with pytest.raises(ValueError, match="none of 12"):
            gates.read(state_F, np.array(ids), [], learn=True)
        with pytest.raises(ValueError, match="none of 12"):
            gates.advance(state_F, np.array(ids))
    assert state_F.tolist() == before.tolist()
    assert gates.past_count == 0


def test_sizes_follow_from_tokens_and_memory():
    assert buckets_for(1_000_000, 1 << 30) == 1 << 24
    assert buckets_for(1_000_000, 1 << 26) == 1 << 22
    assert buckets_for(1, 1 << 30) == module.LEAST_BUCKETS
    shapes = learned_shapes(2, 1 << 12, 1 << 12)
    assert shapes["weights"][1][1] % 16 == 0
    assert len(FIELDS) == new_gates().begin(3).shape[1]
    table = new_gates().arrays["table"]
    assert table.ctypes.data % 64 == 0
