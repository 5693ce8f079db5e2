"""What is fitted on validation data is the best there is, and does what it promises on data like them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from seqtool.errors import InputError
from seqtool.scoring.metrics.fitting import (
    TEMPERATURES,
    both_classes,
    conformal_offsets,
    fit_temperature,
    fit_threshold,
    fit_thresholds,
    two_logits,
)


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def drawn(p: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return (random.random((len(p), 1)) > p.cumsum(1)).sum(1).clip(max=p.shape[1] - 1)


@pytest.mark.parametrize("true", [0.2, 0.7, 1.0, 3.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_the_temperature_that_was_hidden_is_found(true: float, classes: int):
    random = np.random.default_rng(classes)
    logits = random.normal(size=(50_000, classes))
    truth = drawn(softmax(logits), random)
    assert fit_temperature((logits * true).astype(np.float32), truth) == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_no_other_temperature_has_a_lower_log_loss(seed: int):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(80, 3)) * random.choice([0.1, 1, 10])
    truth = random.integers(0, 3, 80)
    found = fit_temperature(logits, truth)
    losses = [
        sk.log_loss(truth, softmax(logits / t), labels=range(3)) for t in (found, *np.geomspace(*TEMPERATURES, 60))
    ]
    assert losses[0] <= min(losses[1:]) + 1e-12


def test_a_temperature_of_large_logits_is_finite():
    random = np.random.default_rng(0)
    logits = random.normal(size=(500, 3)) * 1e4
    truth = random.integers(0, 3, 500)
    assert fit_temperature(logits, truth) == TEMPERATURES[1]


@pytest.mark.parametrize(
    "logits, truth",
    [
        (np.zeros((0, 3)), np.zeros(0, int)),
        (np.full((4, 3), 2.0), np.array([0, 1, 2, 0])),  # all equal
        (np.eye(3) * 5, np.arange(3)),  # all right: the colder the better
        (np.eye(3), np.array([3, 4, 3])),  # labels never seen in training
    ],
)
def test_where_no_temperature_is_best_it_is_1(logits: np.ndarray, truth: np.ndarray):
    assert fit_temperature(logits, truth) == 1


def test_labels_never_seen_in_training_do_not_change_the_temperature():
    random = np.random.default_rng(0)
    logits, truth = random.normal(size=(60, 3)), random.integers(0, 3, 60)
    with_new = fit_temperature(np.concatenate([logits, logits]), np.concatenate([truth, np.full(60, 3)]))
    assert with_new == fit_temperature(logits, truth)


def test_logits_are_not_changed_and_must_be_numbers():
    logits = np.random.default_rng(0).normal(size=(9, 2))
    before = logits.copy()
    fit_temperature(logits, np.arange(9) % 2)
    np.testing.assert_equal(logits, before)
    logits[3, 0] = np.nan
    with pytest.raises(InputError, match="the logits hold 1 values that are not finite numbers, the first in row 4"):
        fit_temperature(logits, np.arange(9) % 2)


def test_a_sigmoid_is_a_softmax_of_two():
    z = np.array([[-3.0, 0.0], [0.5, 40.0]])
    np.testing.assert_allclose(softmax(two_logits(z)), both_classes(1 / (1 + np.exp(-z))), atol=1e-15)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_other_threshold_has_a_higher_f1(seed: int, dtype: type):
    random = np.random.default_rng(seed)
    positive = random.random(60) < random.choice([0.05, 0.3, 0.8])
    positive[0] = True
    p = np.round(random.beta(2, 3, 60) * 0.8 + 0.2 * positive, 2).astype(dtype)
    found = fit_threshold(positive, p)
    best = max(sk.f1_score(positive, p >= threshold) for threshold in np.unique(p))
    assert sk.f1_score(positive, p >= found) == pytest.approx(best)


def test_no_other_threshold_of_a_few_rows_has_a_higher_f1():
    random = np.random.default_rng(0)
    for _ in range(300):
        positive, p = random.random(5) < 0.5, np.round(random.random(5), 1)
        scores = {t: np.sum(positive & (p >= t)) / max(1, np.sum(positive) + np.sum(p >= t)) for t in (*p, 1.1)}
        found = p >= fit_threshold(positive, p)
        assert np.sum(positive & found) / max(1, np.sum(positive) + np.sum(found)) == max(scores.values())


def test_of_equally_good_thresholds_the_one_nearest_to_a_half_is_taken():
    positive, p = np.array([True, False, False, True, False]), np.array([0.9, 0.8, 0.7, 0.55, 0.1])
    assert fit_threshold(positive, p) == 0.5  # as good as 0.85


def test_a_threshold_of_a_half_is_kept_where_it_is_as_good():
    assert fit_threshold(np.array([False, True]), np.array([0.4, 0.9])) == 0.5
    assert fit_threshold(np.array([False, True]), np.array([0.1, 0.3])) == pytest.approx(0.2)
    assert fit_threshold(np.array([False, True]), np.array([0.6, 0.8])) == pytest.approx(0.7)
    assert fit_threshold(np.array([True, True]), np.array([0.6, 0.8])) == 0.5
    assert fit_threshold(np.array([True, True]), np.array([0.2, 0.8])) == pytest.approx(0.1)
    assert fit_threshold(np.array([False, False]), np.array([0.2, 0.8])) == 0.5
    assert fit_threshold(np.zeros(0, bool), np.zeros(0)) == 0.5


def test_thresholds_at_the_edges_of_what_a_float_can_say():
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    p = np.array([low, high])
    assert (p >= fit_threshold(np.array([False, True]), p)).tolist() == [False, True]
    zeros = np.zeros(2)
    assert (zeros >= fit_threshold(np.array([True, True]), zeros)).all()
    with pytest.raises(InputError, match="probabilities"):
        fit_threshold(np.array([True]), np.array([np.nan]))


def test_every_label_has_a_threshold():
    random = np.random.default_rng(0)
    truth, p = random.random((50, 3)) < [0.5, 0.1, 0.0], random.random((50, 3))
    assert fit_thresholds(truth, p).tolist() == [fit_threshold(truth[:, k], p[:, k]) for k in range(3)]
    assert fit_thresholds(truth, p)[2] == 0.5
    assert fit_thresholds(truth[:, :0], p[:, :0]).shape == (0,)


def test_conformal_offsets_by_hand():
    truth, quantiles = np.arange(9.0), np.zeros((9, 3))  # residuals 0 … 8; (n + 1) q is 1, 5, 9
    np.testing.assert_equal(conformal_offsets(truth, quantiles, [0.1, 0.5, 0.9]), [0, 4, 8])
    np.testing.assert_equal(conformal_offsets(truth[:4], quantiles[:4], [0.1, 0.5, 0.9]), [0, 2, 3])
    np.testing.assert_equal(conformal_offsets(np.arange(14.0), np.zeros((14, 2)), [0.1, 0.9]), [0, 13])  # 1.5 and 13.5
    np.testing.assert_equal(conformal_offsets(np.arange(99.0), np.zeros((99, 2)), [0.29, 0.55]), [28, 54])  # 29 and 55
    np.testing.assert_equal(conformal_offsets(truth[:0], quantiles[:0], [0.1, 0.5, 0.9]), [0, 0, 0])


def test_each_step_has_its_offsets_and_missing_values_count_nowhere():
    random = np.random.default_rng(0)
    truth, quantiles = random.normal(size=(40, 5)), random.normal(size=(40, 5, 2))
    truth[random.random((40, 5)) < 0.3] = np.nan
    truth[:, 4] = np.nan
    offsets = conformal_offsets(truth, quantiles, [0.2, 0.8])
    assert offsets.shape == (5, 2)
    for step in range(4):
        known = np.isfinite(truth[:, step])
        np.testing.assert_equal(
            offsets[step], conformal_offsets(truth[known, step], quantiles[known, step], [0.2, 0.8])
        )
    np.testing.assert_equal(offsets[4], 0)


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_intervals_with_conformal_offsets_cover_new_data(level: float):
    random = np.random.default_rng(0)
    covered = []
    for _ in range(2000):
        y = random.exponential(size=101)
        quantiles = np.tile([0.3, 0.4], (101, 1))  # far too narrow
        moved = quantiles[100] + conformal_offsets(y[:100], quantiles[:100], [level, 1 - level])
        covered.append(moved[0] <= y[100] <= moved[1])
    assert 1 - 2 * level - 0.02 < np.mean(covered) < 1 - 2 * level + 0.05


def test_quantiles_that_are_not_numbers_are_refused():
    with pytest.raises(InputError, match="quantiles"):
        conformal_offsets(np.zeros(2), np.full((2, 1), np.nan), [0.5])
