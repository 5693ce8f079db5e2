"""Profiles of columns, and what they are for."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from seqtool.errors import InputError, UsageError
from seqtool.files import streams
from seqtool.records import columns as columns_module
from seqtool.records.columns import MAX_DISTINCT, Column, Roles, decide_roles, giveaways, profile
from seqtool.records.reading import Records, open_records


def opened(folder: Path, names: str, rows: list[tuple[object, ...]], errors: str = "strict") -> Records:
    text = "\n".join([names, *(",".join(map(str, row)) for row in rows)]) + "\n"
    (folder / "x.csv").write_text(text)
    return open_records([str(folder / "x.csv")], header=True, errors=errors)


def one_column(folder: Path, values: list[object]) -> Column:
    return profile(opened(folder, "a,b", [(value, "x") for value in values]))[0]


def test_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(columns_module, "BLOCK_ROWS", 7)
    draw = random.Random(1)
    numbers = [draw.gauss(1e6, 1) for _ in range(100)]
    rows = [
        (f"{x}", draw.choice(["b", "a", "a"]), "NA" if n % 4 else "two words", n + 5) for n, x in enumerate(numbers)
    ]
    number, label, text, index = profile(opened(tmp_path, "number,label,text,index", rows))
    assert (number.rows, number.missing, number.numbers, number.distinct) == (100, 0, 100, 100)
    assert [number.mean, number.deviation, number.low, number.high] == pytest.approx(
        [np.mean(numbers), np.std(numbers), min(numbers), max(numbers)], rel=1e-9
    )
    assert list(label.counts) == ["a", "b"]
    assert sum(label.counts.values()) == 100
    assert (label.numbers, label.distinct, np.isnan(label.mean)) == (0, 2, True)
    assert (text.missing, text.words, text.longest, text.distinct) == (75, 2.0, 9, 1)
    assert index.sequential
    assert [column.sequential for column in (number, label, text)] == [False] * 3


def test_more_values_than_are_counted(tmp_path: Path):
    values = [f"v{n % (2 * MAX_DISTINCT)}" for n in range(6 * MAX_DISTINCT)]
    column = one_column(tmp_path, values)
    assert (column.many, column.distinct, len(column.counts)) == (True, -1, MAX_DISTINCT)
    assert set(column.counts.values()) == {3}
    assert not column.all_different


def test_a_long_value_is_not_kept(tmp_path: Path):
    column = one_column(tmp_path, ["x" * 5000, "y"])
    assert (column.many, column.longest, column.counts) == (True, 5000, {"y": 1})


@pytest.mark.parametrize(
    "values", [["1e308", "-1e308"] * 3, ["5e-324", "0"], ["inf", "nan"], ["1_0", "2"], ["1e999", "1"]]
)
def test_numbers_at_the_ends_of_what_there_is(tmp_path: Path, values: list[str]):
    column = one_column(tmp_path, values)
    assert column.numbers == {"1e308": 6, "5e-324": 2, "inf": 0, "1_0": 1, "1e999": 1}[values[0]]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (list("1213"), "numeric"),
        (["1", "NA", "2.5"], "numeric"),
        (list("abab"), "categorical"),
        (["x"] * 4, "constant"),
        ([""] * 4, "constant"),
        (["x", "NA", "x"], "constant"),
        (list("0123"), "index"),
        (list("789"), "index"),
        (["1", "2", "4"], "numeric"),
        ([f"u{n}" for n in range(30)], "identifier"),
        ([f"u{n}" for n in range(5)], "categorical"),
        (["2016-07-01", "2016-07-02", "2016-07-02"], "time"),
        (["it was good", "it was very bad", "so so"], "text"),
        (["one two three four five six"] * 9 + ["a"], "text"),
        (["Married once", "Never married"] * 9, "categorical"),
        (["1", "x", "2", "y"] * 3, "categorical"),
    ],
)
def test_kinds(tmp_path: Path, values: list[object], kind: str):
    assert one_column(tmp_path, values).kind == kind


def test_customer_numbers_are_identifiers(tmp_path: Path):
    rows = [(n * 7919 % 10_007, n % 2) for n in range(50)]
    customer, _ = profile(opened(tmp_path, "customer_id,left", rows))
    amount, _ = profile(opened(tmp_path, "amount,left", rows))
    assert (customer.kind, amount.kind) == ("identifier", "numeric")


def some(tmp_path: Path) -> list[Column]:
    rows = [
        (n, f"{n}.5", "ab"[n % 2], "words of a text " * (n + 1), "same", f"id{n}", n % 3, "2016-07-01", 1)
        for n in range(30)
    ]
    return profile(opened(tmp_path, "n,x,kind,text,same,id,y,day,w", rows))


def test_roles_follow_from_the_data(tmp_path: Path):
    roles = decide_roles(some(tmp_path), target="y", weight="w")
    assert roles == Roles(("y",), ("text",), ("x",), ("kind",), ("n", "same", "id", "day"), "w")
    assert roles.inputs == ("text", "x", "kind")
    assert roles.told[0] == "n is ignored: it counts the rows"
    assert len(roles.told) == 4


def test_roles_that_are_asked_for_overrule(tmp_path: Path):
    roles = decide_roles(
        some(tmp_path), target=("y", "kind"), text=("id",), numeric=("n",), categorical=("x",), ignore=("text",)
    )
    assert roles == Roles(("y", "kind"), ("id",), ("n",), ("x",), ("text", "same", "day", "w"), None)


def test_an_identifier_is_better_than_nothing(tmp_path: Path):
    rows = [(f"Name{n}", "ab"[n % 2]) for n in range(40)]
    assert decide_roles(profile(opened(tmp_path, "name,country", rows)), target="country").text == ("name",)
    hours = [(n, "pass" if n > 4 else "fail") for n in range(1, 10)]
    assert decide_roles(profile(opened(tmp_path, "hours,result", hours)), target="result").numeric == ("hours",)


def test_wrong_columns_are_named_with_those_there_are(tmp_path: Path):
    columns = some(tmp_path)
    with pytest.raises(
        UsageError, match="--target txt: there is no such column; did you mean text\\? the columns are n, x, "
    ):
        decide_roles(columns, target="txt")
    with pytest.raises(UsageError, match="column 'y' is named by --target and --ignore"):
        decide_roles(columns, target="y", ignore=("y",))


def test_columns_that_give_the_target_away(tmp_path: Path):
    draw = random.Random(2)
    rows = []
    for n in range(200):
        grade = draw.randint(0, 20)
        rows.append(
            (
                grade,
                grade * 5 + 3,
                "yes" if grade >= 10 else "no",
                draw.choice("ab"),
                draw.randint(0, 20),
                n * 3 + n % 2,
            )
        )
    records = opened(tmp_path, "grade,percent,passed,school,luck,serial", rows)
    columns = profile(records)
    assert giveaways(records, decide_roles(columns, target="passed"), columns) == ["grade", "percent"]
    assert giveaways(records, decide_roles(columns, target="grade"), columns) == ["percent"]
    assert giveaways(records, decide_roles(columns, target="school"), columns) == []


def test_no_rows_are_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="no rows that can be read"):
        profile(opened(tmp_path, "a,b", []))
    with pytest.raises(InputError, match="no rows that can be read"):
        profile(opened(tmp_path, "a,b", [(1, 2, 3)], errors="replace"))


def test_a_profile_takes_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "READ_BYTES", 1 << 13)
    monkeypatch.setattr(columns_module, "BLOCK_ROWS", 500)
    peaks = []
    for rows in (5_000, 25_000):
        records = opened(tmp_path, "a,b", [(f"{n}.5", f"words {n}") for n in range(rows)])
        tracemalloc.start()
        profile(records)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + (1 << 16)
