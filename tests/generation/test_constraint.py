from __future__ import annotations

import random
import re

import numpy as np
import pytest

from seqtool.errors import UsageError
from seqtool.generation.constraint import Constraint, TokenBytes
from seqtool.generation.favour import Favour
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.decoding import Seam
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary

BYTES = [b"", *(bytes([byte]) for byte in range(256))]
PIECES = [
    *BYTES,
    b"",
    *(
        p.encode()
        for p in ["the", " th", "\n\n", "4/4\nK:", "é", "日本", "ab", "aab", "12", "GATTACA", "  ", "a" * 40, "🙂🙂"]
    ),
]
PIECES += [
    "é".encode()[1:] + b"a",
    "日".encode()[:2],
    "日".encode()[2:] + "é".encode()[:1],
]  # from inside characters to inside characters

# An expression, and characters that tell it from its neighbours.
EXPRESSIONS = [
    ("", "a"),
    ("abc", "abc"),
    ("a|ab|abc", "abc"),
    ("(ab|cd)*e?", "abcde"),
    ("(?:a|(?:b|(?:c|d)+)*)x", "abcdx"),
    ("a{2,4}?b{3}c{2,}", "abc"),
    ("(?:a?b??){3}", "ab"),
    (r"(?P<word>\w+) = (\d+|'[^']*')", "x =1'é\n"),
    ("[ACGT]{3,60}", "ACGTN"),
    (r"X:\d+\nT:[^\n]{1,40}\nM:(4/4|6/8)\nK:[A-G](maj|min)?\n([A-Ga-g][,']*\d?|[| \n])+", "X:1\nTMK4/68Gmajin|',"),
    (r"20\d\d-(0[1-9]|1[0-2])-([0-2]\d|3[01])T\d{2}:\d{2} (INFO|WARN|ERROR) .*", "0123-T: INFOWARE٣\n"),
    (r"^\s*-?\d+(\.\d+)?([eE][+-]?\d+)?\s*$", "0123.eE+- \u2003٣"),
    (r"\A(true|false|null)\Z", "truefalsn"),
    (r".", "a\né日🙂\x00\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff"),
    (r"(?s).{2}", "a\né日🙂"),
    (r"[\s\S]{0,3}", "a\né日🙂"),
    (r"[^a-z\d]+", "az5é日🙂_٣"),
    (r"\W*\w\D\S", "a ١é-日🙂\u2003"),
    (r"(?a)\w+\s\d", "aé _1٣\u2003"),
    (r"(?a:\w)\w", "aé1٣_"),
    (r"(?i)straße|k[a-cſ]*é", "STRAßEẞkKKasſSéÉbC"),
    (r"(?i)[^k]x(?-i:y)", "kKKxXyY"),
    (r"(?ai)[k-s]é", "kKKsSſéÉ"),
    (r"(?i:µ|ı|Σ)", "µμΜıIiΣςσ"),
    ("(?x) a b # a comment\n | [ ]c", "ab c#"),
    ("[α-ωぁ-ん😀-😎]{2}", "αωΑぁん😀😎🙂"),
    (r"(|a)+b", "ab"),
    (r"(a*)*(b|)+", "ab"),
    ("日(本|é🙂|(.))?", "日本é🙂a"),
]


def walk(constraint: Constraint, text: str) -> int:
    state = constraint.start
    for byte in text.encode():
        state = constraint.after(state, byte + 1)
    return state


def write(constraint: Constraint, tokens: list[bytes], budget: int, rng: random.Random) -> str:
    """A text of at most `budget` tokens, chosen uniformly among those that are allowed."""
    state, written = constraint.start, b""
    for left in range(budget, 0, -1):
        assert constraint.tokens_needed(state) <= left
        choices = np.flatnonzero(constraint.allowed(state, left)).tolist()
        assert choices or constraint.accepts(state)
        if not choices or (constraint.accepts(state) and rng.random() < 0.1):
            break
        token = rng.choice(choices)
        state, written = constraint.after(state, token), written + tokens[token]
    assert constraint.accepts(state)
    return written.decode()


@pytest.mark.parametrize("pattern, alphabet", EXPRESSIONS)
def test_it_accepts_what_re_matches_whole(pattern: str, alphabet: str):
    constraint, rng = Constraint(pattern, TokenBytes(BYTES)), random.Random(0)
    texts = [
        write(constraint, BYTES, constraint.tokens_needed(constraint.start) + rng.randrange(30), rng) for _ in range(60)
    ]
    texts += ["".join(rng.choices(alphabet, k=rng.randrange(5))) for _ in range(300)]
    for text in list(texts):  # neighbours of what matches
        cut = rng.randrange(len(text) + 1)
        texts += [text[:cut] + rng.choice(alphabet) + text[cut + rng.randrange(2) :], text[:cut] + text[cut + 1 :]]
    matches = [re.fullmatch(pattern, text) is not None for text in texts]
    assert [constraint.accepts(walk(constraint, text)) for text in texts] == matches
    assert True in matches
    assert False in matches


@pytest.mark.parametrize("pattern, alphabet", EXPRESSIONS)
@pytest.mark.parametrize("tokens", [BYTES, PIECES], ids=["bytes", "pieces"])
def test_every_sample_matches_within_its_budget(pattern: str, alphabet: str, tokens: list[bytes]):
    constraint, rng = Constraint(pattern, TokenBytes(tokens)), random.Random(1)
    needed = constraint.tokens_needed(constraint.start)
    for budget in [needed, needed + 1, *(needed + rng.randrange(60) for _ in range(30))]:
        text = write(constraint, tokens, budget, rng)
        assert re.fullmatch(pattern, text), text


@pytest.mark.slow
def test_random_expressions():
    rng, compared = random.Random(2), 0

    def expression(depth: int) -> str:
        kind = rng.randrange(7) if depth else 0
        if kind < 2:
            return rng.choice(["a", "b", "é", ".", "[ab]", "[^a]", r"\w", "日", "(?i:A)"])
        if kind == 2:
            return f"({expression(depth - 1)}|{expression(depth - 1)})"
        if kind == 3:
            return f"(?:{expression(depth - 1)}){rng.choice(['*', '+', '?', '*?', '{2}', '{1,3}', '{0,2}?', '{2,}'])}"
        return expression(depth - 1) + expression(depth - 1)

    for _ in range(150):
        pattern = expression(4)
        constraint = Constraint(pattern, TokenBytes(PIECES))
        for _ in range(30):
            text = "".join(rng.choices("abé日A\n", k=rng.randrange(7)))
            assert constraint.accepts(walk(constraint, text)) == (re.fullmatch(pattern, text) is not None), (
                pattern,
                text,
            )
            compared += 1
        text = write(constraint, PIECES, constraint.tokens_needed(constraint.start) + rng.randrange(12), rng)
        assert re.fullmatch(pattern, text), (pattern, text)
    assert compared == 4500


def test_a_token_is_allowed_exactly_when_the_rest_fits_in_the_budget():
    tokens = [*BYTES, b"ab", b"abc", b"abcd", b"abx"]
    constraint = Constraint("abcde|abcdefg", TokenBytes(tokens))

    def allowed(state: int, budget: int) -> list[bytes]:
        return [tokens[index] for index in np.flatnonzero(constraint.allowed(state, budget))]

    assert constraint.tokens_needed(constraint.start) == 5
    assert allowed(constraint.start, 10**9) == [b"a", b"ab", b"abc", b"abcd"]
    assert [len(allowed(constraint.start, budget)) for budget in range(7)] == [0, 0, 1, 2, 3, 4, 4]
    end = walk(constraint, "abcde")
    assert constraint.accepts(end)
    assert allowed(end, 2) == [b"f"]
    assert allowed(end, 1) == []
    assert allowed(walk(constraint, "abcdefg"), 9) == []


def test_a_vocabulary_without_all_bytes_promises_only_what_it_can_spell():
    tokens = [b"a", b"b", b"bc", b""]
    constraint, rng = Constraint("(ab|ac|abc)+", TokenBytes(tokens)), random.Random(3)
    for budget in range(2, 30):
        assert re.fullmatch("(ab|ac|abc)+", write(constraint, tokens, budget, rng))
    with pytest.raises(UsageError, match=r"'a\*c' matches no text that this vocabulary can spell"):
        Constraint("a*c", TokenBytes(tokens))


def test_a_learned_vocabulary(prose_file):
    vocabulary = learn_vocabulary(TextSource([str(prose_file)]), VocabularyConfig(type="bpe"))
    tokens = [vocabulary.token_bytes(index) for index in range(vocabulary.size)]
    pattern, rng = r"[A-Z]\w*( \w+){2,8}[.!?]\n", random.Random(4)
    constraint = Constraint(pattern, TokenBytes(tokens))
    for budget in range(constraint.tokens_needed(constraint.start), 60):
        assert re.fullmatch(pattern, write(constraint, tokens, budget, rng))


@pytest.mark.parametrize("pattern", [r"[^\s\S]", "\udc80"])
def test_an_expression_that_matches_no_text_is_refused(pattern: str):
    with pytest.raises(UsageError, match=r"^--constrain .* matches no text that this vocabulary can spell"):
        Constraint(pattern, TokenBytes(BYTES))


@pytest.mark.slow
def test_large_expressions_within_the_limits_work():
    for pattern in [r"[\s\S]{0,2000}", r"\w{1,90}", "|".join(f"word{index * 7919 % 100_003}" for index in range(5000))]:
        constraint = Constraint(pattern, TokenBytes(PIECES))
        text = write(constraint, PIECES, 3000, random.Random(5))
        assert re.fullmatch(pattern, text)


WORDS = [b"", b"", b"\n", *(b" " + bytes([97 + number]) * (1 + number % 2) for number in range(17))]


@pytest.mark.parametrize("begins_line", [True, False])
def test_words_bring_their_spaces_but_the_first_of_a_line(begins_line: bool):
    tokens, seam = TokenBytes(WORDS, "lines"), Seam(drop_space=begins_line)
    constraint = Constraint(r"( ?[a-z]+)( [a-z]+\n[a-z]+)+", tokens)
    state, favour = constraint.behind(seam), Favour(" bb", 1.0, tokens)
    place, gained = favour.behind(seam), 0.0
    text = ""
    for token in (4, 4, 2, 4, 3, 2, 5):
        assert constraint.allowed(state, 99)[token]
        state, gained = constraint.after(state, token), gained + favour.gains(place)[token]
        place = favour.after(place, token)[0]
        row = WORDS[token].decode()
        text += row[1:] if text.endswith("\n") or (not text and begins_line) else row
    assert text.removeprefix(" ") == "bb bb\nbb a\nc"
    assert constraint.accepts(state)
    assert gained == pytest.approx(text.count(" bb") + text.endswith(" ") / 3)


def test_a_constraint_on_words_keeps_its_budget_and_can_be_banned_from():
    tokens = TokenBytes(WORDS, "lines")
    pattern = r"(a|bb|ff)( (a|c|dd|ff)){2,}\n"
    for banned in ([], ["a", "ff f"]):
        constraint, rng = Constraint(pattern, tokens, banned), np.random.default_rng(0)
        for budget in range(4, 30):
            state, text = constraint.behind(Seam(drop_space=True)), ""
            for left in range(budget, 0, -1):
                assert constraint.tokens_needed(state) <= left
                choices = np.flatnonzero(constraint.allowed(state, left))
                if not len(choices):
                    break
                token = int(rng.choice(choices))
                state, text = constraint.after(state, token), text + WORDS[token].decode()
            assert constraint.accepts(state)
            assert not any(word in text for word in banned)
