"""Rows between delimiters, whatever is in them."""

from __future__ import annotations

import csv
import io
import random

import pytest

from seqtool.records.delimited import delimited_rows, read_cells
from seqtool.records.lines import Lines, Row


def rows(text: str, width: int, delimiter: str = ",", quoted: bool = True, **options: object) -> list[Row]:
    return list(delimited_rows(read_cells(Lines([text]), delimiter, quoted), width, **options))


def good(text: str, width: int, **options: object) -> list[tuple[str | None, ...]]:
    found = rows(text, width, **options)
    assert not [row.problem for row in found if row.problem]
    return [row.values for row in found]


def test_quotes_newlines_and_line_numbers():
    found = rows('a,"b\r\nc ""d"""\r\n\r\n1,2', 2)
    assert found == [Row(1, ("a", 'b\r\nc "d"')), Row(4, ("1", "2"))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_whatever_the_csv_module_writes_is_read(delimiter: str):
    draw = random.Random(1)
    table = [
        ["".join(draw.choices('ab,;\t|"\n\r 漢\0', k=draw.randint(1, 8))) + "." for _ in range(4)] for _ in range(300)
    ]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(table)
    assert good(text.getvalue(), 4, delimiter=delimiter) == [tuple(row) for row in table]


def test_missing_values():
    assert good("a,\nNA,N/A\nnull,?\nNaN,n\n", 2) == [("a", None), (None, None), (None, None), (None, "n")]


def test_ragged_rows_are_told_with_their_counts():
    found = rows("1,2\n1\n1,2,3\n1,2,\n", 2)
    assert [row.problem for row in found] == ["", "has 1 field, not 2", "has 3 fields, not 2", ""]
    assert found[1].values == (None, None)
    assert found[3].values == ("1", "2")  # a delimiter ends the row


def test_short_rows_of_series():
    assert good("H1,1,2\nH2,3\n", 3, short=True) == [("H1", "1", "2"), ("H2", "3", None)]
    assert rows("H1,1,2,3\n", 3, short=True)[0].problem


def test_an_empty_line_is_a_row_only_in_a_single_column():
    assert good("a\n\nb\n", 1) == [("a",), (None,), ("b",)]
    assert good("a,1\n\nb,2\n", 2) == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('1,"a\n2,b\n3,c\n', "never closed"),
        ('1,"a"b\n2,b\n3,c\n', "between a closing quote and the delimiter"),
        ("1,a\rb\n2,b\n3,c\n", "carriage return"),
    ],
)
def test_a_broken_row_does_not_take_others_with_it(text: str, problem: str):
    first, *rest = rows(text, 2)
    assert first.number == 1
    assert problem in first.problem
    assert rest == [Row(2, ("2", "b")), Row(3, ("3", "c"))]


def test_quotes_that_are_characters():
    assert good('a\t"b" c\n"\t\rd\r\n', 2, delimiter="\t", quoted=False) == [("a", '"b" c'), ('"', "\rd")]


def test_spaces_behind_delimiters():
    assert good('39, "a, b", ?\n', 3, delimiter=", ") == [("39", "a, b", None)]


def test_columns_in_another_order():
    assert good("1,2,3\n", 3, places=[2, 0]) == [("3", "1")]


def test_decimal_commas():
    assert good("1,5;a,b\n1.234,5;2\n", 2, delimiter=";", decimal=",") == [("1.5", "a,b"), ("1234.5", "2")]


def test_of_a_text_only_an_empty_field_is_missing():
    cells = iter([(1, ["null", "null", ""], ""), (2, ["NA", "1", "?"], "")])
    rows = [row.values for row in delimited_rows(cells, 3, as_text=frozenset({0, 2}))]
    assert rows == [("null", None, None), ("NA", "1", "?")]
