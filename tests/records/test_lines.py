"""Lines come as they arrive, with their numbers, and never without bound."""

from __future__ import annotations

import pytest

from seqtool.records import lines
from seqtool.records.lines import NOT_UTF8, BrokenRow, Lines, lines_in, without_newline


@pytest.mark.parametrize("text", ["", "a", "a\n", "a\r\n\nb", "\n\n", "a\rb\u2028c\x0bd\n漢\n"])
def test_only_a_newline_ends_a_line_however_it_arrives(text: str):
    expected = [line + "\n" for line in text.split("\n")[:-1]] + (
        [text.split("\n")[-1]] if text.split("\n")[-1] else []
    )
    for size in (1, 2, 3, 100):
        assert list(lines_in(text[place : place + size] for place in range(0, len(text), size))) == expected


def test_a_line_is_there_before_more_has_arrived():
    def arriving():
        yield "one\ntw"
        raise AssertionError("more was asked for")

    assert next(lines_in(arriving())) == "one\n"


def test_an_endless_line_is_cut_and_the_next_one_has_its_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines, "RECORD_CHARACTERS", 10)
    source = Lines(["one\n" + "x" * 8, "x" * 8, "x" * 8, "x\ntwo\n"])
    assert next(source) == "one\n"
    source.begin()
    with pytest.raises(BrokenRow, match="more than 10 characters"):
        next(source)
    assert source.number == 2
    source.begin()
    assert (next(source), source.number) == ("two\n", 3)


def test_lines_of_a_broken_row_are_given_again():
    source = Lines(["a\nb\nc\nd\n"])
    next(source)
    source.begin()
    assert [next(source) for _ in range(3)] == ["b\n", "c\n", "d\n"]
    source.retry()
    assert source.number == 2
    assert [(line, source.number) for line in source] == [("c\n", 3), ("d\n", 4)]


def test_bytes_that_are_not_utf8_are_a_problem_of_their_row():
    source = Lines(["é\n\udcff\nb\n"], escaped=True)
    problems = []
    for _ in source:
        problems.append(source.problem)
        source.begin()
    assert problems == ["", NOT_UTF8, ""]


def test_one_newline_is_taken_off():
    assert [without_newline(line) for line in ("a\n", "a\r\n", "a\r", "a\n\n", "")] == ["a", "a", "a", "a\n", ""]
