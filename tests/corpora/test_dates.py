from __future__ import annotations

import math
from datetime import date, datetime

import pytest

from corpora import dates
from tests.corpora.recipe import made

FORMS = ("%d %B %Y", "%B %d, %Y", "%d %b %Y", "%A, %d %B %Y", "%d.%m.%Y", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y")


def readings(written: str) -> set[date]:
    """All days that a date may mean, by the C library's reading of each form."""
    plain = written.removeprefix("the ")
    for ending in ("st", "nd", "rd", "th"):
        plain = plain.replace(f"{ending} of", "")
    found = set()
    for form in FORMS:
        try:
            found.add(datetime.strptime(plain, form).date())
        except ValueError:
            continue
    return found


def test_every_date_means_its_day_and_only_slashes_may_mean_two():
    (header, *lines), figures = made("dates", "--rows", 3000, "--seed", 5)
    assert header == "date\tiso"
    assert len(lines) == 3000
    doubted = 0
    for line in lines:
        written, iso = line.split("\t")
        days = readings(written)
        assert date.fromisoformat(iso) in days
        assert len(days) == 1 or dates.SLASHES.fullmatch(written)
        doubted += len(days) > 1
    (expected,), (on_rows,) = figures["best possible, expected"], figures["best possible, on these rows"]
    assert expected == pytest.approx(dates.best_accuracy(), abs=1e-4)
    assert on_rows == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / 3000))
    slashes = sum(dates.WRITINGS[name][0] for name in ("day first", dates.MONTH_FIRST))
    assert doubted / 3000 == pytest.approx(slashes * dates.ambiguous_share(), abs=0.02)


def test_a_rule_that_reads_the_day_first_is_as_good_as_can_be():
    right = 0
    rows = list(dates.drawn(4000, 1))
    for _, written, day in rows:
        days = readings(written)
        if len(days) > 1:
            first, second, year = map(int, dates.SLASHES.fullmatch(written).groups())
            days = {date(year, second, first)}
        right += days == {day}
    assert right / len(rows) == pytest.approx(dates.best_accuracy(), abs=0.01)
    assert sum(p for p, _ in dates.WRITINGS.values()) == pytest.approx(1)
    assert [dates.ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 31)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "31st",
    ]  # fmt: skip
