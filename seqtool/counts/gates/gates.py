"""Counts that learn as they read, and gates that mix them with what other models say of the next token.

A token is spelled in decisions (`Spelling`). Each is predicted so, in the manner of Mahoney's PAQ (2005) and Mattern's
gated mixing (2012):

1. Counts. A context is a choice of what came before (`CONTEXTS`: the last 1 to 7 tokens, the word so far and those
   before it, what followed these tokens the last times, the place in the line, …). For each context and each node there
   is a counter: how often each way was taken, up to 31, forgetting the one when the other comes; which was last; and
   the share that went right, as a running mean. What such a history is worth is learned: `maps` has p(right | history),
   and `chances` p(right | mean, confidence), for every context and for how long ago it was last met.
2. Other models: of all that they give the leaves below a node, the share of those on the right.
3. Matches: the longest passages of what was read that end as the text now does foretell a token.
4. Mixing: the inputs x_i are these probabilities, stretched: ln(p / (1-p)). A set of weights w gives
   p = squash(sum_i w_i x_i), and which of a set's rows is used is chosen by the context (`ROWS`), for each of SETS.
   The last layer mixes the sets likewise, by LAST choices, of which the mean is taken. All weights learn by the
   gradient of -ln p: w_i += rate (bit - p) x_i.
   Where a node is reached once in 500,000 times or less often, how often each token comes tells its decision instead,
   so that all next tokens can be told without walking the whole tree.
5. Stages: maps of p by a short context, in steps of 1/2 of its stretch, correct the mixture (secondary estimation).

Nothing is learned from a token before it is scored, nor, unless asked, at all. Counters are held in memory of one size:
where a table is full, a context that came less often makes room. The text itself, into which matches point, is kept
too, in 4 bytes a token.

Shapes: B texts side by side, T tokens, V vocabulary, E other models, C contexts, F numbers of a text's state.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.counts.gates.spelling import Spelling, spelling_of
from seqtool.errors import InputError
from seqtool.native.loading import part

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

REACH, MATCHES = 24, 3  # newest tokens, and matches, that a state holds
FIELDS = (
    *(f"recent {distance}" for distance in range(1, REACH + 1)),
    *("word", "word 1", "word 2", "word 3", "letters", "column", "opening", "line", "heading", "blank"),
    *(f"at {match}" for match in range(MATCHES)),
    *(f"length {match}" for match in range(MATCHES)),
)
"""A text's state: its newest tokens; hashes of the word so far and of those before; letters in the word; place in the
line; hashes of the line's first four tokens, of the line, of the last heading (the first line behind an empty one);
whether the last line was empty; where in what was read each match goes on; how long it is, 0 where there is none."""
LEVELS, WIDTH, WAYS = 2, 4, 4  # decisions down the tree that share a bucket, its numbers, buckets a context may be in
STATES, AGES = 2048, 8  # of a counter's history, and how long ago a context was met
STEPS, CONFIDENCES, MATCH_STEPS = 33, 32, 64
SETS, LAST, STAGES = 14, 3, 3
NAMED, HASHED, STAGED, FOLLOWED = 1024, 4096, 1 << 16, 1 << 16
ROWS = (256, NAMED, 256, NAMED, 320, 128, 384, 2048, NAMED, HASHED, HASHED, HASHED, 512, HASHED)
"""Rows of each set. They are chosen by: the longest context met and how many are certain; the node; the first model's
entropy and its input; the last token; depth and match; letters in the word and match; longest context and column;
entropy, match and longest context; the token before the last; last token and node; last two tokens; word; column;
the word before."""
LAST_ROWS = NAMED * 16 + 8 * 16 + NAMED
MOST_MODELS = 16
MOST_PAST = (1 << 31) - 2  # tokens, whose places are 32 bits


def _context(*tokens: int, **others: bool) -> int:
    """The bit mask of a context: tokens at distances, and other parts of a state."""
    names = ("word", "word1", "word2", "word3", "column", "opening", "heading", "one2", "one3", "two2", "two3")
    return sum(1 << (distance - 1) for distance in tokens) + sum(1 << (16 + names.index(name)) for name in others)


ORDERS = 7
CONTEXTS = (
    *(_context(*range(1, order + 1)) for order in range(ORDERS + 1)),
    _context(word=True, word1=True),
    _context(word=True, word1=True, word2=True),
    _context(word=True),
    _context(word=True, word2=True),
    _context(2, 3),
    _context(word=True, heading=True),
    _context(word=True, opening=True),
    _context(1, column=True),
    _context(word=True, word1=True, word2=True, word3=True),
    _context(1, 3, 4),
    _context(word=True, word1=True, heading=True),
    _context(word=True, column=True),
    _context(1, word=True, word1=True),
    _context(1, heading=True),
    _context(2, 3, 4),
    _context(word=True, word3=True),
    _context(word1=True, word2=True),
    _context(1, 2, word1=True),
    _context(1, 2, 3, word1=True),
    _context(one2=True),
    _context(two2=True),
    _context(two3=True),
    _context(one3=True),
)
"""`one2`, `two3` and so on: the 2 or 3 tokens that followed the last token, or the last two, the last times."""
INPUTS_ROUNDED = 16
READING_RATE, GOING_ON_RATE, LAST_RATE = 2e-3, 1e-3, 2e-3
BUCKETS_PER_MEETING = 0.5  # a token's and context's, of which many meet again what is there
BUCKET_BYTES = 4 * WIDTH
LEAST_BUCKETS, MOST_BUCKETS = 1 << 12, 1 << 26


class _Structure(ctypes.Structure):
    """What the functions in C are given: sizes, and where the arrays lie."""

    SIZES = ("symbols", "nodes", "contexts", "orders", "models", "inputs", "buckets", "places", "past_count")
    ARRAYS = (
        "children", "spans", "leaves", "paths", "depths", "words", "kinds", "masks", "rows", "stretched", "before",
        "table", "maps", "chances", "weights", "last", "stages", "match_maps", "followed", "past", "found",
    )  # fmt: skip
    _fields_ = (
        *((name, ctypes.c_int64) for name in SIZES),
        ("rate", ctypes.c_float),
        ("last_rate", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ARRAYS),
    )


class Gates:
    """p(next token | what came before, what was read), with what other models say of it.

    `arrays` are all that it knows, by the names of `learned_shapes`; the text read lies in `past`, which grows.
    """

    def __init__(
        self, arrays: dict[str, Array], models: int, begin_id: int, past_count: int, spelling: Spelling | None = None
    ) -> None:
        """`spelling` is that of the array `counts`, if it is known."""
        self.arrays, self.models, self.begin_id, self.past_count = arrays, models, begin_id, past_count
        self.spelling = spelling or spelling_of(arrays["counts"])
        self.vocab_size = len(arrays["counts"])
        self.rate = READING_RATE
        self.fixed: dict[str, Array] = {
            **vars(self.spelling),
            "masks": np.array(CONTEXTS, np.int64),
            "rows": np.cumsum([0, *ROWS[:-1]]),
            "stretched": stretched(),
            "before": np.concatenate([[0.0], np.cumsum(1.0 + arrays["counts"][self.spelling.leaves])]),
        }

    @classmethod
    def new(
        cls, counts_V: Int64, words_V: Int64, kinds_V: Int64, begin_id: int, models: int, tokens: int, memory: int
    ) -> Gates:
        """Gates that have read nothing, made for so many tokens in at most so many bytes of counters.

        `counts_V`: about how often each token will come. `words_V`: what a token is in a word, such as its letters
        without case, numbered from 1; 0 where it is in none. `kinds_V`: 1 where it begins a word, 2 where it ends a
        line, 3 where both.
        """
        assert 0 <= models <= MOST_MODELS
        assert len(counts_V) >= 2
        buckets = buckets_for(tokens, memory)
        places = _power_of_two(tokens, 1 << 12, 1 << 22)
        arrays: dict[str, Array] = {
            "counts": counts_V.astype(np.int64),
            "words": words_V.astype(np.int32),
            "kinds": kinds_V.astype(np.uint8),
            "past": np.zeros(0, np.int32),
        }
        for name, (dtype, shape) in learned_shapes(models, buckets, places).items():
            arrays[name] = _beginning(name, dtype, shape, models)
        return cls(arrays, models, begin_id, 0)

    def copy(self) -> Gates:
        """Gates that go on learning by themselves."""
        arrays = {
            name: array if name in ("counts", "words", "kinds") else array.copy() for name, array in self.arrays.items()
        }
        other = Gates(arrays, self.models, self.begin_id, self.past_count, self.spelling)
        other.rate = self.rate
        return other

    def begin(self, rows: int) -> Int64:
        """The states of texts that have not begun, (B, F)."""
        states_BF = np.zeros((rows, len(FIELDS)), np.int64)
        states_BF[:, :REACH] = self.begin_id
        states_BF[:, FIELDS.index("blank")] = 1
        return states_BF

    def read(
        self, state_F: Int64, ids_T: Int64, log_p_ETV: Sequence[Float32 | None], *, learn: bool = False
    ) -> Float32:
        """-log p of each of the ids, (T,), with which a text goes on; its state is moved behind them.

        `log_p_ETV` is what each of the other models says of all tokens at each place, (T, V), or None if nothing.
        """
        ids_T, nats_T = np.ascontiguousarray(ids_T, np.int64), np.zeros(len(ids_T), np.float32)
        self._check(ids_T, log_p_ETV)
        if learn:
            assert self.arrays["table"].flags.writeable, "gates of a file: copy them"
            self._make_room(len(ids_T))
        library = part("mixing")
        if library is None:
            from seqtool.counts.gates import in_python

            return in_python.read(self, state_F, ids_T, log_p_ETV, learn)
        structure, held, given = self._structure(), *_pointers(log_p_ETV, (len(ids_T), self.vocab_size))
        masses = np.empty((max(1, self.models), self.vocab_size + 1))
        library.seqtool_gates_read(
            ctypes.byref(structure), *_at(state_F, ids_T), len(ids_T), given, *_at(masses, nats_T), learn
        )
        del held
        self.past_count = structure.past_count
        return nats_T

    def advance(self, state_F: Int64, ids_T: Int64) -> None:
        """Move a text's state behind some ids, which are neither scored nor learned from."""
        ids_T = np.ascontiguousarray(ids_T, np.int64)
        self._check(ids_T, [None] * self.models)
        library = part("mixing")
        if library is None:
            from seqtool.counts.gates import in_python

            return in_python.advance_all(self, state_F, ids_T)
        structure = self._structure()
        library.seqtool_gates_advance(ctypes.byref(structure), *_at(state_F, ids_T), len(ids_T), 0)
        return None

    def next_log_p(self, state_F: Int64, log_p_EV: Sequence[Float32 | None]) -> Float32:
        """log p of every next token, (V,)."""
        library = part("mixing")
        if library is None:
            from seqtool.counts.gates import in_python

            return in_python.next_log_p(self, state_F, log_p_EV)
        out_V, masses = np.empty(self.vocab_size, np.float32), np.empty((max(1, self.models), self.vocab_size + 1))
        structure, held, given = self._structure(), *_pointers(log_p_EV, (self.vocab_size,))
        library.seqtool_gates_next(ctypes.byref(structure), *_at(state_F), given, *_at(masses, out_V))
        del held
        return out_V

    def _check(self, ids_T: Int64, log_p: Sequence[Float32 | None]) -> None:
        assert len(log_p) == self.models
        least, most = (ids_T[0], ids_T[0]) if len(ids_T) == 1 else (ids_T.min(initial=0), ids_T.max(initial=0))
        if not 0 <= least <= most < self.vocab_size:
            raise ValueError(f"an id that is none of {self.vocab_size}")

    def _make_room(self, tokens: int) -> None:
        """Let `past` hold so many more tokens."""
        past = self.arrays["past"]
        if self.past_count + tokens > MOST_PAST:
            raise InputError(f"gates learn from at most {MOST_PAST:,} tokens: give less text, or score without --adapt")
        if self.past_count + tokens > len(past):
            grown = np.zeros(max(self.past_count + tokens, 2 * len(past)), np.int32)
            grown[: self.past_count] = past[: self.past_count]
            self.arrays["past"] = grown
            self._given.past = grown.ctypes.data

    def _structure(self) -> _Structure:
        """What the functions in C are given, as it is now."""
        structure = self._given
        structure.past_count, structure.rate = self.past_count, self.rate
        return structure

    @functools.cached_property
    def _given(self) -> _Structure:
        """The same, made once: where arrays lie is slow to ask, and only `past` moves."""
        arrays = {**self.arrays, **self.fixed}
        structure = _Structure(
            self.vocab_size,
            self.vocab_size - 1,
            len(CONTEXTS),
            ORDERS,
            self.models,
            arrays["weights"].shape[1],
            len(arrays["table"]),
            arrays["found"].shape[1],
            self.past_count,
            self.rate,
            LAST_RATE,
        )
        for name in _Structure.ARRAYS:
            setattr(structure, name, arrays[name].ctypes.data)
        return structure


def learned_shapes(models: int, buckets: int, places: int) -> dict[str, tuple[type[Any], tuple[int, ...]]]:
    """The types and shapes of the arrays that change as gates read, but `past`."""
    kinds = len(CONTEXTS) * AGES
    return {
        "table": (np.uint32, (buckets, WIDTH)),
        "maps": (np.float32, (kinds, STATES)),
        "chances": (np.float32, (kinds * CONFIDENCES, STEPS)),
        "weights": (np.float32, (sum(ROWS), input_count(models))),
        "last": (np.float32, (LAST_ROWS, SETS)),
        "stages": (np.float32, (NAMED + 2 * STAGED, STEPS)),
        "match_maps": (np.float32, (MATCHES, MATCH_STEPS)),
        "followed": (np.uint64, (2, FOLLOWED)),
        "found": (np.int32, (MATCHES, places)),
    }


def input_count(models: int) -> int:
    """Inputs of the mixing: two of each context, one of each model and match, and a bias; rounded up."""
    return -(-(2 * len(CONTEXTS) + models + MATCHES + 1) // INPUTS_ROUNDED) * INPUTS_ROUNDED


def buckets_for(tokens: int, memory: int) -> int:
    """Buckets of the table for so many tokens, in at most so many bytes."""
    wanted = _power_of_two(int(tokens * len(CONTEXTS) * BUCKETS_PER_MEETING), LEAST_BUCKETS, MOST_BUCKETS)
    while wanted > LEAST_BUCKETS and wanted * BUCKET_BYTES > memory:
        wanted //= 2
    return wanted


def stretched() -> Float32:
    """ln(p / (1-p)) in the middle of each of 4096 parts of 0 to 1."""
    place = np.arange(4096, dtype=np.float32)
    middles: Float32 = np.log((place + np.float32(0.5)) / (np.float32(4095.5) - place))
    return middles


def _power_of_two(least: int, low: int, high: int) -> int:
    return min(high, max(low, 1 << max(0, least - 1).bit_length()))


def _beginning(name: str, dtype: type[Any], shape: tuple[int, ...], models: int) -> Array:
    """What an array holds before anything is read."""
    array = aligned_zeros(shape, dtype)
    if name == "maps":
        state = np.arange(STATES)
        left, right = state & 31, state >> 5 & 31
        array[:] = (right + 0.4) / (left + right + 0.8)
    elif name in ("chances", "stages"):
        array[:] = 1 / (1 + np.exp(-(np.arange(STEPS) - 16) / 2))
    elif name == "weights":
        array[:, : 2 * len(CONTEXTS)] = 0.1
        array[:, 2 * len(CONTEXTS) : 2 * len(CONTEXTS) + models] = 0.3
    elif name == "last":
        array[:] = 1 / SETS
    elif name == "match_maps":
        array[:] = 0.75 + 0.2 * np.arange(MATCH_STEPS) / MATCH_STEPS
    elif name == "found":
        array[:] = -1
    return array


def aligned_zeros(shape: tuple[int, ...], dtype: type[Any], alignment: int = 64) -> Array:
    """Zeros that begin where a processor's line of memory does, so that a context's buckets lie in one."""
    width = np.dtype(dtype).itemsize
    count = int(np.prod(shape))
    room = np.zeros(count + alignment // width, dtype)
    skipped = -room.ctypes.data % alignment // width
    return room[skipped : skipped + count].reshape(shape)


def _at(*arrays: Array) -> list[int]:
    """Where arrays lie; each must be one piece of memory."""
    assert all(array.flags.c_contiguous for array in arrays)
    return [array.ctypes.data for array in arrays]


def _pointers(log_p: Sequence[Float32 | None], shape: tuple[int, ...]) -> tuple[list[Any], Any]:
    """The arrays as the functions in C take them, which must be held while one runs, and where they lie."""
    held = [None if one is None else np.ascontiguousarray(one, np.float32) for one in log_p]
    assert all(one is None or one.shape == shape for one in held)
    return held, (ctypes.c_void_p * max(1, len(held)))(*(None if one is None else one.ctypes.data for one in held))
