"""Metrics of regression are those of scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from seqtool.errors import InputError
from seqtool.scoring.metrics.numbers import mean_absolute_error, mean_squared_error, numbers_report, r2_score

close = pytest.approx


def case(seed: int, targets: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.normal(100, [1, 20, 300][:targets], size=(200, targets))
    return truth, truth + random.normal(size=truth.shape) * truth.std(0) / 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("targets", [1, 3])
def test_numbers_are_scored_as_scikit_learn_scores_them(seed: int, targets: int):
    truth, predicted = case(seed, targets)
    each = {"multioutput": "raw_values"}
    np.testing.assert_allclose(mean_squared_error(truth, predicted), sk.mean_squared_error(truth, predicted, **each))
    np.testing.assert_allclose(mean_absolute_error(truth, predicted), sk.mean_absolute_error(truth, predicted, **each))
    np.testing.assert_allclose(r2_score(truth, predicted), sk.r2_score(truth, predicted, **each))
    mean, deviation = np.full(targets, 90.0), np.full(targets, 10.0)
    report = numbers_report("abc"[:targets], truth, predicted, mean_D=mean, deviation_D=deviation)
    assert report["mse"] == close(sk.mean_squared_error(truth, predicted))
    assert report["rmse"] == close(sk.root_mean_squared_error(truth, predicted))
    assert report["mae"] == close(sk.mean_absolute_error(truth, predicted))
    assert report["r2"] == close(sk.r2_score(truth, predicted))
    assert report["mse_in_deviations"] == close(sk.mean_squared_error(truth / 10, predicted / 10))
    assert report["rmse_in_deviations"] == close(report["rmse"] / 10)
    assert report["mae_in_deviations"] == close(report["mae"] / 10)
    guess = np.full_like(truth, 90)
    assert report["baseline_mse"] == close(sk.mean_squared_error(truth, guess))
    assert report["baseline_r2"] == close(sk.r2_score(truth, guess))
    assert [row["target"] for row in report["targets"]] == list("abc"[:targets])
    assert report["targets"][-1]["mae"] == close(sk.mean_absolute_error(truth[:, -1], predicted[:, -1]))
    json.dumps(report, allow_nan=False)


def test_errors_of_many_float32_numbers_are_summed_in_float64():
    truth, predicted = np.zeros((3_000_000, 1), np.float32), np.full((3_000_000, 1), 0.1, np.float32)
    assert mean_squared_error(truth, predicted)[0] == close(float(np.float32(0.1)) ** 2, rel=1e-10)


def test_a_target_of_one_value_has_no_r2_and_no_deviations():
    truth = np.full((3, 1), 0.1)  # whose mean, computed, is not 0.1
    report = numbers_report("a", truth, truth + 1, mean_D=np.array([0.1]), deviation_D=np.zeros(1))
    assert report["mse"] == close(1)
    assert report["baseline_mse"] == close(0)
    assert (report["r2"], report["mse_in_deviations"], report["mae_in_deviations"]) == (None, None, None)


def test_perfect_empty_and_single():
    one = np.ones(1)
    truth = np.arange(5.0)[:, None]
    assert numbers_report("a", truth, truth, mean_D=one, deviation_D=one)["r2"] == 1
    assert numbers_report("a", truth[:0], truth[:0], mean_D=one, deviation_D=one)["mse"] is None
    assert numbers_report("a", truth[:1], truth[1:2], mean_D=one, deviation_D=one)["r2"] is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_a_number_is_refused(bad: float):
    good, one = np.zeros((2, 1)), np.ones(1)
    with pytest.raises(InputError, match="the predicted numbers hold 2 values"):
        numbers_report("a", good, good + bad, mean_D=one, deviation_D=one)
    with pytest.raises(InputError, match="the true numbers hold 2 values"):
        numbers_report("a", good + bad, good, mean_D=one, deviation_D=one)
