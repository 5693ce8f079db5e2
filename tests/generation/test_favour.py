"""What a text gains, against counting how often the favoured text is in it."""

from __future__ import annotations

import pytest

from seqtool.generation.constraint import TokenBytes
from seqtool.generation.favour import Favour
from seqtool.text.decoding import Seam

# Letters, and longer tokens that spell the same texts; none for the first two ids.
TOKENS = [b"", b"", *(bytes([97 + number]) for number in range(14)), b"ab", b"bc", b"abc", b"ca"]


def tokenisations(text: bytes) -> list[list[int]]:
    if not text:
        return [[]]
    return [
        [token, *rest]
        for token, row in enumerate(TOKENS)
        if row and text.startswith(row)
        for rest in tokenisations(text[len(row) :])
    ]


@pytest.mark.parametrize("favoured", ["ab", "abc", "aa", "bcabc", "h"])
def test_a_favoured_text_gains_as_often_as_it_appears_however_it_is_spelled(favoured: str):
    favour = Favour(favoured, 6.0, TokenBytes(TOKENS))
    for text in ["", "abc", "ababc", "aaaa", "bcabcabca", "hxbcab", "aab"]:
        count = sum(text.startswith(favoured, at) for at in range(len(text)))
        begun = max(size for size in range(len(favoured)) if text.endswith(favoured[:size]))
        for tokens in tokenisations(text.encode()):
            state, gained = favour.behind(Seam()), 0.0
            for token in tokens:
                gained += favour.gains(state)[token]
                state = favour.after(state, token)[0]
            assert gained == pytest.approx(6.0 * (count + begun / len(favoured)))
