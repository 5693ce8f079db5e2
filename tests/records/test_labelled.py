"""Lines with labels, and lines that are only text."""

from __future__ import annotations

import pytest

from seqtool.records.labelled import line_rows, parse_labelled
from seqtool.records.lines import Lines, Row


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("__label__a hello  there", ("a", "hello  there")),
        ("__label__a __label__b,c hello", ("a b,c", "hello")),
        ("hello __label__a there", ("a", "hello there")),
        ("hello", (None, "hello")),
        ("__label__a", ("a", None)),
        ("", (None, None)),
        ("__label__ x__label__a", (None, "__label__ x__label__a")),
    ],
)
def test_labels_and_text(line: str, values: tuple[str | None, ...]):
    assert parse_labelled(line) == values


def test_every_line_is_a_row():
    assert list(line_rows(Lines(["a, b\r\n\n?\n"]), labelled=False)) == [
        Row(1, ("a, b",)),
        Row(2, (None,)),
        Row(3, ("?",)),
    ]
    assert [row.number for row in line_rows(Lines(["\n\n"]), labelled=True)] == [1, 2]
