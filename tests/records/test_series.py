"""Series, from long and from wide tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqtool.errors import InputError, UsageError
from seqtool.records.columns import profile
from seqtool.records.reading import Records, open_records
from seqtool.records.series import read_series, time_column

LONG = """name,day,sales,price
b,2020-01-02,2,20
a,2020-01-01,5,50
b,2020-01-01,1,10
b,2020-01-03,NA,30
"""


def opened(folder: Path, text: str, errors: str = "strict", header: bool | None = None) -> Records:
    (folder / "x.csv").write_text(text)
    return open_records([str(folder / "x.csv")], errors=errors, header=header)


def test_long_rows_in_the_order_of_their_times(tmp_path: Path):
    b, a = read_series(opened(tmp_path, LONG), targets=["sales"], time="day", series="name", covariates=["price"])
    assert (b.name, a.name) == ("b", "a")
    np.testing.assert_array_equal(b.values, np.array([[1, 10], [2, 20], [np.nan, 30]], np.float32))
    assert b.values.dtype == np.float32
    assert b.times is not None
    assert b.times.astype(str).tolist() == [f"2020-01-0{day}T00:00:00" for day in (1, 2, 3)]
    assert a.values.tolist() == [[5, 50]]


def test_rows_without_names_or_times_are_one_series(tmp_path: Path):
    (one,) = read_series(opened(tmp_path, "x,y\n1,2\n3,4\n"), targets=["y", "x"])
    assert (one.name, one.times, one.values.tolist()) == ("", None, [[2, 1], [4, 3]])
    (counted,) = read_series(opened(tmp_path, "step,y\n2,2\n1,4\n"), targets=["y"], time="step")
    assert counted.times is not None
    assert (counted.times.tolist(), counted.values.tolist()) == ([1, 2], [[4], [2]])


def test_wide_rows(tmp_path: Path):
    header = ",".join(f'"V{place}"' for place in range(1, 11))
    text = f'{header}\n"H1","1","2","","4",5,6,7,8,9\nH2,1,2,3\n'
    first, second = read_series(opened(tmp_path, text), targets=())
    assert (first.name, second.name) == ("H1", "H2")
    np.testing.assert_array_equal(first.values[:, 0], np.array([1, 2, np.nan, 4, 5, 6, 7, 8, 9], np.float32))
    assert second.values.tolist() == [[1], [2], [3]]
    assert first.times is None


def test_wide_rows_without_names(tmp_path: Path):
    first, second = read_series(opened(tmp_path, "1,2,3\n4,5,\n", header=False), targets=())
    assert (first.name, first.values.tolist(), second.values.tolist()) == ("1", [[1], [2], [3]], [[4], [5]])
    (named,) = read_series(opened(tmp_path, "v,who,w\n1,x,2\n"), targets=(), series="who")
    assert (named.name, named.values.tolist()) == ("x", [[1], [2]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LONG.replace("5,50", "five,50"), "line 3 of .*x.csv: 'five' in column sales is not a number: mend it"),
        (LONG.replace("5,50", "1e39,50"), "line 3 of .*x.csv: '1e39' in column sales is not a number"),
        (LONG.replace("a,2020-01-01", "a,yesterday"), "line 3 of .*x.csv: 'yesterday' in column day is not a time"),
        (LONG.replace("a,2020-01-01", "a,"), "line 3 of .*x.csv has no day"),
        (LONG.replace("a,", "NA,"), "line 3 of .*x.csv has no name"),
        (LONG.replace("2020-01-03", "2020-01-01"), r"series 'b' of .*x.csv has two rows at 2020-01-01T00:00:00: name the column"),
        ("name,day,sales,price\n", "no rows that can be read"),
    ],
)  # fmt: skip
def test_what_is_no_series(tmp_path: Path, text: str, message: str):
    with pytest.raises(InputError, match=message):
        read_series(opened(tmp_path, text), targets=["sales"], time="day", series="name")


def test_broken_values_are_missing_ones_where_that_is_asked(tmp_path: Path):
    text = LONG.replace("5,50", "five,50").replace("b,2020-01-02,2,20", "b,2020-01-02,2")
    b, a = sorted(
        read_series(opened(tmp_path, text, "replace"), targets=["sales"], time="day", series="name"), reverse=True
    )
    assert np.isnan(a.values).all()
    assert len(b.values) == 2


def test_a_column_that_is_not_there(tmp_path: Path):
    with pytest.raises(UsageError, match="'sale': there is no such column; did you mean sales"):
        read_series(opened(tmp_path, LONG), targets=["sale"])


def test_the_column_of_times_is_found(tmp_path: Path):
    assert time_column(profile(opened(tmp_path, LONG))) == "day"
    assert time_column(profile(opened(tmp_path, "month,y\n1,2\n2,4\n"))) == "month"
    assert time_column(profile(opened(tmp_path, "x,y\n1,2\n2,4\n"))) is None
