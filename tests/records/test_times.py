"""Times: their forms, frequency, seasons, and those that follow."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.errors import InputError
from seqtool.records.times import Frequency, TimeParser, frequency_of, future_times, season_of, seasons_for

HOUR, DAY = np.timedelta64(3600, "s"), np.timedelta64(86_400, "s")


def parsed(*texts: str) -> list[str]:
    parser = TimeParser()
    return [str(time) for time in parser.array(np.array(parser.parse(texts)))]


@pytest.mark.parametrize(
    ("texts", "times"),
    [
        (("2016-07-01 09:00:00", "2016-07-01 9:30"), ("2016-07-01T09:00:00", "2016-07-01T09:30:00")),
        (("2016-07", "2016-08"), ("2016-07-01T00:00:00", "2016-08-01T00:00:00")),
        (("2016-07-01T00:00:00Z", "2016-07-01T00:00:00-02:00"), ("2016-07-01T00:00:00", "2016-07-01T02:00:00")),
        (("20160701", "20160702"), ("2016-07-01T00:00:00", "2016-07-02T00:00:00")),
        (("31.12.2016", "1.1.2017"), ("2016-12-31T00:00:00", "2017-01-01T00:00:00")),
        (("12/31/2016 10:00", "1/1/2017 11:00:05"), ("2016-12-31T10:00:00", "2017-01-01T11:00:05")),
        (("01/01/2016", "01/02/2016", "01/03/2016"), ("2016-01-01T00:00:00", "2016-02-01T00:00:00", "2016-03-01T00:00:00")),
        (("2016/7/1", "2016/7/2"), ("2016-07-01T00:00:00", "2016-07-02T00:00:00")),
        (("1700-01-01", "2400-01-01"), ("1700-01-01T00:00:00", "2400-01-01T00:00:00")),
        (("1", "2", " 3 "), ("1", "2", "3")),
        (("2016", "2017"), ("2016", "2017")),
    ],
)  # fmt: skip
def test_forms(texts: tuple[str, ...], times: tuple[str, ...]):
    if texts[0] == "01/01/2016":  # days or months, one as regular as the other
        with pytest.raises(InputError, match="may begin with a day or a month"):
            parsed(*texts)
        texts = (*texts, "01/04/2016", "15/05/2016")
        times = (*times, "2016-04-01T00:00:00", "2016-05-15T00:00:00")
    assert parsed(*texts) == list(times)


def test_months_of_years_are_no_days_of_january():
    days = [f"01/{month:02}/{year}" for year in (2015, 2016) for month in range(1, 13)]
    assert parsed(*days)[1] == "2015-02-01T00:00:00"


@pytest.mark.parametrize(
    "text", ["", "noon", "2016-13-01", "2016-07-01 25:00", "31/31/2016", "99999999999999999999", "1.5"]
)
def test_what_is_no_time(text: str):
    parser = TimeParser()
    parser.parse(["2016-07-01"])
    with pytest.raises(ValueError, match="1"):
        parser.parse(["2016-07-02", text])
    with pytest.raises(ValueError, match="0"):
        TimeParser().parse([text])


def dates(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[s]")


MONTHS = np.arange("2019-01", "2021-01", dtype="datetime64[M]").astype("datetime64[s]")
MONTH_ENDS = (np.arange("2019-02", "2021-02", dtype="datetime64[M]").astype("datetime64[D]") - 1).astype(
    "datetime64[s]"
)
WORKDAYS = np.busday_offset("2020-01-01", np.arange(30)).astype("datetime64[s]")


@pytest.mark.parametrize(
    ("times", "frequency", "following"),
    [
        (dates("2020-01-01T00", "2020-01-01T01", "2020-01-01T02"), Frequency(HOUR, True), "2020-01-01T03"),
        (dates("2020-02-27", "2020-02-28"), Frequency(DAY, True), "2020-02-29"),
        (dates("2020-01-01", "2020-01-02", "2020-01-03", "2020-01-05"), Frequency(DAY, False), "2020-01-06"),
        (MONTHS, Frequency(np.timedelta64(1, "M"), True), "2021-01-01"),
        (MONTHS[::3], Frequency(np.timedelta64(3, "M"), True), "2021-01-01"),
        (MONTHS[::12], Frequency(np.timedelta64(1, "Y"), True), "2021-01-01"),
        (MONTH_ENDS, Frequency(np.timedelta64(1, "M"), True), "2021-01-31"),
        (WORKDAYS, Frequency(DAY, False), "2020-02-12"),
    ],
)
def test_frequencies(times: np.ndarray, frequency: Frequency, following: str):
    found = frequency_of(times)
    assert (found.step, found.regular) == frequency
    assert future_times(times, 2)[0] == np.datetime64(following, "s")


def test_counts_have_a_frequency_too():
    assert frequency_of(np.array([1, 3, 5])) == Frequency(2, True)
    assert future_times(np.array([1, 3, 5]), 2).tolist() == [7, 9]


def test_month_ends_and_weekends_are_followed():
    assert future_times(MONTH_ENDS, 3).astype(str).tolist() == [
        f"2021-{day}T00:00:00" for day in ("01-31", "02-28", "03-31")
    ]
    following = future_times(WORKDAYS[:8], 5).astype("datetime64[D]")
    assert np.is_busday(following).all()


def test_one_time_has_no_frequency():
    assert frequency_of(dates("2020-01-01")) == frequency_of(None) == Frequency(None, False)
    with pytest.raises(InputError, match="fewer than two times"):
        future_times(dates("2020-01-01"), 1)


def test_seasons_that_go_with_a_step():
    steps = [(60, "s"), (900, "s"), (3600, "s"), (86_400, "s"), (604_800, "s"), (1, "M"), (3, "M"), (1, "Y"), (7, "s")]
    found = [seasons_for(np.timedelta64(*step))[:1] for step in steps]
    assert found == [(1440,), (96,), (24,), (7,), (52,), (12,), (4,), (), ()]


HOURLY, MONTHLY = Frequency(HOUR, True), Frequency(np.timedelta64(1, "M"), True)


def test_a_season_is_seen_through_noise_trend_and_gaps():
    draw = np.random.default_rng(1)
    steps = np.arange(600)
    series = np.sin(steps * 2 * np.pi / 24) + draw.normal(size=600) * 0.5 + draw.normal(size=600).cumsum() * 0.3 + steps
    series[draw.random(600) < 0.1] = np.nan
    assert season_of(series, HOURLY) == season_of(series) == 24
    assert season_of(np.stack([series, series[::-1]], 1), HOURLY) == 24
    assert season_of(series[:40], HOURLY) == 1


@pytest.mark.parametrize("kind", ["noise", "walk"])
def test_a_season_is_not_seen_where_there_is_none(kind: str):
    draw = np.random.default_rng(2)
    found = []
    for _ in range(100):
        series = draw.normal(size=300)
        found.append(season_of(series.cumsum() if kind == "walk" else series, MONTHLY))
    assert found.count(1) >= 90


@pytest.mark.parametrize(
    "series", [np.zeros(100), np.full(100, np.nan), np.zeros((0, 1)), np.full(100, 1e300), np.arange(100.0)]
)
def test_degenerate_series_have_no_season(series: np.ndarray):
    assert season_of(series, MONTHLY) == season_of(series) == 1
