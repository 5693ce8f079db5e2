"""Splitting by the published patterns, against the tokenizers library on every code point and on hostile strings."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable

import pytest

from seqtool.exchange.byte_level_tokenizer import GPT2, PATTERN_OF
from seqtool.text.splitting import SPLITTINGS

SIGNS = [
    *"abstrevmld' \t\n\r\x0b\x0c0123!?.,-_STREVMLD", "\u2019", "\u00a0", "\u2028", "\u0085", "\u3000", "é", "漢", "ſ", "½", "٣",
    "🙂", "\u0301", "\x1c", "\x1f", "\u200b", "\u212a", "\ufeff", "'S", "'LL", "'ſ", "\r\n", "\n\n", "  ",
]  # fmt: skip
KNOWN = {
    "gpt-2": [
        ("It's  4 o'clock\n\n x", ["It", "'s", " ", " 4", " o", "'", "clock", "\n\n", " x"]),
        ("don'T 12345 a\u00a0b", ["don", "'", "T", " 12345", " a", "\u00a0", "b"]),
    ],
    "smollm": [("a  12 b\u00bd\n\n3", ["a", "  ", "1", "2", " b", "\u00bd", "\n\n", "3"])],
    "llama-3": [
        ("It'S 12345!\n\n  x", ["It", "'S", " ", "123", "45", "!\n\n", " ", " x"]),
        ("(a) \t\nb'ſx", ["(a", ")", " \t\n", "b", "'ſ", "x"]),
    ],
    "qwen2": [("a 123.\n b", ["a", " ", "1", "2", "3", ".\n", " b"])],
}


def hostile(count: int, longest: int = 25) -> list[str]:
    rng = random.Random(1)
    return ["".join(rng.choice(SIGNS) for _ in range(rng.randrange(1, longest))) for _ in range(count)]


def of_library(name: str) -> Callable[[str], list[str]]:
    tokenizers = pytest.importorskip("tokenizers")
    steps = tokenizers.pre_tokenizers
    split = steps.Split(tokenizers.Regex(PATTERN_OF.get(name, GPT2)), "isolated", False)
    if name == "smollm":
        split = steps.Sequence([steps.Digits(individual_digits=True), split])
    return lambda text: [part for part, _ in split.pre_tokenize_str(text)]


@pytest.mark.parametrize("name", SPLITTINGS)
def test_known_texts(name: str):
    for text, units in KNOWN[name]:
        assert SPLITTINGS[name].split(text) == units


@pytest.mark.parametrize("name", SPLITTINGS)
def test_hostile_strings_are_split_as_the_library_does(name: str):
    theirs = of_library(name)
    for text in hostile(500):
        assert SPLITTINGS[name].split(text) == theirs(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPLITTINGS)
def test_every_code_point_is_of_the_class_that_the_library_has(name: str):
    """But for those that Python's version of Unicode has not yet assigned."""
    theirs, ours = of_library(name), SPLITTINGS[name].split
    known = [point for point in range(0x110000) if unicodedata.category(chr(point)) not in ("Cn", "Cs")]
    for start in range(0, len(known), 64):
        signs = map(chr, known[start : start + 64])
        text = "".join(f"a{sign}1{sign} {sign}'{sign}\n{sign}{sign}x  {sign}'s{sign}" for sign in signs)
        assert ours(text) == theirs(text)


@pytest.mark.parametrize("name", SPLITTINGS)
def test_both_sides_of_a_cut_have_the_units_of_the_whole(name: str):
    splitting, cuts = SPLITTINGS[name], 0
    for text in hostile(400):
        for end in (len(text), len(text) // 2):
            if cut := splitting.last_cut(text, 0, end):
                assert 0 < cut <= end
                assert splitting.split(text[:cut]) + splitting.split(text[cut:]) == splitting.split(text)
                cuts += 1
    assert cuts > 200


def test_a_cut_far_from_the_end_is_found():
    assert SPLITTINGS["gpt-2"].last_cut("ab cd" + "x" * 5000, 0, 5005) == 2
    assert SPLITTINGS["gpt-2"].last_cut("ab cd" + "x" * 5000, 3, 5005) == 0


def test_no_time_grows_with_the_square_of_a_text():
    for text in (" " * 100_000 + "x", "!" * 100_000, "\n " * 50_000, "'" * 100_000, "1" * 100_000):
        for splitting in SPLITTINGS.values():
            assert "".join(splitting.split(text)) == text
