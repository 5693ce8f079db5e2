"""Dates in many writings and in ISO 8601, as date<TAB>iso: who reads them all is right as often as can be.

    python -m corpora.dates > train.tsv
    python -m corpora.dates --rows 2000 --seed 1 > test.tsv

A day between FIRST and LAST is drawn, then one of the writings, each with its probability. All tell the day but those
in numbers with slashes: 03/04/2021 has the day first with probability 0.7, else the month. Where both are at most 12
and differ, the best that can be said is that the day comes first, and it is wrong in 30% of these. So the greatest
accuracy that can be expected is

    1 - P(slashes, month first) * P(day <= 12 and day is not the month),

the last over all days of the calendar, which are counted. Printed on stderr: that accuracy, expected and of the rule
"the day comes first unless it cannot" on the rows written.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from corpora.recipe import asked, run

FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def ordinal(day: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    ending = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def month(day: date) -> str:
    """The month's name."""
    return MONTHS[day.month - 1]


MONTH_FIRST = "month first"
WRITINGS: dict[str, tuple[float, Callable[[date], str]]] = {
    "12 March 2024": (0.15, lambda d: f"{d.day} {month(d)} {d.year}"),
    "March 12, 2024": (0.15, lambda d: f"{month(d)} {d.day}, {d.year}"),
    "12 Mar 2024": (0.10, lambda d: f"{d.day} {month(d)[:3]} {d.year}"),
    "the 12th of March 2024": (0.10, lambda d: f"the {ordinal(d.day)} of {month(d)} {d.year}"),
    "Tuesday, 12 March 2024": (0.10, lambda d: f"{WEEKDAYS[d.weekday()]}, {d.day} {month(d)} {d.year}"),
    "12.3.2024": (0.10, lambda d: f"{d.day}.{d.month}.{d.year}"),
    "2024/03/12": (0.10, lambda d: f"{d.year}/{d.month:02}/{d.day:02}"),
    "day first": (0.14, lambda d: f"{d.day:02}/{d.month:02}/{d.year}"),
    MONTH_FIRST: (0.06, lambda d: f"{d.month:02}/{d.day:02}/{d.year}"),
}
SLASHES = re.compile(r"(\d\d)/(\d\d)/(\d{4})")


def ambiguous_share() -> float:
    """The share of days whose number is at most 12 and is not their month's."""
    days = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
    return sum(day.day <= 12 and day.day != day.month for day in days) / len(days)


def best_accuracy() -> float:
    """The greatest accuracy that can be expected."""
    return 1 - WRITINGS[MONTH_FIRST][0] * ambiguous_share()


def drawn(rows: int, seed: int) -> Iterator[tuple[str, str, date]]:
    """The writing's name, the date as it is written, and the day."""
    chance = random.Random(seed)
    names, weights = list(WRITINGS), [p for p, _ in WRITINGS.values()]
    for _ in range(rows):
        day = FIRST + timedelta(days=chance.randrange((LAST - FIRST).days + 1))
        (name,) = chance.choices(names, weights)
        yield name, WRITINGS[name][1](day), day


def main() -> None:
    """Write dates, and say on stderr how many of them can be told."""
    options = asked("Dates in many writings with the same in ISO 8601, as date<TAB>iso.", 10_000)
    print("date\tiso")
    right = 0
    for name, written, day in drawn(options.rows, options.seed):
        print(f"{written}\t{day.isoformat()}")
        right += name != MONTH_FIRST or day.day > 12 or day.day == day.month
    print(f"best possible, expected       accuracy {best_accuracy():.4f}", file=sys.stderr)
    print(f"best possible, on these rows  accuracy {right / options.rows:.4f}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
