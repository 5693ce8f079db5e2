"""Constraints: which tokens may come next in a text that must match a regular expression or avoid some texts.

Tokens are bytes and may end inside a character, so the automaton of the expression reads bytes. A token may come next
when its bytes lead to a state from which the text can be completed (Willard & Louf 2023, Efficient guided generation
for large language models).

Shapes: S states of the automaton, V vocabulary.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from seqtool.errors import UsageError
from seqtool.generation.automaton import (
    DEAD,
    MAX_STATES,
    SPACE_MARK,
    START,
    Ints,
    at_first,
    avoiding,
    both,
    byte_automaton,
    shortened,
    with_marks,
)
from seqtool.text.decoding import Seam

MAX_CACHE_BYTES = 64 << 20
NEVER = 32_766  # more tokens than any state needs; NEVER + 1 still fits in 16 bits
MAX_MOVES = 1 << 27  # states times tokens that are followed where bytes are missing: some seconds
SPACINGS = ("kept", "first", "lines")


class TokenBytes:
    """The bytes that each id adds to a text; b"" for a control symbol.

    `spacing` says what happens to the space with which a word begins: it is `kept`, or left out at the beginning of the
    text (`first`), or of the text and each line (`lines`).
    """

    def __init__(self, rows: Sequence[bytes], spacing: str = "kept") -> None:
        assert spacing in SPACINGS
        self.spacing = spacing
        mark = bytes([SPACE_MARK])
        if spacing != "kept":  # a lone byte that equals the mark is in no text, and not written
            rows = [b"" if row == mark else mark + row[1:] if row[:1] == b" " else row for row in rows]
        self.rows = list(rows)
        self.order, self._columns = _by_position(self.rows)

    def read_by(self, table: Ints) -> Ints:
        """The table of an automaton over bytes, extended to read these tokens; its states keep their numbers."""
        return table if self.spacing == "kept" else with_marks(table, self.spacing == "lines")

    def after(self, table: Ints, state: int) -> Ints:
        """The states that the tokens of `order` lead to; (len(order),)."""
        states = np.full(len(self.order), state, dtype=np.int32)
        for column in self._columns:
            reading = states[: len(column)]
            reading[:] = table[reading, column]
        return states

    def earned(self, table: Ints, worth: npt.NDArray[np.float64], state: int) -> npt.NDArray[np.float64]:
        """The summed worth of the moves that each token of `order` makes; (len(order),)."""
        states = np.full(len(self.order), state, dtype=np.int32)
        earned = np.zeros(len(self.order))
        for column in self._columns:
            reading = states[: len(column)]
            earned[: len(column)] += worth[reading, column]
            reading[:] = table[reading, column]
        return earned


class Constraint:
    """The texts that match a regular expression (None: any) as a whole and in which none of `banned` appears, as a
    deterministic automaton over bytes.

    A state is a number; `start` is that of the empty text. UsageError when the expression cannot be read, is too large,
    or matches no text that the tokens can spell.

    How many tokens complete a text is counted in tokens of a single byte, of which a lossless vocabulary has all 256:
    longer tokens may complete it sooner. Where a byte has no token of its own, all tokens are counted.
    """

    def __init__(self, pattern: str | None, tokens: TokenBytes, banned: Sequence[str] = ()) -> None:
        self.must_match, self._tokens = pattern is not None, tokens
        automata = [byte_automaton(pattern)] if pattern is not None else []
        automata += [avoiding(banned)] if banned else []
        table, ends = functools.reduce(both, automata)
        self.start, self._first = START, START
        self._table = tokens.read_by(table)
        if tokens.spacing != "kept":
            self._first = at_first(START, len(table))
            ends = [*ends, *(at_first(end, len(table)) for end in ends)]
        self._distance = self._tokens_to(ends)
        if self._distance[self.start] == self._distance[self._first] == NEVER:
            but = " without --ban's" if banned else ""
            raise UsageError(
                f"--constrain {shortened(pattern or '')} matches no text that this vocabulary can spell{but}"
            )
        rows = max(1, MAX_CACHE_BYTES // (2 * len(tokens.rows)))
        self._tokens_after = functools.lru_cache(maxsize=rows)(self._compute_tokens_after)

    def behind(self, seam: Seam) -> int:
        """The state of the empty text behind a prompt."""
        return self.read(self._first if seam.drop_space else self.start, seam.first)

    def accepts(self, state: int) -> bool:
        """Whether the text so far matches the whole expression."""
        return bool(self._distance[state] == 0)

    def tokens_needed(self, state: int) -> int:
        """How many further tokens complete a match, by the fewest bytes that it lacks; 0 where `accepts`."""
        return int(self._distance[state])

    def allowed(self, state: int, budget: int) -> npt.NDArray[np.bool_]:
        """Whether each token may come next when the text may have at most `budget` more, this one included; (V,).

        While `budget` is at least `tokens_needed(state)`, some token is allowed unless the match is complete, and each
        of them leads to a state that needs less than `budget`. Where `accepts`, none need be allowed: the text may end.
        """
        return self._tokens_after(state) <= min(budget, MAX_STATES)

    def after(self, state: int, token: int, skip: int = 0) -> int:
        """The state that a token leads to, without its first `skip` bytes; from that of a token that is not allowed,
        no match may be reachable.
        """
        return self.read(state, self._tokens.rows[token][skip:])

    def read(self, state: int, data: bytes) -> int:
        """The state that some bytes lead to."""
        for byte in data:
            state = int(self._table[state, byte])
        return state

    def _compute_tokens_after(self, state: int) -> npt.NDArray[np.int16]:
        """1 + the tokens needed after each token; (V,)."""
        needed_V = np.full(len(self._tokens.rows), NEVER + 1, dtype=np.int16)
        needed_V[self._tokens.order] = 1 + self._distance[self._tokens.after(self._table, state)]
        return needed_V

    def _tokens_to(self, ends: list[int]) -> npt.NDArray[np.int16]:
        """The fewest tokens that lead from each state to one of `ends`; (S,)."""
        states = len(self._table)
        if not self.must_match:
            distance = np.full(states, NEVER, dtype=np.int16)
            distance[ends] = 0
            return distance
        single = sorted({row[0] for row in self._tokens.rows if len(row) == 1})
        if len(single) == 256:
            return _distances(
                states, {state: set(self._table[state, single].tolist()) for state in range(states)}, ends
            )
        moves: dict[int, set[int]] = {}
        waiting = [self.start, self._first]
        while waiting:
            state = waiting.pop()
            if state not in moves:
                moves[state] = set(self._tokens.after(self._table, state).tolist())
                waiting += moves[state]
            if len(moves) * len(self._tokens.rows) > MAX_MOVES:
                raise UsageError(
                    f"--constrain is too large an automaton for a vocabulary of {len(self._tokens.rows):,} tokens: "
                    "use smaller counted repeats {m,n}, * or + for large ones"
                )
        return _distances(states, moves, ends)


def _distances(states: int, moves: Mapping[int, set[int]], ends: Iterable[int]) -> npt.NDArray[np.int16]:
    """The fewest moves from each state to one of `ends`, by a breadth-first search backwards from these; (S,)."""
    before: list[list[int]] = [[] for _ in range(states)]
    for state, targets in moves.items():
        for target in targets - {DEAD}:
            before[target].append(state)
    distance = np.full(states, NEVER, dtype=np.int16)
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
    """The ids of tokens that have bytes, the longest first; and the bytes at each position of those that reach it."""
    order = sorted((index for index, token in enumerate(tokens) if token), key=lambda index: -len(tokens[index]))
    lengths = np.array([len(tokens[index]) for index in order])
    data = np.frombuffer(b"".join(tokens[index] for index in order), dtype=np.uint8)
    starts = np.cumsum(lengths) - lengths
    columns = [data[starts[lengths > position] + position] for position in range(max(lengths, default=0))]
    return np.array(order, dtype=np.int64), columns
