"""What native/mixing.c does, in Python: the equations to read, which run, slowly, where that was not built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from seqtool.counts.gates.gates import Gates

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

BITS = (1 << 64) - 1
MOST = 31  # of each decision in a counter
LEAST_MASS = 2e-6
LEAST = (20, 12, 6)  # tokens of a match
BEFORE = np.array([4, 16, 64, 256, 1024, 4096, 12000])  # ends of ages, in units of 64 tokens
MATCH_LENGTHS = (1, 8, 12, 16, 20, 24, 32)
REACH, WORD, LETTERS, COLUMN, OPENING, LINE, HEADING, BLANK, AT, LENGTH = 24, 24, 28, 29, 30, 31, 32, 33, 34, 37


def hashed(a: int, b: int) -> int:
    """64 bits in which every bit of both has a part; a may be negative, as a signed number of 64 bits."""
    h = ((a & BITS) ^ ((b & BITS) * 0x9E3779B97F4A7C15 & BITS)) * 0xFF51AFD7ED558CCD & BITS
    h ^= h >> 32
    h = h * 0xC4CEB9FE1A85EC53 & BITS
    return h ^ (h >> 29)


def counted(counter: int, bit: int) -> int:
    """A counter after another decision.

    Its bits are, from the lowest on: 5 for how often left was taken, 5 for right, 1 for what was last, 5 for how many
    were seen (beyond 20 by chance: Morris 1978), 16 for the running mean.
    """
    counts, n = [counter & MOST, counter >> 5 & MOST], counter >> 11 & MOST
    counts[bit] = min(counts[bit] + 1, MOST)
    other = counts[1 - bit]
    if other > 2:
        counts[1 - bit] = max(2, 12 + (other - 25) // 4 if other > 25 else (other * 3 + 2) // 5)
    p = np.float32((counter >> 16) / 65536) if n else np.float32(0.5)
    seen = n if n < 20 else 20 + (n - 20) * 4 if n < 26 else 50 + (n - 26) * 16
    p += (np.float32(bit) - p) / np.float32(seen + np.float32(1.6))
    p = min(max(p, np.float32(0.0005)), np.float32(0.9995))
    draw = counter * 2654435761 & 0xFFFFFFFF
    n += n < 20 or (n < 26 and not draw >> 30) or (n < MOST and not draw >> 28)
    return counts[0] | counts[1] << 5 | bit << 10 | n << 11 | int(p * np.float32(65536)) << 16


@dataclass
class _Token:
    """What a token's decisions share."""

    hashes: list[int]
    masses: list[npt.NDArray[np.float64] | None]
    entropy: int
    symbols: list[int]
    match: int
    buckets: list[npt.NDArray[np.uint32] | None] = field(default_factory=list)
    ages: list[int] = field(default_factory=list)


@dataclass
class _Decision:
    """One decision: what was used, and what came of it."""

    inputs: Float32
    maps: list[tuple[int, int, Place] | None]  # of each context: its kind, the counter's history, the mean's place
    matches: list[tuple[int, int, int] | None]  # of each match: itself, its step, what it foretells
    rows: list[int]
    last_rows: list[int]
    stages: list[Place]
    dots: Float32
    lasts: Float32
    p: float


Place = tuple[int, int, float]
"""A row of a map, a point of it, and how far behind that point."""


def read(gates: Gates, state_F: Int64, ids_T: Int64, log_p: Sequence[Float32 | None], learn: bool) -> Float32:
    """-log p of each id, (T,), the state moved behind them."""
    nats_T = np.zeros(len(ids_T), np.float32)
    spelling = gates.spelling
    for t, wanted in enumerate(ids_T.tolist()):
        token = _begin(gates, state_F, [None if one is None else one[t] for one in log_p])
        path, node, place, mass = int(spelling.paths[wanted]), 0, 1, 1.0
        for depth in range(int(spelling.depths[wanted])):
            if depth % 2 == 0:
                place = 1
                _find_buckets(gates, token, node, learn)
            bit = path >> depth & 1
            decision = _decide(gates, state_F, token, node, depth, place, path)
            right = _chance(gates, node, mass, decision.p)
            mass *= right if bit else 1 - right
            if learn:
                _learn(gates, token, place, bit, decision)
            node, place = int(spelling.children[node, bit]), 2 * place + bit
        nats_T[t] = -math.log(mass)
        advance(gates, state_F, wanted, learn)
    return nats_T


def advance_all(gates: Gates, state_F: Int64, ids_T: Int64) -> None:
    """Move a state behind some ids."""
    for token in ids_T.tolist():
        advance(gates, state_F, token, False)


def next_log_p(gates: Gates, state_F: Int64, log_p: Sequence[Float32 | None]) -> Float32:
    """log p of every next token, (V,)."""
    out_V = np.zeros(gates.vocab_size, np.float32)
    token = _begin(gates, state_F, log_p)
    open_nodes = [(0, 0, 0, 1.0, 1, 0)]
    while open_nodes:
        node, depth, path, mass, place, top = open_nodes.pop()
        if node < 0:
            out_V[~node] = math.log(mass)
            continue
        if depth % 2 == 0:
            place, top = 1, node
        _find_buckets(gates, token, top, False)
        right = _chance(gates, node, mass, _decide(gates, state_F, token, node, depth, place, path).p)
        for bit in (0, 1):
            child, below = int(gates.spelling.children[node, bit]), mass * (right if bit else 1 - right)
            open_nodes.append((child, depth + 1, path | bit << depth, below, 2 * place + bit, top))
    return out_V


def _chance(gates: Gates, node: int, mass: float, mixed: float) -> float:
    """p(right) at a node that is reached with a probability of `mass`."""
    if mass > LEAST_MASS:
        return mixed
    first, middle, end = gates.fixed["before"][gates.spelling.spans[node]].tolist()
    return float((end - middle) / (end - first))


def _followers(newest: int, before: int) -> tuple[int, int]:
    """Where in `followed` lies what followed a token; or two, if `before` is one."""
    return int(before >= 0), hashed(newest, before + 1) & 0xFFFF


def _hash_contexts(gates: Gates, state: list[int]) -> list[int]:
    followed = gates.arrays["followed"]
    one = int(followed[_followers(state[0], -1)])
    two = int(followed[_followers(state[0], state[1])])
    values = [token + 1 for token in state[:16]]
    values += [*state[WORD : WORD + 4], min(state[COLUMN], 40), state[OPENING], state[HEADING]]
    values += [one & 0xFFFFFFFF, one & 0xFFFFFFFFFFFF, two & 0xFFFFFFFF, two & 0xFFFFFFFFFFFF]
    hashes = []
    for mask in gates.fixed["masks"].tolist():
        h = mask
        for number, value in enumerate(values):
            if mask >> number & 1:
                h = hashed(h, value)
        hashes.append(h)
    return hashes


def _begin(gates: Gates, state_F: Int64, log_p: Sequence[Float32 | None]) -> _Token:
    state = state_F.tolist()
    masses: list[npt.NDArray[np.float64] | None] = []
    entropy = 15
    for number, log_p_V in enumerate(log_p):
        if log_p_V is None:
            masses.append(None)
            continue
        clipped = np.clip(np.nan_to_num(log_p_V, nan=-80), -80, 0)[gates.spelling.leaves].astype(np.float64)
        p = np.exp(clipped)
        masses.append(np.concatenate([[0.0], np.cumsum(p)]))
        if number == 0:
            entropy = int(np.clip(-(p * clipped).sum() * 4, 0, 14))
    lengths = state[LENGTH : LENGTH + 3]
    past = gates.arrays["past"]
    symbols = [int(past[at]) if length else -1 for at, length in zip(state[AT : AT + 3], lengths, strict=True)]
    longest = next((length for length in lengths if length), 0)
    match = sum(longest >= least for least in MATCH_LENGTHS)
    return _Token(_hash_contexts(gates, state), masses, entropy, symbols, match)


def _find_buckets(gates: Gates, token: _Token, node: int, make: bool) -> None:
    """The bucket of each context at a node; none where it was not met and none is to be made."""
    table = gates.arrays["table"]
    now = gates.past_count >> 6 & 0xFFFF
    token.buckets, token.ages = [], []
    for context in token.hashes:
        h = hashed(context, node + 7)
        check, line = (h >> 48) or 1, h & (len(table) - 1) & ~3
        ways = [line + ((h >> 40) + way & 3) for way in range(4)]
        found = next((way for way in ways if int(table[way, 0]) & 0xFFFF == check), None)
        token.ages.append(7)
        if found is not None:
            token.ages[-1] = int(np.count_nonzero((now - (int(table[found, 0]) >> 16) & 0xFFFF) >= BEFORE))
        elif make:
            counts = [1 + (int(own[1]) & MOST) + (int(own[1]) >> 5 & MOST) if own[0] else 0 for own in table[ways]]
            found = ways[counts.index(min(counts))]
            table[found] = 0
        if make and found is not None:
            table[found, 0] = check | now << 16
        token.buckets.append(None if found is None else table[found])


def _squash(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.float32(x)))


def _place(row: int, x: float) -> Place:
    at = min(max((x + 8) * 2, 0), 33 - 1.001)
    return row, int(at), at - int(at)


def _value(map: Float32, place: Place) -> float:
    row, point, part = place
    return float(map[row, point] * (1 - part) + map[row, point + 1] * part)


def _move(map: Float32, place: Place, bit: int, rate: float) -> None:
    row, point, part = place
    for at, share in ((point, 1 - part), (point + 1, part)):
        map[row, at] = np.clip(map[row, at] + (bit - map[row, at]) * rate * share, 1e-4, 1 - 1e-4)


def _decide(gates: Gates, state_F: Int64, token: _Token, node: int, depth: int, place: int, path: int) -> _Decision:
    """p(right) at a node, from all inputs."""
    arrays, spelling = gates.arrays, gates.spelling
    table = gates.fixed["stretched"]
    state = state_F.tolist()
    contexts = len(token.hashes)
    inputs = np.zeros(arrays["weights"].shape[1], np.float32)

    def stretch(p: float) -> float:
        return float(table[int(np.float32(p) * np.float32(4095.999))])

    matched = certain = 0
    maps: list[tuple[int, int, Place] | None] = []
    for c, (bucket, age) in enumerate(zip(token.buckets, token.ages, strict=True)):
        counter = 0 if bucket is None else int(bucket[place])
        maps.append(None)
        if not counter:
            continue
        kind = c * 8 + age
        chance = _place(kind * 32 + (counter >> 11 & MOST), stretch((counter >> 16) / 65536))
        maps[-1] = kind, counter & 2047, chance
        inputs[c] = stretch(arrays["maps"][kind, counter & 2047])
        inputs[contexts + c] = stretch(_value(arrays["chances"], chance))
        if 0 < c <= 7:
            matched, certain = c, certain + (not counter & MOST or not counter >> 5 & MOST)
    told = 0.0
    first, middle, end = spelling.spans[node].tolist()
    for m, mass in enumerate(token.masses):
        if mass is None:
            continue
        p = np.clip((mass[end] - mass[middle] + 1e-7) / (mass[end] - mass[first] + 2e-7), 1e-6, 1 - 1e-6)
        inputs[2 * contexts + m] = math.log(p / (1 - p))
        if m == 0:
            told = float(inputs[2 * contexts])
    matches: list[tuple[int, int, int] | None] = []
    for m, symbol in enumerate(token.symbols):
        matches.append(None)
        if symbol < 0 or spelling.depths[symbol] <= depth:
            continue
        own = int(spelling.paths[symbol])
        if (own ^ path) & (1 << depth) - 1:
            continue
        length = state[LENGTH + m]
        step, foretold = min(length if length < 32 else 32 + (length - 32) // 8, 63), own >> depth & 1
        matches[-1] = m, step, foretold
        x = stretch(arrays["match_maps"][m, step])
        inputs[2 * contexts + gates.models + m] = x if foretold else -x
    inputs[2 * contexts + gates.models + 3] = 0.3

    newest, before, column, letters = state[0], state[1], state[COLUMN], state[LETTERS]
    named, sure = min(node, 1023), int(min(max(told + 8, 0), 15))
    chosen = [
        matched * 16 + min(certain, 15),
        named,
        token.entropy * 16 + sure,
        newest & 1023,
        min(depth, 39) * 8 + token.match,
        min(letters, 15) * 8 + token.match,
        matched * 24 + min(column, 23),
        (token.entropy * 8 + token.match) * 16 + matched,
        before & 1023,
        hashed(newest, node) & 4095,
        hashed(hashed(newest, before), depth) & 4095,
        hashed(state[WORD], depth) & 4095,
        min(column, 63) * 8 + min(depth, 7),
        hashed(state[WORD + 1], letters) & 4095,
    ]
    rows = (gates.fixed["rows"] + chosen).tolist()
    dots = np.clip(arrays["weights"][rows] @ inputs, -15, 15)
    last_rows = [named * 16 + matched, 1024 * 16 + token.match * 16 + matched, 1024 * 16 + 8 * 16 + (newest & 1023)]
    lasts = arrays["last"][last_rows] @ dots
    mixed = float(lasts.mean())
    places = [
        named,
        1024 + (hashed(newest, node) & 0xFFFF),
        1024 + 0x10000 + (hashed(hashed(newest, before + 1), node) & 0xFFFF),
    ]
    stages = [_place(row, mixed) for row in places]
    p = 0.4 * float(_squash(mixed)) + 0.2 * sum(_value(arrays["stages"], stage) for stage in stages)
    return _Decision(inputs, maps, matches, rows, last_rows, stages, dots, lasts, min(max(p, 1e-6), 1 - 1e-6))


def _learn(gates: Gates, token: _Token, place: int, bit: int, d: _Decision) -> None:
    """Learn how a decision was."""
    arrays = gates.arrays
    from seqtool.counts.gates.gates import LAST_RATE

    arrays["last"][d.last_rows] += ((bit - _squash(d.lasts)) * LAST_RATE)[:, None] * d.dots
    arrays["weights"][d.rows] += ((bit - _squash(d.dots)) * np.float32(gates.rate))[:, None] * d.inputs
    for stage in d.stages:
        _move(arrays["stages"], stage, bit, 0.02)
    for told in d.matches:
        if told is not None:
            m, step, foretold = told
            was = arrays["match_maps"][m, step]
            arrays["match_maps"][m, step] = np.clip(was + ((foretold == bit) - was) * 0.005, 1e-4, 1 - 1e-4)
    for used, bucket in zip(d.maps, token.buckets, strict=True):
        if used is not None:
            kind, history, chance = used
            was = arrays["maps"][kind, history]
            arrays["maps"][kind, history] = np.clip(was + (bit - was) * 0.004, 1e-4, 1 - 1e-4)
            _move(arrays["chances"], chance, bit, 0.01)
        assert bucket is not None
        bucket[place] = counted(int(bucket[place]), bit)


def advance(gates: Gates, state_F: Int64, token: int, learn: bool) -> None:
    """Move a state behind one more token, which goes to what was read if `learn`."""
    arrays, past = gates.arrays, gates.arrays["past"]
    state = state_F.tolist()
    if learn:
        followed = arrays["followed"]
        for place in (_followers(state[0], -1), _followers(state[0], state[1])):
            followed[place] = int(followed[place]) << 16 & BITS | token & 0xFFFF
        past[gates.past_count] = token
        gates.past_count += 1
    state[:REACH] = [token, *state[: REACH - 1]]
    in_word, kind = int(arrays["words"][token]), int(arrays["kinds"][token])
    if (not in_word or kind & 1) and state[LETTERS]:
        state[WORD : WORD + 4] = [0, *state[WORD : WORD + 3]]
        state[LETTERS] = 0
    if in_word:
        state[WORD] = hashed(state[WORD], in_word)
        state[LETTERS] += 1
    if kind & 2:
        if state[COLUMN] and state[BLANK]:
            state[HEADING] = state[LINE]
        state[BLANK] = int(not state[COLUMN])
        state[COLUMN] = state[LINE] = state[OPENING] = 0
    else:
        state[LINE] = hashed(state[LINE], token)
        state[COLUMN] += 1
        if state[COLUMN] <= 4:
            state[OPENING] = state[LINE]
    h = done = 0
    for m in (2, 1, 0):
        at, length = state[AT + m], state[LENGTH + m]
        at, length = (at + 1, length + 1) if length and past[at] == token else (at, 0)
        for newer in state[done : LEAST[m]]:
            h = hashed(h, newer + 1)
        done = LEAST[m]
        place = m, h & arrays["found"].shape[1] - 1
        found = int(arrays["found"][place])
        if not length and found >= 0:
            reach = min(REACH, found)
            same = 0
            while same < reach and past[found - 1 - same] == state[same]:
                same += 1
            if same >= LEAST[m]:
                at, length = found, same
        if at >= gates.past_count:
            at = length = 0
        state[AT + m], state[LENGTH + m] = at, length
        if learn:
            arrays["found"][place] = gates.past_count
    signed = [value - (1 << 64) if value >= 1 << 63 else value for value in state]
    state_F[:] = signed
