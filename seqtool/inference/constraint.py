"""Text that must match a regular expression: which tokens may come next.

Tokens are bytes and may end inside a character, so the expression's automaton reads bytes. A token may come next when
its bytes lead to a state from which the text can be finished (Willard & Louf 2023, Efficient guided generation for
large language models).

Shapes: S states of the automaton, V vocabulary.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from seqtool.errors import UsageError
from seqtool.inference.automaton import DEAD, MAX_STATES, Ints, byte_automaton, shown

MAX_CACHE_BYTES = 64 << 20
NEVER = 32_766  # tokens; more than any state needs, and one more still fits in 16 bits


class Constraint:
    """A regular expression as a deterministic automaton over bytes, and what each token does to it.

    `tokens[i]` are the bytes of id i; b"" is a control symbol, which is never allowed. A state is a number; `start` is
    that of the empty text. UsageError when the expression cannot be read, is too large, or matches no text that the
    tokens can spell.

    What can be finished is judged by spelling the rest in tokens of a single byte, of which a lossless vocabulary has
    all 256: larger tokens may finish it sooner, and no promise depends on them.
    """

    def __init__(self, pattern: str, tokens: Sequence[bytes]) -> None:
        self._table, ends = byte_automaton(pattern)
        self.start = 1
        single_bytes = sorted({token[0] for token in tokens if len(token) == 1})
        self._distance = _distances(self._table[:, single_bytes], ends)
        if self._distance[self.start] == NEVER:
            raise UsageError(f"--constrain {shown(pattern)} matches no text that this vocabulary can spell")
        self._tokens = list(tokens)
        self._order, self._columns = _by_position(tokens)
        rows = max(1, MAX_CACHE_BYTES // (2 * len(tokens)))
        self._tokens_after = functools.lru_cache(maxsize=rows)(self._compute_tokens_after)

    def accepts(self, state: int) -> bool:
        """Whether the text so far matches the whole expression."""
        return bool(self._distance[state] == 0)

    def tokens_needed(self, state: int) -> int:
        """So many further tokens finish a match: the bytes that it lacks at least. 0 where `accepts`."""
        return int(self._distance[state])

    def allowed(self, state: int, budget: int) -> npt.NDArray[np.bool_]:
        """The tokens that may come next when at most `budget` may, this one included; (V,).

        While `budget` is at least `tokens_needed(state)`, one is allowed unless the match is complete, and any of them
        leads to a state that needs less than `budget`. None may be allowed where `accepts`: the text is at its end.
        """
        return self._tokens_after(state) <= min(budget, MAX_STATES)

    def after(self, state: int, token: int) -> int:
        """The state that a token leads to; after one that was not allowed, the text cannot always be finished."""
        for byte in self._tokens[token]:
            state = int(self._table[state, byte])
        return state

    def _compute_tokens_after(self, state: int) -> npt.NDArray[np.int16]:
        """1 + the tokens needed after each token; (V,)."""
        states = np.full(len(self._order), state, dtype=np.int32)
        for column in self._columns:
            reading = states[: len(column)]
            reading[:] = self._table[reading, column]
        needed_V = np.full(len(self._tokens), NEVER + 1, dtype=np.int16)
        needed_V[self._order] = 1 + self._distance[states]
        return needed_V


def _distances(table: Ints, ends: Iterable[int]) -> npt.NDArray[np.int16]:
    """The fewest steps from each state to one of `ends`, backwards from those, breadth first; (S,)."""
    before: list[list[int]] = [[] for _ in table]
    for state, row in enumerate(table):
        for target in set(row.tolist()) - {DEAD}:
            before[target].append(state)
    distance = np.full(len(table), NEVER, dtype=np.int16)
    waiting = deque(ends)
    distance[list(waiting)] = 0
    while waiting:
        state = waiting.popleft()
        for previous in before[state]:
            if distance[previous] == NEVER:
                distance[previous] = distance[state] + 1
                waiting.append(previous)
    return distance


def _by_position(tokens: Sequence[bytes]) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.uint8]]]:
    """The ids of tokens that have bytes, the longest first; and for each position, the bytes of those so long."""
    order = sorted((index for index, token in enumerate(tokens) if token), key=lambda index: -len(tokens[index]))
    lengths = np.array([len(tokens[index]) for index in order])
    data = np.frombuffer(b"".join(tokens[index] for index in order), dtype=np.uint8)
    starts = np.cumsum(lengths) - lengths
    columns = [data[starts[lengths > position] + position] for position in range(max(lengths, default=0))]
    return np.array(order, dtype=np.int64), columns
