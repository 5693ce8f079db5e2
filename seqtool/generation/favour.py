"""Favoured texts: each time that one of them appears, the score of what is written gains some nats, whatever tokens
spell it.

The gain is spread evenly over the bytes of the text. A token gains the share of its bytes that continue the text, and
loses what the bytes before it had gained if it breaks the text off. In all, what is written gains the nats once for
each appearance, and a share of them if it ends inside one. The automaton is that of Knuth, Morris & Pratt 1977, Fast
pattern matching in strings.

Shapes: S states, V vocabulary.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from seqtool.generation.automaton import SPACE_MARK, START, Ints, at_first
from seqtool.generation.constraint import MAX_CACHE_BYTES, TokenBytes
from seqtool.text.decoding import Seam


class Favour:
    """A text and the nats that each appearance gains: negative to avoid it.

    A state is a number: how much of the text has been read.
    """

    def __init__(self, text: str, nats: float, tokens: TokenBytes) -> None:
        table, bytes_earned = _text_finder(text.encode())
        self._table, self._tokens = tokens.read_by(table), tokens
        self._first = START if tokens.spacing == "kept" else at_first(START, len(table))
        self._nats_earned = np.resize(bytes_earned * (nats / len(text.encode())), self._table.shape)
        if tokens.spacing != "kept":
            self._nats_earned[: len(table), SPACE_MARK] = self._nats_earned[: len(table), ord(" ")]
            self._nats_earned[len(table) :, SPACE_MARK] = 0
        self.gains = functools.lru_cache(maxsize=max(1, MAX_CACHE_BYTES // (8 * len(tokens.rows))))(self._gains)

    def behind(self, seam: Seam) -> int:
        """The state of the empty text behind a prompt."""
        return self.read(self._first if seam.drop_space else START, seam.first)[0]

    def read(self, state: int, data: bytes) -> tuple[int, float]:
        """The state that some bytes lead to, and the nats that they gain."""
        earned = 0.0
        for byte in data:
            earned += self._nats_earned[state, byte]
            state = int(self._table[state, byte])
        return state, earned

    def after(self, state: int, token: int, skip: int = 0) -> tuple[int, float]:
        """The state that a token leads to, without its first `skip` bytes, and the nats that it gains."""
        return self.read(state, self._tokens.rows[token][skip:])

    def _gains(self, state: int) -> npt.NDArray[np.float64]:
        """The nats that each token gains; (V,)."""
        gains_V = np.zeros(len(self._tokens.rows))
        gains_V[self._tokens.order] = self._tokens.earned(self._table, self._nats_earned, state)
        return gains_V


def _text_finder(text: bytes) -> tuple[Ints, Ints]:
    """The automaton that finds a text: the next state by state and byte, and the bytes gained by that move; both
    (S, 256).

    State START + n says that what was read ends with the first n bytes of the text, n as large as possible. A move
    gains the growth of n. The whole text counts as its bytes once, and from then on as the longest shorter beginning
    with which it ends.
    """
    whole = START + len(text)
    table = np.full((whole + 1, 256), START, dtype=np.int32)
    shorter = START  # the state of the next shorter beginning of the text with which what was read ends
    for state in range(START, whole):
        table[state] = table[shorter]
        following, byte = int(table[shorter, text[state - START]]), text[state - START]
        table[state, byte] = state + 1
        shorter = following if state > START else START
    table[whole] = table[shorter]
    held = np.arange(whole + 1, dtype=np.int32)
    held[whole] = shorter  # its other bytes have been counted
    return table, held[table] - held[:, np.newaxis] + len(text) * (table == whole)
