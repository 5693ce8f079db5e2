from __future__ import annotations

import csv
import itertools
from datetime import datetime

import numpy as np
import pytest

from tests.corpora.recipe import made

Series = dict[str, tuple[list[datetime], np.ndarray, np.ndarray]]


def read(lines: list[str]) -> Series:
    """Times, holidays and values of each series."""
    rows = list(csv.DictReader(lines))
    found = {}
    for name in dict.fromkeys(row["series"] for row in rows):
        own = [row for row in rows if row["series"] == name]
        found[name] = (
            [datetime.fromisoformat(row["time"]) for row in own],
            np.array([float(row["holiday"]) for row in own]),
            np.array([float(row["value"]) for row in own]),
        )
    return found


def features(times: list[datetime], holidays: np.ndarray) -> np.ndarray:
    """Of a linear regression: the hour, the weekday, the time and the holidays."""
    hours, days = (np.array(list(part)) for part in zip(*((t.hour, t.weekday()) for t in times), strict=True))
    return np.column_stack([np.eye(24)[hours], np.eye(7)[days], np.arange(len(times)) / 168, holidays])


def fitted_errors(train: Series, test: Series) -> tuple[float, float]:
    """The mean squared error on other holidays and noise, of a regression for each series: with holidays, and with their share."""
    seen, unseen = [], []
    for name, (times, holidays, values) in train.items():
        weights, *_ = np.linalg.lstsq(features(times, holidays), values, rcond=None)
        times, holidays, values = test[name]
        seen.append(values - features(times, holidays) @ weights)
        unseen.append(values - features(times, np.full(len(times), 1 / 15)) @ weights)
    return float((np.concatenate(seen) ** 2).mean()), float((np.concatenate(unseen) ** 2).mean())


def test_series_are_hourly_and_share_their_holidays():
    series = read(made("seasonal", "--rows", 6 * 24 * 60 + 5)[0])
    assert [len(values) for _, _, values in series.values()] == [1441] * 5 + [1440]
    days = [holidays[:1440].reshape(60, 24) for _, holidays, _ in series.values()]
    assert all((day == days[0]).all() for day in days)
    assert (days[0] == days[0][:, :1]).all()
    assert 0 < days[0].mean() < 0.2
    for times, _, values in series.values():
        assert {(b - a).total_seconds() for a, b in itertools.pairwise(times)} == {3600}
        assert values.min() > 0


def test_naive_errors_are_those_of_the_rows_and_near_the_expected():
    lines, figures = made("seasonal", "--rows", 60_000, "--seed", 3)
    for season in (24, 168):
        errors = np.concatenate([values[season:] - values[:-season] for _, _, values in read(lines).values()])
        expected, on_rows = figures[f"seasonal naive, {season} hours"]
        assert on_rows == pytest.approx((errors**2).mean(), abs=6e-5)
        assert on_rows == pytest.approx(expected, rel=0.15)  # holidays are few


@pytest.mark.slow
def test_a_regression_with_the_right_columns_reaches_the_best_possible():
    lines, figures = made("seasonal", "--rows", 36_000, "--seed", 2)
    train, test = read(made("seasonal", "--rows", 36_000, "--seed", 1)[0]), read(lines)
    expected, on_rows = figures["best possible"]
    assert expected == 9
    blind_expected, blind = figures["best without holidays"]
    seen, unseen = fitted_errors(train, test)
    assert seen == pytest.approx(on_rows, rel=0.01)
    assert on_rows == pytest.approx(expected, rel=0.03)
    assert unseen == pytest.approx(blind, rel=0.01)
    assert blind == pytest.approx(blind_expected, rel=0.25)  # holidays are few
