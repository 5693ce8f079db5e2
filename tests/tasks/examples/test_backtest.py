"""Judging forecasts: which windows, beside which baselines, and that each sees only what came before it."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.errors import InputError, UsageError
from seqtool.scoring.metrics.forecasts import seasonal_scale
from seqtool.settings.backtest import BacktestConfig
from seqtool.tasks.examples.backtest import backtested, chosen_windows, seasonal_scales
from seqtool.tasks.examples.windows import Cutting, History

DAYS = np.arange(np.datetime64("2024-01-01", "s"), np.datetime64("2024-03-01", "s"), np.timedelta64(86_400, "s"))


def history(steps: int, name: str = "one") -> History:
    values = np.random.default_rng(steps).normal(10, 3, steps).astype(np.float32)
    return History(name, values, DAYS[:steps], np.zeros((steps, 0), np.float32))


@pytest.mark.parametrize(("start", "first"), [("40", 40), ("2024-02-01", 31), ("2024-01-31 12:00:00", 31), ("0", 1)])
def test_from_is_a_number_of_steps_or_a_time(start: str, first: int):
    series, cuts = chosen_windows([history(60), history(50)], 7, BacktestConfig(start=start), "x")
    assert cuts[series == 0].tolist() == list(range(first, 54))
    assert cuts[series == 1].tolist() == list(range(first, 44))


def test_a_series_that_is_too_short_is_passed_over_and_all_of_them_are_an_error():
    series, cuts = chosen_windows([history(7), history(8)], 7, BacktestConfig(), "x")
    assert (series.tolist(), cuts.tolist()) == ([1], [1])
    with pytest.raises(
        InputError, match=r"x: no series has a horizon of 7 steps and one before it \(the longest has 7\)"
    ):
        chosen_windows([history(7)], 7, BacktestConfig(), "x")
    with pytest.raises(InputError, match="behind --from 58 and one before it"):
        chosen_windows([history(60)], 7, BacktestConfig(start="58"), "x")


def test_a_time_needs_times():
    with pytest.raises(UsageError, match="--from 2024-02-01: the series have no dates; give a number of steps"):
        chosen_windows([history(60)._replace(times=None)], 7, BacktestConfig(start="2024-02-01"), "x")
    with pytest.raises(UsageError, match="--from tomorrow: give a time such as"):
        chosen_windows([history(60)], 7, BacktestConfig(start="tomorrow"), "x")


def test_scales_are_those_of_the_history_before_each_cut():
    values = history(60).values_T.copy()
    values[[5, 20, 21]] = np.nan
    cuts = np.array([3, 7, 8, 30, 60])
    expected = [seasonal_scale(values[:cut], 7) for cut in cuts]
    np.testing.assert_allclose(seasonal_scales(values, cuts, 7), expected, rtol=1e-12)


def judged(values: np.ndarray, backtest: str = "2") -> dict[str, object]:
    one = History("one", values, None, np.zeros((len(values), 0), np.float32))
    seen = []

    def naive(series_B: np.ndarray, cuts_B: np.ndarray) -> np.ndarray:
        seen.extend(cuts_B.tolist())
        return np.stack([np.tile(values[cut - 7 : cut, None], (1, 4)) for cut in cuts_B]) + np.array([0, -1, 0, 1])

    report = backtested([one], Cutting(14, 7, 7), BacktestConfig(backtest=backtest), known_deviations={"one": 2.0},
                        levels=(0.1, 0.5, 0.9), forecast=naive, source="x")  # fmt: skip
    assert seen == [len(values) - 14, len(values) - 7]
    return report


def test_the_model_stands_beside_the_baselines_in_the_same_figures():
    report = judged(history(60).values_T)
    rows = {row["forecast"]: row for row in report["baselines"]}  # type: ignore[attr-defined]
    assert list(rows) == ["model", "last_value", "seasonal_naive", "naive2"]
    assert {**rows["model"], "forecast": ""} == pytest.approx({**rows["seasonal_naive"], "forecast": ""})
    assert rows["model"]["mse_in_deviations"] == pytest.approx(report["mse"] / 4)  # type: ignore[operator]
    assert (report["windows"], report["values"], report["season"]) == (2, 14, 7)


def test_missing_values_are_not_scored():
    values = history(60).values_T.copy()
    values[[50, 55]] = np.nan
    values[43:46] = 4.0  # what the gaps are compared with
    assert judged(np.where(np.isnan(values), 10.0, values).astype(np.float32))["values"] == 14
    one = History("one", values, None, np.zeros((60, 0), np.float32))
    report = backtested([one], Cutting(14, 7, 7), BacktestConfig(), known_deviations={}, levels=(0.5,),
                        forecast=lambda series_B, cuts_B: np.zeros((1, 7, 2)), source="x")  # fmt: skip
    assert (report["values"], report["missing"]) == (6, 1)
    assert report["mse_in_deviations"] == pytest.approx(report["mse"] / np.nanvar(values[:53].astype(float)))
