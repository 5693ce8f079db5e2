"""Automata over bytes, against `re` and against looking for each banned text."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from seqtool.errors import UsageError
from seqtool.generation import automaton
from seqtool.generation.automaton import DEAD, SPACE_MARK, START, at_first, avoiding, both, byte_automaton, with_marks
from tests.generation.test_constraint import EXPRESSIONS

BANNED = [["ab"], ["caab", "aa"], ["abcab", "b"], ["aaa", "aba", "cc"], ["é", "aéb"], ["a"]]


def read(table: np.ndarray, data: bytes, state: int = START) -> int:
    for byte in data:
        state = int(table[state, byte])
    return state


def accepts(table_and_ends: tuple[np.ndarray, list[int]], text: str) -> bool:
    table, ends = table_and_ends
    return read(table, text.encode()) in ends


@pytest.mark.parametrize(
    "pattern", [r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", ".", r"(?a)\W", r"(?i)[k-ſ]", r"(?i)[^sß]", "(?i)σ"]
)
def test_every_character_is_judged_as_re_judges_it(pattern: str):
    (table, ends), compiled = byte_automaton(pattern), re.compile(pattern)
    for point in [
        *range(0x3000),
        *range(0xA500, 0xD800, 7),
        *range(0xE000, 0x20000, 5),
        *range(0x20000, 0x110000, 997),
    ]:
        character = chr(point)
        matches = compiled.fullmatch(character) is not None
        assert (read(table, character.encode()) in ends) == matches, hex(point)


@pytest.mark.parametrize(
    "spelled",
    [
        b"\x80",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80",
        b"\xf0\x80\x80\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8",
        b"\xff",
    ],
)
def test_bytes_that_are_not_utf8_lead_nowhere(spelled: bytes):
    assert read(byte_automaton("(?s).*")[0], spelled) == DEAD


@pytest.mark.parametrize(
    "pattern, message",
    [
        (r"(a|b)\1", "backreferences: write out"),
        (r"(?P<x>a)(?P=x)", "backreferences"),
        ("a(?=b)b", "lookahead and lookbehind"),
        ("a(?!b).", "lookahead"),
        ("(?<=a)b", "lookbehind"),
        ("a|(?!)", "lookahead"),
        (r"a\b b", r"the word boundary \\b"),
        (r"a\Bb", r"the non-boundary \\B"),
        ("(a)?(?(1)b|c)", "conditional groups"),
        ("a++b", r"possessive quantifiers: leave out the \+"),
        ("(?>a|ab)c", r"atomic groups: write \(\?:"),
        ("a^b", "anchors inside the expression: leave them out"),
        ("(a$)|b", "anchors inside"),
        ("a(b", r"'a\(b' is not a regular expression: missing \), unterminated subpattern at position 1"),
        ("[b-a]", "bad character range b-a at position 1"),
        ("a{99999999999}", "the repetition number is too large"),
        ("a(?i)", "not a regular expression: global flags not at the start"),
        ("(?L)a", "not a regular expression"),
    ],
)
def test_what_cannot_be_used_is_named(pattern: str, message: str):
    with pytest.raises(UsageError, match=message) as error:
        byte_automaton(pattern)
    assert str(error.value).startswith("--constrain ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a|b)*a(a|b){20}",
        pytest.param("(.{1000}){1000}", marks=pytest.mark.slow),
        pytest.param("((a{100}){100}){100}", marks=pytest.mark.slow),
        r"[\s\S]{5000}",
        pytest.param("(?:){4000000000}", marks=pytest.mark.slow),
        pytest.param("((){1000}){100000}", marks=pytest.mark.slow),
        r"\w{1000}",
        pytest.param("a" * 1_000_000, marks=pytest.mark.slow),
        "a" * 100_000,
        "".join(f"[^{chr(0x4E00 + i)}]" for i in range(3000)),
        "(?i)" + "".join(f"[{chr(0x61 + i % 26)}{chr(0x100 + i)}]" for i in range(3000)),
        pytest.param("(a?){5000}", marks=pytest.mark.slow),
    ],
    ids=lambda pattern: pattern[:20].encode("ascii", "replace").decode(),
)
def test_an_expression_that_is_too_large_is_refused_at_once(pattern: str):
    with pytest.raises(UsageError, match="too large an automaton: use smaller counted repeats"):
        byte_automaton(pattern)


@pytest.mark.parametrize("pattern", ["(" * 5000 + "a" + ")" * 5000, "(?:" * 5000 + "a" + ")*" * 5000])
def test_groups_nested_too_deeply_are_refused(pattern: str):
    with pytest.raises(UsageError, match="nests its groups too deeply"):
        byte_automaton(pattern)


@pytest.mark.parametrize("banned", BANNED, ids=str)
def test_texts_without_the_banned_ones_are_accepted_and_no_others(banned: list[str]):
    without, rng = avoiding(banned), random.Random(0)
    for _ in range(300):
        text = "".join(rng.choices("abcé", k=rng.randrange(8)))
        assert accepts(without, text) == (not any(part in text for part in banned))


def test_banned_texts_that_are_too_large_are_refused():
    with pytest.raises(UsageError, match="--ban: texts of 40,000 bytes in all; at most 31,998"):
        avoiding(["a" * 20_000, "b" * 20_000])


@pytest.mark.parametrize(("pattern", "alphabet"), EXPRESSIONS[:7])
def test_both_accepts_what_each_of_two_automata_accepts(pattern: str, alphabet: str):
    rng, banned = random.Random(1), [alphabet[0] * 2, alphabet[-1] + alphabet[0]]
    together = both(byte_automaton(pattern), avoiding(banned))
    for _ in range(500):
        text = "".join(rng.choices(alphabet, k=rng.randrange(7)))
        expected = re.fullmatch(pattern, text) and not any(part in text for part in banned)
        assert accepts(together, text) == bool(expected), text


def test_automata_that_are_too_large_together_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(automaton, "MAX_STATES", 500)
    with pytest.raises(UsageError, match="--constrain and --ban together are too large an automaton"):
        both(byte_automaton("[ab]{0,60}"), avoiding(["a" * 20]))


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("begins", [False, True])
def test_a_mark_is_a_space_but_nothing_before_the_first_word(lines: bool, begins: bool):
    table, ends = byte_automaton(r"[a ]?([ab]*\n|[ab]+ )*")
    doubled, rng = with_marks(table, lines), random.Random(2)
    for _ in range(500):
        data = bytes(rng.choices([SPACE_MARK, *b"ab\n"], k=rng.randrange(7)))
        text, first = b"", begins
        for byte in data:
            text += b"" if byte == SPACE_MARK and first else b" " if byte == SPACE_MARK else bytes([byte])
            first = lines and byte == ord("\n")
        state = read(doubled, data, at_first(START, len(table)) if begins else START)
        assert (state in [*ends, *(at_first(end, len(table)) for end in ends)]) == (read(table, text) in ends)
