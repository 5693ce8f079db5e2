"""Times of series: reading them, their frequency, the season that goes with it, and the times that follow."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError
from seqtool.records.values import TIME

Times = npt.NDArray[np.datetime64] | npt.NDArray[np.int64]  # datetime64[s], or counts

INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
ONE_DIGIT_HOUR = re.compile(r"([T ])(\d:)")
MINUTE, HOUR, DAY, WEEK = 60, 3600, 86_400, 604_800  # seconds
FRIDAY_TO_MONDAY = 3 * DAY
COMMON_SEASONS = (4, 7, 12, 24, 48, 52, 60, 96, 144, 168, 288, 336, 365)
"""Lags that are tried where the times do not tell the season."""
NEARLY_BEST = 0.75  # a shorter season with so much of the best one's autocorrelation is preferred
SIGNIFICANT, SIGNIFICANT_AMONG_MANY = 1.645, 3.0  # standard deviations: of one season, and of one of many
MAX_SEASON_VALUES = 1 << 17  # the end of a longer series tells the season


class Frequency(NamedTuple):
    """The most common `step` of times: timedelta64 of seconds, months or years, or an integer; None: there is none.

    `regular`: all steps are the same.
    """

    step: np.timedelta64 | int | None
    regular: bool


class TimeParser:
    """Reads the times of a column, all in the form that its first values have."""

    def __init__(self) -> None:
        self._parse: Callable[[str], int] | None = None
        self.counts = False  # integers, not dates

    def parse(self, texts: Sequence[str]) -> list[int]:
        """Seconds since 1970, or counts; ValueError with the place of the first text that is no such time."""
        if self._parse is None:
            self._parse = self._choose(texts)
        found = []
        for place, text in enumerate(texts):
            try:
                found.append(self._parse(text.strip()))
            except (ValueError, OverflowError):
                raise ValueError(place) from None
        return found

    def array(self, numbers: npt.NDArray[np.int64]) -> Times:
        """What `parse` gave as times."""
        return numbers if self.counts else numbers.astype("datetime64[s]")

    def _choose(self, texts: Sequence[str]) -> Callable[[str], int]:
        """The form that all texts have; where days might be months, the one in which times rise, at even steps."""
        texts = [text.strip() for text in texts]
        possible = [(parse, [parse(text) for text in texts]) for parse in PARSERS if _parses(parse, texts)]
        if not possible:
            return seconds_of  # which tells the text that is none
        if len(possible) > 1:
            possible.sort(key=lambda one: _disorder(one[1]))
            (_, first), (_, second) = possible[:2]
            if {possible[0][0], possible[1][0]} == set(DAY_OR_MONTH) and _disorder(first) == _disorder(second):
                different = next((text for text, a, b in zip(texts, first, second, strict=True) if a != b), "")
                if different:
                    raise InputError(
                        f"{different!r} may begin with a day or a month: write times as 2016-07-31 23:00:00"
                    )
        self.counts = possible[0][0] is int_of
        return possible[0][0]


def _parses(parse: Callable[[str], int], texts: Sequence[str]) -> bool:
    try:
        for text in texts:
            parse(text)
    except (ValueError, OverflowError):
        return False
    return True


def _disorder(times: Sequence[int]) -> tuple[int, bool]:
    """How often times fall, and whether their steps differ."""
    array = np.array(times, np.int64)
    falls = int((np.diff(array) < 0).sum())
    return falls, falls > 0 or not frequency_of(array.astype("datetime64[s]")).regular


def _seconds(time: datetime) -> int:
    """Seconds since 1970; a time without a zone is taken as it is."""
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def seconds_of(text: str) -> int:
    """Seconds since 1970 of an ISO date, with or without a time of day, or of a month."""
    if not TIME.fullmatch(text):
        raise ValueError(text)
    whole = f"{text}-01" if len(text) == len("2016-07") else ONE_DIGIT_HOUR.sub(r"\g<1>0\2", text)
    return _seconds(datetime.fromisoformat(whole))


def compact_seconds_of(text: str) -> int:
    """Seconds since 1970 of a date in eight digits, between 1900 and 2100."""
    if not re.fullmatch(r"(19|20)\d{6}", text, re.ASCII):
        raise ValueError(text)
    return _seconds(datetime.strptime(text, "%Y%m%d"))


def int_of(text: str) -> int:
    """An integer."""
    if not INTEGER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _dated(order: str) -> Callable[[str], int]:
    """A parser of dates such as 31.12.2016, with any of . / - between their parts, in an order such as dmY."""
    joined = r"[./-]".join({"d": r"(?P<d>\d\d?)", "m": r"(?P<m>\d\d?)", "Y": r"(?P<Y>\d{4})"}[part] for part in order)
    pattern = re.compile(joined + r"( (?P<H>\d\d?):(?P<M>\d\d)(:(?P<S>\d\d))?)?", re.ASCII)

    def parse(text: str) -> int:
        found = pattern.fullmatch(text)
        if not found:
            raise ValueError(text)
        return _seconds(datetime(*(int(found[part] or 0) for part in "YmdHMS")))  # type: ignore[arg-type]

    return parse


DAY_OR_MONTH = (_dated("dmY"), _dated("mdY"))
PARSERS: tuple[Callable[[str], int], ...] = (compact_seconds_of, int_of, seconds_of, _dated("Ymd"), *DAY_OR_MONTH)
"""The forms of times, the likeliest first."""


def frequency_of(times: Times | None) -> Frequency:
    """The step of rising times; months and years have steps of their own, though they differ in days."""
    if times is None or len(times) < 2:
        return Frequency(None, False)
    if times.dtype.kind != "M":
        return _most_common(np.diff(times))
    seconds = np.diff(times).astype("timedelta64[s]").astype(np.int64)
    if seconds.min() >= 28 * DAY and (_same_day(times) or _month_ends(times)):
        months, regular = _most_common(np.diff(times.astype("datetime64[M]")).astype(np.int64))
        assert isinstance(months, int)
        return Frequency(
            np.timedelta64(months // 12, "Y") if months % 12 == 0 else np.timedelta64(months, "M"), regular
        )
    step, regular = _most_common(seconds)
    return Frequency(np.timedelta64(step, "s"), regular)


def _most_common(steps: npt.NDArray[np.integer]) -> Frequency:
    found, counts = np.unique(steps, return_counts=True)
    return Frequency(int(found[np.argmax(counts)]), len(found) == 1)


def _same_day(times: Times) -> bool:
    """Whether times are all at the same day and hour of their months."""
    return len(np.unique(times - times.astype("datetime64[M]"))) == 1


def _month_ends(times: Times) -> bool:
    """Whether times are all on the last day of their months, at the same hour."""
    days = times.astype("datetime64[D]")
    ends = (days + 1).astype("datetime64[M]") > days.astype("datetime64[M]")
    return bool(ends.all()) and len(np.unique(times - days)) == 1


def season_of(values: npt.NDArray[np.floating], frequency: Frequency | None = None) -> int:
    """The number of steps after which values repeat, by the frequency and as their autocorrelation shows; 1: none.

    Shape (T,) or (T, C), nan where a value is missing. Without a step in time the common seasons are tried.
    """
    series = (values if values.ndim == 2 else values[:, None])[-MAX_SEASON_VALUES:].astype(np.float64)
    step = frequency.step if frequency else None
    timed = isinstance(step, np.timedelta64)
    lags = [lag for lag in (seasons_for(step) if isinstance(step, np.timedelta64) else COMMON_SEASONS) if lag > 1]
    strengths = {lag: _strength(series, lag, SIGNIFICANT if timed else SIGNIFICANT_AMONG_MANY) for lag in lags}
    enough = 0.0 if timed else NEARLY_BEST * max(strengths.values())
    return next((lag for lag in lags if strengths[lag] > 0 and strengths[lag] >= enough), 1)


def seasons_for(step: np.timedelta64) -> tuple[int, ...]:
    """Seasons that go with a step in time, the likeliest first."""
    unit, _ = np.datetime_data(step.dtype)
    count = int(step.astype(np.int64))
    if unit == "Y":
        return ()
    if unit == "M":
        return (12 // count,) if 12 % count == 0 and count < 12 else ()
    if count == DAY:
        return (7, 5)  # 5: without weekends
    if count == WEEK:
        return (52,)
    return tuple(whole // count for whole in (DAY, HOUR, MINUTE) if count < whole and whole % count == 0)


def _strength(series: npt.NDArray[np.float64], lag: int, deviations: float) -> float:
    """The autocorrelation at a lag, of what a moving average of that length leaves of series (T, C); 0: insignificant.

    The test of significance is that of the M4 competition's benchmarks; half a lag away the values must differ more.
    """
    if len(series) < 3 * lag + 1:
        return 0.0
    correlations = autocorrelation(_without_average(series, lag), lag)
    limit = deviations * np.sqrt((1 + 2 * (correlations[1:lag] ** 2).sum()) / len(series))
    found = float(correlations[lag])
    return found if found > max(limit, correlations[lag // 2]) else 0.0


def _without_average(series: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    """Series (T, C) without a moving average around each value; (T - length, C), nan where a value is missing."""
    known = np.isfinite(series)
    sums = np.pad(np.where(known, series, 0.0).cumsum(0), ((1, 0), (0, 0)))
    counts = np.pad(known.cumsum(0), ((1, 0), (0, 0)))
    averages = (sums[length:] - sums[:-length]) / np.maximum(counts[length:] - counts[:-length], 1)
    # The average of an even number of values is half a step early: that of two averages is not.
    averages = (averages[1:] + averages[:-1]) / 2 if length % 2 == 0 else averages[:-1]
    return series[length // 2 :][: len(averages)] - averages


def autocorrelation(series: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.float64]:
    """The autocorrelations at lags 0 to `most` of series (T, C), nan where a value is missing, averaged over C."""
    known = np.isfinite(series)
    x = np.where(known, series, 0.0)
    x = np.where(known, x - x.sum(0) / np.maximum(known.sum(0), 1), 0.0)
    largest = np.abs(x).max(0)
    x = x / np.where(largest > 0, largest, 1.0)
    size = 1 << (2 * len(x) - 1).bit_length()
    covariances = np.fft.irfft(np.abs(np.fft.rfft(x, size, axis=0)) ** 2, size, axis=0)[: most + 1]
    variances = covariances[:1]
    return np.where(variances > 0, covariances / np.where(variances > 0, variances, 1.0), 0.0).mean(1)


def future_times(times: Times, horizon: int) -> Times:
    """The `horizon` times that follow, at the most common step; weekends are left out if the times have none."""
    step, _ = frequency_of(times)
    if step is None:
        raise InputError("a series has fewer than two times: their step cannot be told")
    ahead = np.arange(1, horizon + 1)
    if isinstance(step, int):
        return times[-1] + step * ahead
    unit, _ = np.datetime_data(step.dtype)
    if unit in ("M", "Y"):
        months = step.astype("timedelta64[M]")
        if _same_day(times):
            month = times[-1].astype("datetime64[M]")
            return (month + months * ahead).astype("datetime64[s]") + (times[-1] - month.astype("datetime64[s]"))
        day = times[-1].astype("datetime64[D]")
        ends = (times[-1].astype("datetime64[M]") + months * ahead + 1).astype("datetime64[D]") - 1
        return ends.astype("datetime64[s]") + (times[-1] - day.astype("datetime64[s]"))
    if step == np.timedelta64(DAY, "s") and _without_weekends(times):
        day = times[-1].astype("datetime64[D]")
        return np.busday_offset(day, ahead).astype("datetime64[s]") + (times[-1] - day.astype("datetime64[s]"))
    return times[-1] + step * ahead


def _without_weekends(times: Times) -> bool:
    """Whether times are on working days, and Mondays follow Fridays."""
    gaps = np.diff(times).astype("timedelta64[s]").astype(np.int64)
    return bool(np.is_busday(times.astype("datetime64[D]")).all()) and bool((gaps == FRIDAY_TO_MONDAY).any())
