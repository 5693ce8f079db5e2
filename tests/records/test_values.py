"""What single values mean."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seqtool.records.values import TIME, labels_of, number_of, numbers_of, with_decimal_point


@pytest.mark.parametrize(("text", "number"), [("3", 3), (" -1.5e3 ", -1500), ("+.5", 0.5), ("007", 7), ("1e-400", 0)])
def test_numbers(text: str, number: float):
    assert number_of(text) == number


@pytest.mark.parametrize(
    "text", [None, "", "nan", "inf", "-Infinity", "1e999", "1_000", "1,5", "0x10", "١٢", "one", "1 2"]
)
def test_what_is_no_finite_number(text: str | None):
    assert math.isnan(number_of(text))
    assert np.isnan(numbers_of(["1", text, "2.5"])).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("comma", "point"),
    [
        ("3,5", "3.5"),
        ("-1.234,5e3", "-1234.5e3"),
        ("1.234.567", "1234567"),
        ("12", "12"),
        ("1.5", "1.5"),
        ("a,b", "a,b"),
        ("1,2,3", "1,2,3"),
    ],
)
def test_decimal_commas(comma: str, point: str):
    assert with_decimal_point(comma) == point


def test_labels():
    assert labels_of("a b", "labelled") == ["a", "b"]
    assert labels_of('["a b", 2]', "jsonl") == ["a b", "2"]
    assert labels_of("a b", "csv") == labels_of("a b", "jsonl") == ["a b"]
    assert labels_of(None, "labelled") == []
    assert labels_of("[not JSON", "jsonl") == ["[not JSON"]


@pytest.mark.parametrize(
    "text",
    ["2016-07", "2016-07-01", "2016-07-01T23:00:00Z", "2016-07-01 9:00", "2016/7/1", "31.12.2016 10:00", "1/2/2016"],
)
def test_times_are_recognised(text: str):
    assert TIME.fullmatch(text)


@pytest.mark.parametrize("text", ["2016", "1.2-2016", "2016-7-1", "07-01", "20160701", "noon"])
def test_other_values_are_no_times(text: str):
    assert not TIME.fullmatch(text)
