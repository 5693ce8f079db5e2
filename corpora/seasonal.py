"""Hourly series with seasons, trends, holidays and noise of known size: how far is a forecast from the best possible?

    python -m corpora.seasonal > libraries.csv
    python -m corpora.seasonal --seed 1 > others.csv     # other holidays and noise

The columns are series, time, holiday and value: visitors of libraries, hour by hour. For t hours after the beginning,

    value = level + growth * t / 168 + swing * (DAY[hour] + WEEK[weekday] + HOLIDAY * holiday) + noise,

with a level, growth and swing for each series, a season of 24 hours and one of 168, and independent normal noise of
standard deviation NOISE. A day is a holiday in all series with probability HOLIDAYS, whatever came before: this column
must be known ahead. What is written has two decimals, which adds a variance of 1/120,000.

The noise cannot be foreseen, so its variance is the least mean squared error at every horizon. Without the holidays,
for hours of a day that has not begun, it is that plus the mean over series of

    HOLIDAYS (1 - HOLIDAYS) (HOLIDAY * swing)^2.

Printed on stderr: the mean squared error of the best, of the best that sees no holidays, and of the seasonal naive
forecasts (the value of 24 or of 168 hours before), expected and on the rows written.
"""

from __future__ import annotations

import math
import random
import sys
from datetime import datetime, timedelta
from typing import NamedTuple

from corpora.recipe import asked, run


class Library(NamedTuple):
    """The parameters of a series: visitors an hour, growth in visitors a week, and the size of its seasons."""

    name: str
    level: float
    growth: float
    swing: float


LIBRARIES = (
    Library("north", 60, 0.2, 8),
    Library("south", 90, -0.3, 10),
    Library("east", 40, 0.1, 5),
    Library("west", 75, 0.0, 12),
    Library("centre", 120, 0.5, 15),
    Library("harbour", 50, -0.1, 6),
)
DAY = [math.sin(math.tau * (hour - 8) / 24) + 0.5 * math.sin(math.tau * (hour - 3) / 12) for hour in range(24)]
WEEK = (0.2, 0.0, 0.1, 0.3, 0.5, -0.3, -0.8)  # from Monday
HOLIDAY = -1.5
HOLIDAYS = 1 / 15
NOISE = 3.0
BEGIN = datetime(2024, 1, 1)  # a Monday


class Hour(NamedTuple):
    """A row: `mean` is what the value would be without noise, and `usual` without the holiday, too."""

    library: Library
    time: datetime
    holiday: bool
    usual: float
    mean: float
    value: float


def drawn(rows: int, seed: int) -> list[list[Hour]]:
    """The hours of each series, of so many rows together; the first series have one more where that does not divide."""
    chance = random.Random(seed)
    longest = -(-rows // len(LIBRARIES))
    holidays = [chance.random() < HOLIDAYS for _ in range(-(-longest // 24))]
    found = []
    for i, library in enumerate(LIBRARIES):
        hours = []
        for t in range((rows - i + len(LIBRARIES) - 1) // len(LIBRARIES)):
            holiday = holidays[t // 24]
            season = DAY[t % 24] + WEEK[t // 24 % 7]
            usual = library.level + library.growth * t / 168 + library.swing * season
            mean = usual + library.swing * HOLIDAY * holiday
            value = round(mean + chance.gauss(0, NOISE), 2)
            hours.append(Hour(library, BEGIN + timedelta(hours=t), holiday, usual, mean, value))
        found.append(hours)
    return found


def expected_errors() -> dict[str, float]:
    """The expected mean squared error of each forecast, over all series and hours."""
    variance = NOISE**2
    by_holidays = HOLIDAYS * (1 - HOLIDAYS) * sum((HOLIDAY * s.swing) ** 2 for s in LIBRARIES) / len(LIBRARIES)
    steps = [now - before for now, before in zip(WEEK, (WEEK[-1], *WEEK), strict=False)]  # from day to day
    after_a_day = sum((s.growth / 7 + s.swing * step) ** 2 for s in LIBRARIES for step in steps) / (7 * len(LIBRARIES))
    after_a_week = sum(s.growth**2 for s in LIBRARIES) / len(LIBRARIES)
    return {
        "best possible": variance,
        "best without holidays": variance + by_holidays,
        "seasonal naive, 168 hours": 2 * (variance + by_holidays) + after_a_week,
        "seasonal naive, 24 hours": 2 * (variance + by_holidays) + after_a_day,
    }


def drawn_errors(series: list[list[Hour]]) -> dict[str, float]:
    """The same on these rows; a naive forecast is of the rows that have one (nan: none)."""
    expected = HOLIDAYS * HOLIDAY

    def mean_square(errors: list[float]) -> float:
        return sum(error**2 for error in errors) / len(errors) if errors else math.nan

    def naive(season: int) -> float:
        pairs = (zip(hours[season:], hours, strict=False) for hours in series)
        return mean_square([now.value - before.value for hours in pairs for now, before in hours])

    hours = [hour for hours in series for hour in hours]
    return {
        "best possible": mean_square([hour.value - hour.mean for hour in hours]),
        "best without holidays": mean_square([h.value - h.usual - expected * h.library.swing for h in hours]),
        "seasonal naive, 168 hours": naive(168),
        "seasonal naive, 24 hours": naive(24),
    }


def main() -> None:
    """Write the series one after the other, and say on stderr how well they can be forecast."""
    options = asked("Hourly series with noise of a known size, as csv.", 24_000, "of all series together")
    series = drawn(options.rows, options.seed)
    print("series,time,holiday,value")
    for hours in series:
        for hour in hours:
            print(f"{hour.library.name},{hour.time:%Y-%m-%d %H:%M:%S},{hour.holiday:d},{hour.value:.2f}")
    on_rows = drawn_errors(series)
    for name, error in expected_errors().items():
        print(f"{name:<26} MSE {error:8.4f} expected, {on_rows[name]:8.4f} on these rows", file=sys.stderr)


if __name__ == "__main__":
    run(main)
