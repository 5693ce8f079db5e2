"""Texts that are favoured: for each time that one of them appears a text gains some nats, however it is spelled.

The gain is spread evenly over the bytes. A token is given what its bytes earn, and loses what those before it had
earned where the text does not go on; so in all, what is written gains the nats each time that the text is in it, and
a share of them where it ends with a beginning of it. The automaton is that of Knuth, Morris & Pratt 1977, Fast pattern
matching in strings.

Shapes: S states, V vocabulary.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from seqtool.generation.automaton import MARK, START, Ints, at_first
from seqtool.generation.constraint import MAX_CACHE_BYTES, TokenBytes
from seqtool.text.decoding import Seam


class Favour:
    """A text, and the nats that it gains: less than 0 where it is to be avoided.

    A state is a number: how much of the text has been read.
    """

    def __init__(self, text: str, nats: float, tokens: TokenBytes) -> None:
        table, bytes_earned = _progress(text.encode())
        self._table, self._tokens = tokens.read_by(table), tokens
        self._first = START if tokens.spacing == "kept" else at_first(START, len(table))
        self._nats_earned = np.resize(bytes_earned * (nats / len(text.encode())), self._table.shape)
        if tokens.spacing != "kept":
            self._nats_earned[: len(table), MARK] = self._nats_earned[: len(table), ord(" ")]
            self._nats_earned[len(table) :, MARK] = 0
        self.gains = functools.lru_cache(maxsize=max(1, MAX_CACHE_BYTES // (8 * len(tokens.rows))))(self._gains)

    def behind(self, seam: Seam) -> int:
        """The state of the empty text behind a prompt."""
        return self.read(self._first if seam.drop_space else START, seam.first)[0]

    def read(self, state: int, data: bytes) -> tuple[int, float]:
        """The state that some bytes lead to, and the nats that they earn."""
        earned = 0.0
        for byte in data:
            earned += self._nats_earned[state, byte]
            state = int(self._table[state, byte])
        return state, earned

    def after(self, state: int, token: int, skip: int = 0) -> tuple[int, float]:
        """The state that a token leads to, without its first `skip` bytes, and the nats that it earns."""
        return self.read(state, self._tokens.rows[token][skip:])

    def _gains(self, state: int) -> npt.NDArray[np.float64]:
        """The nats that each token earns; (V,)."""
        gains_V = np.zeros(len(self._tokens.rows))
        gains_V[self._tokens.order] = self._tokens.earned(self._table, self._nats_earned, state)
        return gains_V


def _progress(text: bytes) -> tuple[Ints, Ints]:
    """The state START + the bytes of the text that the end of what was read has, after each byte, and the bytes that
    it earns: as many as that grows by, and all of the text once it is whole; (S, 256) both.
    """
    whole = START + len(text)
    table = np.full((whole + 1, 256), START, dtype=np.int32)
    shorter = START  # where the longest other beginning of the text that what was read ends with leads
    for state in range(START, whole):
        table[state] = table[shorter]
        following, byte = int(table[shorter, text[state - START]]), text[state - START]
        table[state, byte] = state + 1
        shorter = following if state > START else START
    table[whole] = table[shorter]
    held = np.arange(whole + 1, dtype=np.int32)
    held[whole] = shorter  # a whole text is what it goes on from
    return table, held[table] - held[:, np.newaxis] + len(text) * (table == whole)
