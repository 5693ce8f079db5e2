"""Rows of JSON lines."""

from __future__ import annotations

import pytest

from seqtool.records.json_lines import json_rows
from seqtool.records.lines import Lines, Row


def rows(text: str, *columns: str) -> list[Row]:
    return list(json_rows(Lines([text]), columns))


def test_every_kind_of_member():
    text = '{"a": "x", "b": 1.50}\n\n{"b": true, "a": null}\n{"a": [1.0, "é", {"b": false}], "b": NaN}\n{"a": "NA", "c": 1}\n'
    assert rows(text, "a", "b") == [
        Row(1, ("x", "1.50")), Row(3, (None, "true")), Row(4, ('[1.0, "é", {"b": false}]', None)), Row(5, (None, None)),
    ]  # fmt: skip


def test_numbers_are_as_they_are_written():
    big = "1" * 10_000
    assert rows(f'{{"a": {big}, "b": -Infinity}}\n{{"a": 1e999, "b": [1e5]}}', "a", "b") == [
        Row(1, (big, None)), Row(2, ("1e999", "[1e5]")),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"a": 1', "is not JSON: expecting ',' delimiter, at character 8"),
        ("[1]", "not an object"),
        ('"a"', "not an object"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"a": ["\\udfff x"]}', "half of a surrogate pair"),
        ('{"a": "\t"}', "is not JSON: invalid control character"),
    ],
)
def test_broken_rows(line: str, problem: str):
    broken, after = rows(f'{line}\n{{"a": 2}}\n', "a")
    assert problem in broken.problem
    assert broken.values == (None,)
    assert after == Row(2, ("2",))


def test_a_surrogate_pair_is_a_character():
    assert rows('{"a": "\\ud83d\\ude42"}', "a") == [Row(1, ("🙂",))]


def test_of_a_text_only_an_empty_string_is_missing():
    lines = Lines(['{"a": "null", "b": "NA"}\n', '{"a": "", "b": null}\n'])
    assert [row.values for row in json_rows(lines, ("a", "b"), {"a"})] == [("null", None), (None, None)]
