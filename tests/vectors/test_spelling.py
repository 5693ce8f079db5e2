from __future__ import annotations

import difflib

import numpy as np
import pytest

from seqtool.vectors.spelling import LEAST_RATIO, mend, mend_of_unseen, near_in_spelling
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors

WORDS = ["the", "queen", "quern", "Paris", "form", "from", "mississippi", "naïve", "quean", "NATO"]


@pytest.mark.parametrize(("word", "near"), [
    ("quen", ["queen", "quern", "quean"]),
    ("paris", ["Paris"]),
    ("nato", ["NATO"]),
    ("fro", ["from"]),
    ("fomr", ["form", "from"]),
    ("teh", ["the"]),
    ("naive", ["naïve"]),
    ("misisipi", ["mississippi"]),
    ("xyzzy", []),
    ("", []),
    ("q" * 5000, []),
    ("\ud800", []),
    ("漢字", []),
])  # fmt: skip
def test_what_a_word_may_have_been_meant_to_be(word: str, near: list[str]):
    assert near_in_spelling(TokenTable.of(WORDS), word) == near


def test_likeness_is_difflibs():
    random = np.random.default_rng(0)
    words = sorted({"".join(random.choice(list("abcdé"), random.integers(6, 12))) for _ in range(2000)})
    tokens = TokenTable.of(words)
    for word in ("abcdabcdab", "ddéabcaabb", "aaaaabbbbb"):
        best = max(difflib.SequenceMatcher(None, other, word, False).ratio() for other in words)
        found = near_in_spelling(tokens, word)
        assert found
        assert max(difflib.SequenceMatcher(None, other, word, False).ratio() for other in found) == best >= LEAST_RATIO


def test_what_would_help():
    vectors = Vectors(TokenTable.of(WORDS), np.ones((len(WORDS), 2), np.float32), {"vocabulary_type": "word"})
    assert mend(vectors, "misisipi") == "near in spelling is mississippi"
    assert mend(vectors, "quen") == "near in spelling are queen, quern, quean"
    assert "--subword" in mend(vectors, "zzz") == mend_of_unseen(vectors)
    assert mend(Vectors(vectors.tokens, vectors.matrix_VD, {}), "zzz") == "check the spelling"
