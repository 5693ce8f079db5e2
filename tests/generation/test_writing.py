"""Text as its tokens come, and stop strings, against a reader that takes a character at a time."""

from __future__ import annotations

import random

import pytest

from seqtool.generation.generating import Sample
from seqtool.generation.writing import Writer, stop_finder
from seqtool.text.decoding import Seam


class Letters:
    """A vocabulary whose id is the character's code."""

    def decoder(self, seam: Seam | None = None) -> Letters:
        return self

    def unfinished(self, ids: list[int]) -> int:
        return 0

    def feed(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))


def test_a_stop_string_is_found_by_its_last_token():
    stopped = stop_finder(Letters(), ["END", "."], Seam())
    assert [stopped(list(map(ord, text))) for text in ("abEN", "abEND", "x.", "")] == [False, True, True, False]


@pytest.mark.parametrize(
    ("stops", "text", "expected"),
    [
        (["END"], "abcENDdef", "abc"),
        (["aab"], "aaaabc", "aa"),
        (["x"], "abc", "abc"),
        (["\n\n", "."], "a\nb.c\n\n", "a\nb"),
    ],
)
def test_stop_strings_end_a_text_before_they_show(stops: list[str], text: str, expected: str):
    writer, one, shown = Writer(Letters(), stops), Sample([]), ""
    for index, character in enumerate(text):
        one.tokens.append(ord(character))
        if index == len(text) - 1:
            one.finished = "length"
        writer.read(one)
        shown += writer.take()
        assert not any(stop in shown for stop in stops)
        if one.finished:
            break
    assert shown == writer.text == expected
    assert one.finished == ("length" if expected == text else "stop")


def shown(text: str, **settings) -> tuple[str, str]:
    """The text and why it ended, read token by token."""
    writer, one = Writer(Letters(), ["END", "."], **settings), Sample([])
    for number, character in enumerate(text, start=1):
        one.tokens.append(ord(character))
        one.finished = "length" if number == len(text) else ""
        writer.read(one)
        if one.finished:
            break
    return writer.text, one.finished


def test_a_stop_string_is_kept_if_asked_for():
    assert shown("abcENDdef", keep_stop=True) == ("abcEND", "stop")
    assert shown("ab.cEND", keep_stop=True) == ("ab.", "stop")
    assert shown("abEN", keep_stop=True) == ("abEN", "length")


def test_a_stop_string_before_the_least_tokens_is_text():
    assert shown("abENDcdENDef", min_tokens=6) == ("abENDcd", "stop")
    assert shown("a.b.c", min_tokens=2) == ("a", "stop")
    assert shown("a.b.c", min_tokens=3) == ("a.b", "stop")
    assert shown("a.b.c", min_tokens=9) == ("a.b.c", "length")
    stopped = stop_finder(Letters(), ["END", "."], Seam(), 4)
    assert [stopped(list(map(ord, text))) for text in ("END", "ENDx", "xEND", "x.yz", "xyz.")] == [
        False, False, True, False, True
    ]  # fmt: skip


def test_a_sample_keeps_the_tokens_up_to_its_stop_string():
    writer, one = (
        Writer(Letters(), ["END"]),
        Sample([], tokens=list(map(ord, "abcENDdef")), token_nats=[1.0] * 9, finished="length"),
    )
    writer.read(one)
    assert (writer.text, len(one.tokens), one.nats, one.finished) == ("abc", 6, 6.0, "stop")


def stopped_by_hand(text: str, stops: list[str], keep_stop: bool, min_tokens: int) -> tuple[str, str]:
    """The text up to the first place at which a stop string ends, a character being a token, and why it ended."""
    begin = 0  # of what no stop string has taken yet: one before the least tokens is text, and part of no other
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if text.endswith(stop, begin, end)]
        if found and end >= min_tokens:
            return text[: end if keep_stop else end - max(map(len, found))], "stop"
        begin = end if found else begin
    return text, "length"


@pytest.mark.parametrize("seed", range(40))
def test_any_text_in_blocks_of_any_size_ends_where_a_slow_reader_ends_it(seed: int):
    draw = random.Random(seed)
    for _ in range(50):
        stops = ["".join(draw.choices("ab", k=draw.randrange(1, 5))) for _ in range(draw.randrange(1, 4))]
        text, least, keep_stop = "".join(draw.choices("abc", k=30)), draw.randrange(20), draw.random() < 0.5
        writer, one, shown = Writer(Letters(), stops, keep_stop, least), Sample([]), ""
        while not one.finished:
            begin = len(one.tokens)
            one.tokens += map(ord, text[begin : begin + draw.randrange(1, 9)])
            one.finished = "length" if len(one.tokens) == len(text) else ""
            writer.read(one)
            shown += writer.take()
        expected = stopped_by_hand(text, stops, keep_stop, least)
        assert (shown, one.finished) == (writer.text, one.finished) == expected, (text, stops, least)
