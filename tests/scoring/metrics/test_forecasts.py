"""Metrics of forecasts follow their published definitions, and the baselines M4's."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn import metrics as sk

from seqtool.errors import InputError
from seqtool.scoring.metrics.forecasts import (
    baseline_forecasts,
    coverage,
    forecasts_report,
    interval_places,
    is_seasonal,
    mase,
    mean_absolute_error,
    mean_squared_error,
    mean_width,
    naive2,
    owa,
    pinball_loss,
    seasonal_factors,
    seasonal_naive,
    seasonal_scale,
    share_below,
    smape,
    winkler_score,
)

close = pytest.approx
LEVELS = [0.05, 0.5, 0.95]


def case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.normal(10, 4, (20, 6)).astype(np.float32)
    return truth, truth + random.normal(size=truth.shape)


def seasonal(seed: int, length: int, season: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    pattern = np.exp(random.normal(size=season) / 2)
    return (50 + np.arange(length) / 5) * pattern[np.arange(length) % season] * np.exp(random.normal(size=length) / 20)


@pytest.mark.parametrize("seed", range(4))
def test_errors_are_those_of_scikit_learn(seed: int):
    truth, forecast = case(seed)
    assert mean_squared_error(truth, forecast) == close(sk.mean_squared_error(truth, forecast))
    assert mean_absolute_error(truth, forecast) == close(sk.mean_absolute_error(truth, forecast))
    quantiles = np.stack([forecast - 1, forecast, forecast + 1], -1)
    losses = [sk.mean_pinball_loss(truth, quantiles[..., q], alpha=level) for q, level in enumerate(LEVELS)]
    np.testing.assert_allclose(pinball_loss(truth, quantiles, LEVELS), losses)


def test_mase_by_hand():
    history = np.array([1.0, 5, 2, 7, 4, 6])
    assert seasonal_scale(history, 2) == (1 + 2 + 2 + 1) / 4
    assert seasonal_scale(history, 1) == (4 + 3 + 5 + 3 + 2) / 5
    truth, forecast = np.array([[3.0, 8.0], [1, 1]]), np.array([[4.0, 6.0], [1, 2]])
    assert mase(truth, forecast, np.array([1.5, 2.0])) == close((1 / 1.5 + 2 / 1.5 + 0 + 1 / 2) / 4)


def test_mase_leaves_out_series_without_a_scale():
    constant, short = np.full(9, 3.0), np.array([1.0, 2.0])
    assert math.isnan(seasonal_scale(constant, 2))
    assert math.isnan(seasonal_scale(short, 2))
    scales = np.array([2.0, seasonal_scale(constant, 2), seasonal_scale(short, 7)])
    assert mase(np.zeros((3, 1)), np.ones((3, 1)), scales) == 0.5
    assert math.isnan(mase(np.zeros((1, 1)), np.ones((1, 1)), scales[1:2]))


def test_smape_by_hand():
    truth, forecast = np.array([[100.0, 0, -1, 2]]), np.array([[50.0, 0, 1, 0]])
    assert smape(truth, forecast) == close((200 * 50 / 150 + 0 + 200 + 200) / 4)


def test_owa_of_naive2_is_1():
    assert owa(12.0, 0.9, 12.0, 0.9) == 1
    assert owa(6.0, 0.9, 12.0, 0.9) == 0.75
    assert math.isnan(owa(6.0, 0.9, 12.0, 0.0))


def test_intervals_by_hand():
    truth = np.array([[1.0, 2.0, 3.0, 7.0, -2.0]])
    lower, upper = np.array([[0.0, 2, 1, 4, 0]]), np.array([[1.0, 3, 2, 6, 1]])
    assert coverage(truth, lower, upper) == 0.4
    assert mean_width(truth, lower, upper) == close((1 + 1 + 1 + 2 + 1) / 5)
    assert winkler_score(truth, lower, upper, 0.9) == close((6 + 20 * (1 + 1 + 2)) / 5)
    np.testing.assert_allclose(share_below(truth, np.stack([lower, upper], -1)), [2 / 5, 3 / 5])


def test_intervals_are_pairs_of_levels():
    assert interval_places([0.1, 0.5, 0.9]) == [(0, 2)]
    assert interval_places([0.25, 0.05, 0.95, 0.5, 0.75, 0.3]) == [(1, 2), (0, 4)]
    assert interval_places([0.5]) == interval_places([]) == []


def test_the_winkler_score_is_that_of_its_two_quantiles():
    truth, forecast = case(3)
    quantiles = np.stack([forecast - 1, forecast + 1], -1)
    both = pinball_loss(truth, quantiles, [0.1, 0.9]).sum()
    assert winkler_score(truth, forecast - 1, forecast + 1, 0.8) == close(2 / 0.2 * both)


def test_missing_values_count_nowhere():
    truth, forecast = case(1)
    truth[3, 2:] = truth[7] = np.nan
    known = np.isfinite(truth)
    lower, upper = forecast - 1, forecast + 1
    assert mean_squared_error(truth, forecast) == close(sk.mean_squared_error(truth[known], forecast[known]))
    assert coverage(truth, lower, upper) == close(np.mean(np.abs(truth - forecast)[known] <= 1))
    assert mean_width(truth, lower, upper) == close(2)
    one_by_one = [200 * abs(y - f) / (abs(y) + abs(f)) for y, f in zip(truth[known], forecast[known], strict=True)]
    assert smape(truth, forecast) == close(np.mean(one_by_one))
    assert math.isnan(mean_squared_error(truth[7:8], forecast[7:8]))


def test_naive_forecasts():
    history = np.array([1.0, 2, 3, 4, 5])
    np.testing.assert_equal(seasonal_naive(history, 7, 1), [5] * 7)
    np.testing.assert_equal(seasonal_naive(history, 7, 3), [3, 4, 5, 3, 4, 5, 3])
    np.testing.assert_equal(seasonal_naive(history[:2], 4, 3), [2, 1, 2, 2])  # a phase without any value: the last


def test_naive_forecasts_with_missing_values():
    history = np.array([1, 2, np.nan, 4, 5, np.nan])
    np.testing.assert_equal(seasonal_naive(history, 4, 3), [4, 5, 5, 4])
    np.testing.assert_equal(seasonal_naive(history, 2, 2), [5, 4])
    np.testing.assert_equal(seasonal_naive(np.array([1, 2, 3, 4, np.nan]), 3, 3), [3, 4, 2])
    np.testing.assert_equal(naive2(np.array([1, np.nan, 3, np.nan]), 2, 1), [3, 3])
    for function in (seasonal_naive, naive2):
        with pytest.raises(InputError, match="a series has no value before its forecast begins"):
            function(np.full(4, np.nan), 2, 2)
        with pytest.raises(InputError, match="no value"):
            function(np.zeros(0), 2, 2)


@pytest.mark.parametrize("season", [2, 4, 7, 12])
def test_seasonal_factors_by_their_definition(season: int):
    y = seasonal(season, 10 * season + 3, season)
    means = []
    for phase in range(season):
        shares = []
        for t in range(phase, len(y), season):
            half = season // 2
            if t - half < 0 or t + half >= len(y):
                continue
            window = y[t - half : t + half + 1].copy()
            if season % 2 == 0:
                window[[0, -1]] /= 2
            shares.append(y[t] / (window.sum() / season))
        means.append(np.mean(shares))
    np.testing.assert_allclose(seasonal_factors(y, season), means / np.mean(means))


@pytest.mark.parametrize("season", [4, 7])
def test_naive2_repeats_the_season_at_the_last_level(season: int):
    y = seasonal(1, 12 * season + 2, season)
    factors = seasonal_factors(y, season)
    expected = [y[-1] / factors[(len(y) - 1) % season] * factors[(len(y) + h) % season] for h in range(2 * season)]
    np.testing.assert_allclose(naive2(y, 2 * season, season), expected)


def test_only_seasonal_series_are_adjusted():
    y = seasonal(0, 120, 12)
    assert is_seasonal(y, 12)
    assert not is_seasonal(y[:35], 12)  # fewer than three seasons
    assert not is_seasonal(np.random.default_rng(0).normal(size=120), 12)
    assert not is_seasonal(np.full(120, 7.0), 12)
    assert not is_seasonal(y, 1)
    np.testing.assert_equal(naive2(y[:35], 3, 12), [y[34]] * 3)


def test_seasonality_is_decided_at_m4s_limit():
    decided = []
    for seed in range(400):
        random = np.random.default_rng(seed)
        y = random.normal(size=40) + np.tile(random.normal(size=5), 8) + np.sin(np.arange(40) / 3)
        y -= y.mean()
        r = [sum(y[t] * y[t + lag] for t in range(40 - lag)) / sum(y**2) for lag in range(6)]
        limit = 1.645 / 40**0.5 * (1 + 2 * sum(each**2 for each in r[1:5])) ** 0.5
        decided.append(abs(r[5]) > limit)
        assert is_seasonal(y + 9, 5) == decided[-1]
    assert 0.1 < np.mean(decided) < 0.9


def test_seasonal_series_around_zero_are_not_divided_by_it():
    y = np.tile([-5.0, 5.0, 0.0, 0.0], 20)
    assert is_seasonal(y, 4)
    assert np.isfinite(naive2(y, 8, 4)).all()
    np.testing.assert_equal(seasonal_factors(np.tile([-1.0, 5, 3, 1], 9), 4), np.ones(4))


def report_of(truth: np.ndarray, forecast: np.ndarray, histories: list[np.ndarray], **more) -> dict:
    return forecasts_report(
        truth, forecast, scale_W=np.array([seasonal_scale(each, 4) for each in histories]),
        deviation_W=np.array([each.std() for each in histories]),
        baselines=baseline_forecasts(histories, truth.shape[1], 4), **more,
    )  # fmt: skip


def test_a_report_of_forecasts():
    histories, (truth, forecast) = [seasonal(n, 40 + n, 4) for n in range(20)], case(2)
    quantiles = np.stack([forecast - 1, forecast, forecast + 1], -1)
    report = report_of(truth, forecast, histories, levels=LEVELS, quantiles_WHQ=quantiles)
    assert (report["windows"], report["horizon"], report["values"], report["missing"]) == (20, 6, 120, 0)
    assert report["rmse"] == close(report["mse"] ** 0.5)
    scaled = (truth - forecast) / np.array([each.std() for each in histories])[:, None]
    assert report["mse_in_deviations"] == close(np.mean(scaled**2))
    assert report["mae_in_deviations"] == close(np.mean(np.abs(scaled)))
    assert list(report["baselines"]) == ["last_value", "seasonal_naive", "naive2"]
    assert report["baselines"]["naive2"]["owa"] == 1
    last = np.array([each[-1] for each in histories])[:, None]
    assert report["baselines"]["last_value"]["mae"] == close(np.mean(np.abs(truth - last)))
    (interval,) = report["intervals"]
    assert interval["level"] == 0.9
    assert interval["coverage"] == close(np.mean(np.abs(truth - forecast) <= 1))
    assert interval["mean_width"] == close(2)
    assert [row["level"] for row in report["quantiles"]] == LEVELS
    assert report["pinball_loss"] == close(np.mean([row["pinball_loss"] for row in report["quantiles"]]))
    json.dumps(report, allow_nan=False)


def test_a_report_without_quantiles_and_of_constant_or_no_series():
    truth, forecast = np.ones((2, 3)), np.ones((2, 3))
    report = report_of(truth, forecast, [np.full(9, 1.0), np.full(2, 1.0)])
    assert (report["mse"], report["smape"]) == (0, 0)
    assert (report["mase"], report["owa"], report["mse_in_deviations"], report["pinball_loss"]) == (None,) * 4
    assert report["windows_without_scale"] == 2
    assert report["quantiles"] == report["intervals"] == []
    report = report_of(truth[:0], forecast[:0], [], levels=[0.5], quantiles_WHQ=forecast[:0, :, None])
    assert (report["windows"], report["mse"], report["pinball_loss"]) == (0, None, None)
    json.dumps(report, allow_nan=False)


def test_forecasts_that_are_not_numbers_are_refused():
    truth, forecast = case(0)
    histories = [np.arange(9.0)] * 20
    wrong = forecast.copy()
    wrong[4, 1] = np.nan
    with pytest.raises(InputError, match="the forecasts hold 1 values that are not finite numbers, the first in row 5"):
        report_of(truth, wrong, histories)
    with pytest.raises(InputError, match="quantiles"):
        report_of(truth, forecast, histories, levels=[0.5], quantiles_WHQ=wrong[..., None])
