"""The weights of a linear mixture, beside a search for them and a plain sum of probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.counts.mixture import fitted_weights, mixed_nats


def nats(seed: int, models: int, tokens: int) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 1.0, (models, tokens))


def loss(nats_MT: np.ndarray, weights_M: np.ndarray) -> float:
    return float(-np.log((weights_M[:, None] * np.exp(-nats_MT)).sum(axis=0)).mean())


@pytest.mark.parametrize("seed", range(4))
def test_no_other_weights_are_better(seed: int):
    nats_MT = nats(seed, 2, 500)
    best = min(loss(nats_MT, np.array([w, 1 - w])) for w in np.linspace(0, 1, 2001))
    weights_M = fitted_weights(nats_MT)
    assert weights_M.sum() == pytest.approx(1, abs=1e-12)
    assert loss(nats_MT, weights_M) <= best + 1e-6
    assert mixed_nats(nats_MT, weights_M).mean() == pytest.approx(loss(nats_MT, weights_M), rel=1e-12)


def test_several_models_reach_what_moving_weight_between_two_cannot_lower():
    nats_MT = nats(9, 5, 400)
    weights_M = fitted_weights(nats_MT)
    found = loss(nats_MT, weights_M)
    for giver in range(5):
        for taker in range(5):
            moved = weights_M.copy()
            step = min(0.01, moved[giver])
            moved[giver] -= step
            moved[taker] += step
            assert loss(nats_MT, moved) >= found - 1e-6


def test_the_better_of_two_gets_all_where_the_other_never_helps():
    nats_MT = nats(1, 1, 50).repeat(2, axis=0)
    nats_MT[1] += 1
    assert fitted_weights(nats_MT)[0] > 0.999


def test_what_cannot_be_and_what_is_very_unlikely_stay_numbers():
    nats_MT = np.array([[np.inf, 2.0, np.inf, 2000.0], [1.0, np.inf, np.inf, 2001.0]])
    weights_M = fitted_weights(nats_MT)
    assert np.isfinite(weights_M).all()
    assert weights_M.sum() == pytest.approx(1)
    mixed_T = mixed_nats(nats_MT, weights_M)
    assert mixed_T[2] == np.inf
    assert mixed_T[:2] == pytest.approx([1 - np.log(weights_M[1]), 2 - np.log(weights_M[0])])
    assert 2000 < mixed_T[3] < 2001


def test_without_a_token_the_weights_are_equal():
    assert fitted_weights(np.empty((3, 0))).tolist() == pytest.approx([1 / 3] * 3)
