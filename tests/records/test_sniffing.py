"""What the beginning of a delimited text says of the rest."""

from __future__ import annotations

import pytest

from seqtool.records.sniffing import (
    sniff_decimal,
    sniff_delimiter,
    sniff_header,
    sniff_quotes,
    sniff_wide,
    split_head,
)


def table(text: str, delimiter: str = ",") -> list[list[str]]:
    return split_head(text, delimiter, quoted=True)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n2,5;3,5\n", ";"),
        ("1,5;2,5;x\n2,5;3,5;y\n", ";"),
        ("label\ttext\nham\tyes, of course, I do\nspam\tfree; now\n", "\t"),
        ("a|b\nx,y|1\nx|2\n", "|"),
        ('a,b\n"x;y;z",1\n"x;y",2\n', ","),
        ("39, State-gov, 1\n50, Private, 2\n", ", "),
        ("one\ntwo\n", ","),
    ],
)
def test_delimiters(text: str, delimiter: str):
    assert sniff_delimiter(text)[0] == delimiter


def test_prose_is_not_divided():
    text = "It was late, and it rained.\nNobody came.\nAt last, wet, cold, and tired, we left.\n"
    assert sniff_delimiter(text)[1] < 0.9


def test_a_row_that_is_cut_says_nothing():
    assert sniff_delimiter("a,b\n1,2\n3", cut=True) == (",", 1.0)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ('a\t"b c"\nd\te\n', True),
        ('a\t"b\nc"\td\n', True),
        ('a\t"say ""so"""\n', True),
        ('ham\t"Hello" he said\n', False),
        ('ham\t"Hello\nspam\tfree\n', False),
        ("a\tb\n", False),
        ('5" pipe\t6" pipe\n', False),
    ],
)
def test_quotes_between_tabs(text: str, quoted: bool):
    assert sniff_quotes(text, "\t") is quoted
    assert sniff_quotes(text, ",")


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\n1,2\n", True),
        ("1,2\n3,4\n", False),
        ("spam,free\nham,hi\nspam,win\nham,yes\n", False),
        ("label,text\nspam,free\nham,hi\n", True),
        ("kind,what\nspam,some words of text\nham,and some more of it\nspam,words\nham,words again\n", True),
        ("label,text\n", True),
        ("x,y\n", True),
        ("x,1\n", False),
        ("name,1990,1991\nFR,1.5,2\nDE,2,3\n", False),
        ("a,b\nNA,\n,?\n", False),
        ("date,OT\n2016-07-01,3.5\n2016-07-02,4\n", True),
    ],
)
def test_headers(text: str, header: bool):
    assert sniff_header(table(text)) is header


def test_decimal_marks():
    assert sniff_decimal(table("1,5;x\n2;y\n", ";"), ";") == ","
    assert sniff_decimal(table("1.5;1,2\n2.5;3,4\n", ";"), ";") == "."
    assert sniff_decimal(table("1.234,5;2\n", ";"), ";") == ","
    assert sniff_decimal(table("1,5\n"), ",") == "."


def test_rows_that_are_series():
    row = [f"H{1}", *"12345678"]
    assert sniff_wide([f"V{place}" for place in range(1, 10)], True, [row, ["H2", "1", "", *"NANANA"[:0], *[""] * 6]])
    assert not sniff_wide([f"V{place}" for place in range(1, 10)], True, [row, row])  # a name that comes twice
    assert not sniff_wide(["id", *"abcdefgh"], True, [row])  # columns with meanings
    assert sniff_wide([str(place) for place in range(1, 10)], False, [row])
    assert not sniff_wide([str(place) for place in range(1, 10)], False, [["1", *"12345678"]])
