"""From tables to series: columns told apart, even steps of time, one series for each target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqtool.errors import InputError, UsageError
from seqtool.records.series import Series
from seqtool.settings.examples import ExampleConfig
from seqtool.tasks.examples.series import (
    SeriesTable,
    digest_of,
    evenly,
    histories_of,
    open_series,
    reopened,
    season_for,
)
from seqtool.tasks.request import Request

LONG = "shop,day,visits,sales,open\n" + "".join(
    f"{shop},2024-01-{day:02},{day * size},{day},{day % 7 > 0:d}\n"
    for shop, size in (("a", 1), ("b", 2))
    for day in range(1, 31)
)
WIDE = 'name,V1,V2,V3,V4,V5,V6,V7,V8,V9,V10\nx,1,2,3,4,5,6,7,8,9,10\n"y, z",5,6,7,8,9,10,11,12,,\n'


def request(path: Path, **examples: object) -> tuple[Request, ExampleConfig]:
    made = Request([str(path)], [1.0], None, {}, None, {}, None, None, None, "strict", False)
    return made, ExampleConfig(task="forecast", **examples)  # type: ignore[arg-type]


def table(tmp_path: Path, text: str, **examples: object) -> SeriesTable:
    path = tmp_path / "table.csv"
    path.write_text(text)
    return open_series(*request(path, **examples))


def test_times_and_series_are_told_by_their_values(tmp_path: Path):
    made = table(tmp_path, LONG, target="visits")
    assert (made.columns.time, made.columns.series) == ("day", "shop")
    one, other = histories_of(made)
    assert (one.name, other.name) == ("a", "b")
    assert one.values_T.tolist() == list(range(1, 31))
    assert str(other.times[-1]) == "2024-01-30T00:00:00"


def test_each_target_is_a_series(tmp_path: Path):
    assert [one.name for one in histories_of(table(tmp_path, LONG, target="visits,sales"))] == [
        "a visits", "a sales", "b visits", "b sales",
    ]  # fmt: skip
    alone = LONG.replace("shop", "where").split("b,")[0]
    assert [one.name for one in histories_of(table(tmp_path, alone, target="visits, sales"))] == ["visits", "sales"]


def test_covariates_go_on_behind_the_last_known_target(tmp_path: Path):
    one, _ = histories_of(
        table(tmp_path, LONG + "a,2024-01-31,,,1\na,2024-02-01,NA,,0\n", target="visits", future="open")
    )
    assert len(one.values_T) == len(one.times) == 30
    assert one.covariates_TK[-3:, 0].tolist() == [1, 1, 0]


def test_a_row_may_be_a_series(tmp_path: Path):
    one, other = histories_of(table(tmp_path, WIDE))
    assert (one.name, other.name) == ("x", "y, z")
    assert (len(one.values_T), other.values_T.tolist(), one.times) == (10, [5, 6, 7, 8, 9, 10, 11, 12], None)
    short = "".join(f"{name},1,2,3\n" for name in "abc")
    assert len(histories_of(table(tmp_path, "who,Mon,Tue,Wed\n" + short, series="who"))) == 3


@pytest.mark.parametrize(("text", "examples", "message"), [
    (LONG, {"target": "guests"}, "has no column guests; there are shop, day, visits, sales, open"),
    (LONG, {"target": "visits", "future": "weather"}, "no column weather"),
    (LONG, {}, "--target COLUMN: name what to forecast, of shop, day"),
    (LONG, {"target": "visits", "future": "visits"}, "each column is for one of them"),
    (WIDE, {"future": "V1"}, "where a row is a series, leave them out"),
    (LONG.replace("shop", "town").replace("open", "kind").replace(",1\n", ",yes\n").replace(",0\n", ",no\n"),
     {"target": "visits", "time_column": "day"}, "name the column that tells the series apart, --series town or kind"),
])  # fmt: skip
def test_what_is_not_there_is_said(tmp_path: Path, text: str, examples: dict[str, str], message: str):
    with pytest.raises(UsageError, match=message):
        table(tmp_path, text, **examples)


@pytest.mark.parametrize("text", [LONG, WIDE, WIDE.split("\n", 1)[1]])
def test_another_table_is_read_as_the_first_was(tmp_path: Path, text: str):
    made = table(tmp_path, text, **({"target": "sales"} if text == LONG else {}))
    again = histories_of(reopened([str(tmp_path / "table.csv")], made.as_record(), "strict"))
    assert digest_of(again) == digest_of(histories_of(made))


def test_a_longer_row_without_a_header_is_read(tmp_path: Path):
    made = table(tmp_path, WIDE.split("\n", 1)[1])
    (tmp_path / "longer.csv").write_text("q," + ",".join(map(str, range(30))) + "\n")
    (one,) = histories_of(reopened([str(tmp_path / "longer.csv")], made.as_record(), "strict"))
    assert one.values_T.tolist() == list(range(30))


def test_a_column_that_is_gone_is_named(tmp_path: Path):
    made = table(tmp_path, LONG, target="sales")
    (tmp_path / "less.csv").write_text("day,sales\n2024-01-01,4\n")
    with pytest.raises(InputError, match="lacks the column shop; it has day, sales"):
        reopened([str(tmp_path / "less.csv")], made.as_record(), "strict")


def series(times: list[str] | list[int]) -> Series:
    kind = "datetime64[s]" if isinstance(times[0], str) else np.int64
    return Series("s", np.arange(len(times), dtype=np.float32)[:, None], np.array(times, kind))


@pytest.mark.parametrize(("times", "even"), [
    (["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05"], [0, 1, None, 2, 3]),
    (["2024-01-31", "2024-02-29", "2024-04-30"], [0, 1, 2]),  # ends of months: as they are
    (["2024-01-01", "2024-02-01", "2024-03-01", "2024-05-01"], [0, 1, 2, None, 3]),
    (["2024-01-15", "2024-02-15", "2024-04-15", "2024-05-15"], [0, 1, None, 2, 3]),
    (["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10"], [0, 1, 2, 3, 4]),  # working days
    (["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-10", "2024-01-11"], [0, 1, 2, None, 3, 4]),
    ([3, 4, 5, 9], [0, 1, 2, None, None, None, 3]),
    ([0, 7, 14, 15], [0, 1, 2, 3]),  # no even steps
    ([0, 1, 10**12], [0, 1, 2]),  # nor any that one would fill
])  # fmt: skip
def test_steps_of_time_are_even(times: list[str] | list[int], even: list[float | None]):
    made = evenly(series(times))
    assert [None if np.isnan(value) else value for value in made.values[:, 0]] == even
    assert made.times is not None
    assert len(made.times) == len(even)
    known = np.isfinite(made.values[:, 0])
    np.testing.assert_array_equal(made.times[known], series(times).times)
    assert (np.diff(made.times).astype(np.int64) > 0).all()


def test_most_series_tell_the_season(tmp_path: Path):
    hours = np.arange(24 * 20)
    rows = "".join(
        f"s{n}," + ",".join(f"{10 + np.sin(hour * 2 * np.pi / 24 + n) * (n < 5):.4f}" for hour in hours) + "\n"
        for n in range(7)
    )
    header = "name," + ",".join(f"h{hour}" for hour in hours) + "\n"
    assert season_for(histories_of(table(tmp_path, header + rows))) == 24
