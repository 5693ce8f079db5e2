r"""From a regular expression to a deterministic automaton over bytes.

    expression ──> syntax tree ──> Thompson's automaton ──> deterministic, over classes of characters ──> over bytes

Python's own parser reads the expression. Each construct of the tree becomes a few states of a non-deterministic
automaton (Thompson 1968, Regular expression search algorithm); the sets of its states that a text can lead to are the
states of a deterministic one (Rabin & Scott 1959, Finite automata and their decision problems). So far the automaton
reads classes of characters that no part of the expression tells apart; at the end each of its moves is spelled in
UTF-8.

Banned texts make another automaton (Aho & Corasick 1975, Efficient string matching); the product of both accepts what
each of them accepts.

Shapes: S states of the byte automaton.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import re
import warnings
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.errors import SeqtoolError, UsageError

Ranges = list[tuple[int, int]]  # code points from the first number up to, not including, the second; sorted, disjoint
Ints = npt.NDArray[np.int32]

UNICODE_SIZE = 0x110000
SURROGATES = 0xD800, 0xE000  # no characters: UTF-8 has no spelling for them
UNBOUNDED = (1 << 32) - 1  # the most that * and + repeat, as Python's parser writes it
MAX_PATTERN_CHARACTERS = 100_000
MAX_BUILD_STEPS = 1_000_000  # about a second, and about a hundred megabytes
MAX_STATES = 32_000  # of the byte automaton: a table of 33 MB, and distances that fit in 16 bits
DEAD = 0  # the state from which nothing matches
START = 1
SPACE_MARK = 0xFF  # no byte of UTF-8: the space with which a word begins, unless it is the first

CATEGORIES = {
    f"CATEGORY_{'NOT_' * letter.isupper()}{name}": f"\\{letter}"
    for name, letters in {"DIGIT": "dD", "SPACE": "sS", "WORD": "wW"}.items()
    for letter in letters
}
REFUSED = {  # by the parser's name: the user's name for it, and what to write instead
    "ASSERT": ("lookahead and lookbehind", "write out the texts that may stand there"),
    "ASSERT_NOT": ("lookahead and lookbehind", "write out the texts that may stand there"),
    "FAILURE": ("lookahead and lookbehind", "write out the texts that may stand there"),
    "GROUPREF": ("backreferences", "write out the texts that may be repeated as alternatives"),
    "GROUPREF_EXISTS": ("conditional groups", "write out both cases as alternatives"),
    "POSSESSIVE_REPEAT": ("possessive quantifiers", "leave out the + after the quantifier"),
    "ATOMIC_GROUP": ("atomic groups", "write (?:...)"),
    "AT_BOUNDARY": (r"the word boundary \b", "write out the characters that may stand there"),
    "AT_NON_BOUNDARY": (r"the non-boundary \B", "write out the characters that may stand there"),
    "AT": ("anchors inside the expression", "leave them out: the whole text has to match"),
}


def byte_automaton(pattern: str) -> tuple[Ints, list[int]]:
    """The table (S, 256) of the state that each byte leads to from each state, and the states of texts that match as a
    whole. START is the state of the empty text, DEAD that from which nothing matches.

    UsageError when the expression cannot be read or is too large.
    """
    allowance = _Allowance(pattern)
    moves, accepting, class_of = _characters_automaton(pattern, allowance)
    return _in_bytes(moves, class_of, allowance), [state + 1 for state, accepts in enumerate(accepting) if accepts]


def avoiding(texts: Sequence[str]) -> tuple[Ints, list[int]]:
    """The automaton, as `byte_automaton` gives it, of the texts in which none of these appears.

    UsageError when they are too large.
    """
    spelled = [text.encode() for text in texts]
    if sum(map(len, spelled)) > MAX_STATES - 2:
        raise UsageError(f"--ban: texts of {sum(map(len, spelled)):,} bytes in all; at most {MAX_STATES - 2:,}")
    children, ends = _trie(spelled)
    table = np.zeros((len(children), 256), dtype=np.int32)
    table[START] = START
    shorter = {START: START}  # the state of the longest proper suffix of each state's text that is in the tree
    waiting, alive = deque([START]), []
    while waiting:
        state = waiting.popleft()
        alive.append(state)
        behind = table[shorter[state]].copy()
        table[state] = behind
        for byte, child in children[state].items():
            table[state, byte] = child
            shorter[child] = START if state == START else int(behind[byte])
            if child in ends or shorter[child] == DEAD:
                table[state, byte] = DEAD
            else:
                waiting.append(child)
    return table, alive


def _trie(texts: Sequence[bytes]) -> tuple[list[dict[int, int]], set[int]]:
    """The prefix tree of some texts: the children of each state, {byte: state}, and the states of whole texts.

    Its root is START; DEAD has no children.
    """
    children: list[dict[int, int]] = [{}, {}]
    ends: set[int] = set()
    for text in texts:
        state = START
        for byte in text:
            if byte not in children[state]:
                children[state][byte] = len(children)
                children.append({})
            state = children[state][byte]
        ends.add(state)
    return children, ends


def both(one: tuple[Ints, list[int]], other: tuple[Ints, list[int]]) -> tuple[Ints, list[int]]:
    """The automaton of the texts that two automata both accept; UsageError when it is too large."""
    width = len(other[0])
    numbers = {START * width + START: START}
    rows, accepting = [np.zeros(256, dtype=np.int32)], []
    ends, also_ends = set(one[1]), set(other[1])
    waiting = deque(numbers)
    while waiting:
        state, partner = divmod(waiting.popleft(), width)
        if state in ends and partner in also_ends:
            accepting.append(len(rows))
        targets, partners = one[0][state].astype(np.int64), other[0][partner]
        pairs = np.where((targets == DEAD) | (partners == DEAD), DEAD, targets * width + partners)
        different, which = np.unique(pairs, return_inverse=True)
        for pair in different.tolist():
            if pair != DEAD and pair not in numbers:
                numbers[pair] = len(numbers) + 1
                waiting.append(pair)
        rows.append(np.array([numbers.get(pair, DEAD) for pair in different.tolist()], dtype=np.int32)[which])
        if len(numbers) >= MAX_STATES:
            raise UsageError(
                "--constrain and --ban together are too large an automaton: ban fewer texts or match fewer"
            )
    return np.stack(rows), accepting


def at_first(state: int, states: int) -> int:
    """The counterpart of a state in the second half of the table that `with_marks` makes of one of `states` states."""
    return states + state


def with_marks(table: Ints, lines: bool) -> Ints:
    """The table that reads a SPACE_MARK as a space, but as nothing at the beginning of the text and, with `lines`, of
    each line; (2 S, 256). In the states of its second half the next word is the first.
    """
    states = len(table)
    doubled = np.concatenate([table, table])
    doubled[:states, SPACE_MARK] = table[:, ord(" ")]
    doubled[states:, SPACE_MARK] = np.arange(states)
    if lines:
        newline = table[:, ord("\n")]
        doubled[:, ord("\n")] = np.tile(np.where(newline == DEAD, DEAD, at_first(0, states) + newline), 2)
    return doubled


class _Allowance:
    """How many steps building an automaton may still take, so that too large a one is refused before it is built."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.left = pattern, MAX_BUILD_STEPS

    def spend(self, steps: int) -> None:
        self.left -= steps
        self.require(self.left >= 0)

    def require(self, fits: bool) -> None:
        if not fits:
            raise UsageError(
                f"--constrain {shortened(self.pattern)} is too large an automaton: use smaller counted repeats "
                r"{m,n}, * or + for large ones, and [A-Za-z0-9_] or (?a) for Unicode's \w and \d"
            )


def shortened(pattern: str) -> str:
    """An expression as a message shows it."""
    return repr(pattern if len(pattern) <= 60 else pattern[:57] + "...")


def _parse(pattern: str) -> tuple[list[tuple[Any, Any]], int]:
    """Python's syntax tree of an expression, a list of (operation, argument), and its flags."""
    try:
        parser = importlib.import_module("re._parser")
    except ImportError as error:
        raise SeqtoolError("--constrain needs re._parser, which this Python lacks: use CPython 3.11 to 3.14") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about syntax whose meaning may change one day
            parsed = parser.parse(pattern)
    except (re.error, OverflowError, ValueError) as error:
        raise UsageError(f"--constrain {shortened(pattern)} is not a regular expression: {error}") from error
    return list(parsed), parsed.state.flags


def _characters_automaton(pattern: str, allowance: _Allowance) -> tuple[list[dict[int, int]], list[bool], Ints]:
    """The deterministic automaton over classes of characters: the moves of each state, {class: state}, and whether it
    accepts; and the class of each code point, 0 for one that is in no set of the expression.
    """
    allowance.require(len(pattern) <= MAX_PATTERN_CHARACTERS)
    automaton = _Nondeterministic(allowance)
    try:
        tree, flags = _parse(pattern)
        # Anchors at both ends change nothing: the whole text has to match.
        while tree and tree[0][0].name == "AT" and tree[0][1].name in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
            del tree[0]
        while tree and tree[-1][0].name == "AT" and tree[-1][1].name in ("AT_END", "AT_END_STRING"):
            del tree[-1]
        final = automaton.add(tree, automaton.new_state(), flags)
    except RecursionError as error:
        raise UsageError(f"--constrain {shortened(pattern)} nests its groups too deeply: use fewer") from error
    classes_of_set, class_of = _classes([ranges for _, ranges in automaton.sets.values()], allowance)
    return *_determinize(automaton, final, classes_of_set, allowance), class_of


class _Nondeterministic:
    """Thompson's automaton: a state leads to some others without reading, or reads a character of one set."""

    def __init__(self, allowance: _Allowance) -> None:
        self.allowance = allowance
        self.free: list[list[int]] = []
        self.reads: list[tuple[int, int] | None] = []  # the number of a set, and the state that follows
        self.sets: dict[Any, tuple[int, Ranges]] = {}

    def new_state(self) -> int:
        self.allowance.spend(3)  # for the memory that it takes
        self.free.append([])
        self.reads.append(None)
        return len(self.free) - 1

    def add(self, tree: Iterable[tuple[Any, Any]], state: int, flags: int) -> int:
        """Add states that read a syntax tree, from `state` on; the state behind it.

        A state reads for one construct only: each begins in the new state that ended the one before.
        """
        for operation, argument in tree:
            self.allowance.spend(1)
            match operation.name:
                case "LITERAL":
                    state = self._add_set([(operation.name, argument)], state, flags)
                case "NOT_LITERAL":
                    state = self._add_set([("NEGATE", None), ("LITERAL", argument)], state, flags)
                case "ANY":
                    newline = [] if flags & re.DOTALL else [("LITERAL", ord("\n"))]
                    state = self._add_set([("NEGATE", None), *newline], state, 0)
                case "IN":
                    state = self._add_set([(kind.name, value) for kind, value in argument], state, flags)
                case "SUBPATTERN":
                    _, more, fewer, body = argument
                    kept = flags & ~(re.ASCII | re.UNICODE) if more & (re.ASCII | re.UNICODE) else flags
                    state = self.add(body, state, (kept | more) & ~fewer)
                case "BRANCH":
                    ends = [self.add(body, self._new_state_after(state), flags) for body in argument[1]]
                    state = self._new_state_after(*ends)
                case "MAX_REPEAT" | "MIN_REPEAT":  # greedy or lazy: the same texts match
                    state = self._add_repeat(argument, state, flags)
                case name:
                    kind = getattr(argument, "name", name)  # of an anchor
                    what, instead = REFUSED.get(kind) or REFUSED.get(name, (name, "leave it out"))
                    raise UsageError(f"--constrain does not support {what}: {instead}")
        return state

    def _new_state_after(self, *states: int) -> int:
        new = self.new_state()
        for state in states:
            self.free[state].append(new)
        return new

    def _add_set(self, items: list[tuple[str, Any]], state: int, flags: int) -> int:
        key = (*items, flags & (re.ASCII | re.IGNORECASE))
        if key not in self.sets:
            self.sets[key] = len(self.sets), _code_points(items, flags, self.allowance)
        end = self.new_state()
        self.reads[state] = self.sets[key][0], end
        return end

    def _add_repeat(self, argument: tuple[int, int, Any], state: int, flags: int) -> int:
        fewest, most, body = argument
        for _ in range(fewest):
            state = self.add(body, self._new_state_after(state), flags)
        if most >= UNBOUNDED:
            begin = self._new_state_after(state)
            self.free[self.add(body, begin, flags)].append(begin)
            return self._new_state_after(begin)
        ends = [state]
        for _ in range(most - fewest):
            ends.append(self.add(body, self._new_state_after(ends[-1]), flags))
        return self._new_state_after(*ends)


def _code_points(items: list[tuple[str, Any]], flags: int, allowance: _Allowance) -> Ranges:
    """The code points in a set of the syntax tree, [(kind, value)]."""
    ranges: Ranges = []
    for kind, value in items:
        match kind:
            case "LITERAL":
                ranges.append((value, value + 1))
            case "RANGE":
                ranges.append((value[0], value[1] + 1))
            case "CATEGORY":
                ranges += _matching(CATEGORIES[value.name], flags & re.ASCII)
    allowance.spend(len(ranges))
    ranges = _complement(_union(ranges)) if items[0][0] == "NEGATE" else _union(ranges)
    if not flags & re.IGNORECASE:
        return ranges
    # Of the few characters that have a case, re itself says which match.
    cased, characters = _cased()
    allowance.spend(len(characters))
    fixed = _complement(_union(_complement(ranges) + cased))
    found = re.finditer(_source(items), characters, flags & (re.ASCII | re.IGNORECASE))
    return _union(fixed + [(ord(match[0]), ord(match[0]) + 1) for match in found])


def _source(items: list[tuple[str, Any]]) -> str:
    """A set of the syntax tree as an expression."""
    parts = {
        "NEGATE": lambda _: "^",
        "LITERAL": lambda value: f"\\U{value:08x}",
        "RANGE": lambda value: f"\\U{value[0]:08x}-\\U{value[1]:08x}",
        "CATEGORY": lambda value: CATEGORIES[value.name],
    }
    return "[" + "".join(parts[kind](value) for kind, value in items) + "]"


def _union(ranges: Ranges) -> Ranges:
    union: Ranges = []
    for start, end in sorted(ranges):
        if union and start <= union[-1][1]:
            union[-1] = union[-1][0], max(end, union[-1][1])
        else:
            union.append((start, end))
    return union


def _complement(ranges: Ranges) -> Ranges:
    edges = [0, *itertools.chain.from_iterable(ranges), UNICODE_SIZE]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]


@functools.cache
def _matching(source: str, flags: int) -> Ranges:
    """The code points that an expression for one character matches."""
    every = np.arange(UNICODE_SIZE, dtype=np.uint32).tobytes().decode("utf-32-le", "surrogatepass")
    return [match.span() for match in re.finditer(f"{source}+", every, flags)]


@functools.cache
def _cased() -> tuple[Ranges, str]:
    """The characters that differ from their upper or lower case, as ranges and as a text."""
    text = "".join(char for char in map(chr, range(UNICODE_SIZE)) if not char.lower() == char == char.upper())
    return _union([(ord(char), ord(char) + 1) for char in text]), text


def _classes(sets: Sequence[Ranges], allowance: _Allowance) -> tuple[list[list[int]], Ints]:
    """Divide all code points into classes, each of the code points that are in the same sets; the classes of each set,
    and the class of each code point. Class 0 is in no set.
    """
    changes: dict[int, set[int]] = defaultdict(set)
    for number, ranges in enumerate(sets):
        for edge in itertools.chain.from_iterable(ranges):
            changes[edge] ^= {number}
    classes: dict[frozenset[int], int] = {frozenset(): 0}
    class_of = np.zeros(UNICODE_SIZE, dtype=np.int32)
    current: frozenset[int] = frozenset()
    for start, end in itertools.pairwise(sorted({*changes, *SURROGATES, UNICODE_SIZE})):
        current ^= changes.get(start, set())
        allowance.spend(1 + len(current))
        if not SURROGATES[0] <= start < SURROGATES[1]:
            class_of[start:end] = classes.setdefault(current, len(classes))
    classes_of_set: list[list[int]] = [[] for _ in sets]
    for members, number in classes.items():
        for member in members:
            classes_of_set[member].append(number)
    return classes_of_set, class_of


def _determinize(
    automaton: _Nondeterministic, final: int, classes_of_set: list[list[int]], allowance: _Allowance
) -> tuple[list[dict[int, int]], list[bool]]:
    """The moves of each state and whether it accepts, by Rabin and Scott's subset construction; 0 is the start."""

    @functools.cache
    def reachable_freely(state: int) -> frozenset[int]:
        """The states that it leads to without reading, itself included, as far as they read or are final."""
        seen, waiting = {state}, [state]
        while waiting:
            allowance.spend(1)
            new = [follower for follower in automaton.free[waiting.pop()] if follower not in seen]
            seen.update(new)
            waiting += new
        return frozenset(one for one in seen if automaton.reads[one] or one == final)

    start = reachable_freely(0)
    numbers = {start: 0}
    moves: list[dict[int, int]] = []
    waiting = deque([start])
    while waiting:
        follows: dict[int, set[int]] = defaultdict(set)
        for state in waiting.popleft():
            if read := automaton.reads[state]:
                following = reachable_freely(read[1])
                allowance.spend(len(classes_of_set[read[0]]) * (1 + len(following)))
                for number in classes_of_set[read[0]]:
                    follows[number] |= following
        allowance.require(len(numbers) <= MAX_STATES)
        moves.append({})
        for number, states in follows.items():
            subset = frozenset(states)
            if subset not in numbers:
                numbers[subset] = len(numbers)
                waiting.append(subset)
            moves[-1][number] = numbers[subset]
    return moves, [final in subset for subset in numbers]


def _in_bytes(moves: list[dict[int, int]], class_of: Ints, allowance: _Allowance) -> Ints:
    """Spell each move in UTF-8; (S, 256). State s of the automaton over characters is s + 1, and 0 is dead.

    UTF-8 writes a number in base 64: its first byte says how many further bytes follow, each of them a digit. So from
    the last digit up to the first, each block of `_utf8_blocks` becomes a state: the same one wherever the same states
    follow.
    """
    blocks = _utf8_blocks(class_of)
    inner: dict[bytes, int] = {}

    def number(rows: Ints) -> Ints:
        numbers = np.zeros(len(rows), dtype=np.int32)
        for index in np.flatnonzero(rows.any(axis=1)).tolist():
            numbers[index] = inner.setdefault(rows[index].tobytes(), len(moves) + 1 + len(inner))
        allowance.require(len(moves) + len(inner) < MAX_STATES)
        return numbers

    allowance.require(len(moves) < MAX_STATES)
    roots = np.zeros((len(moves) + 1, 256), dtype=np.int32)
    target_of_class = np.zeros(int(class_of.max()) + 1, dtype=np.int32)
    for state, move in enumerate(moves, start=1):
        allowance.spend(len(blocks.last) + len(blocks.second_last) + len(blocks.third_last))
        target_of_class[:] = DEAD
        target_of_class[list(move)] = [target + 1 for target in move.values()]
        state_1 = number(target_of_class[blocks.last])
        state_2 = number(state_1[blocks.second_last])
        state_3 = number(state_2[blocks.third_last])
        roots[state, :0x80] = target_of_class[class_of[:0x80]]
        roots[state, 0xC2:0xE0] = state_1[blocks.behind_first_of_2]
        roots[state, 0xE0:0xF0] = state_2[blocks.behind_first_of_3]
        roots[state, 0xF0:0xF5] = state_3[blocks.behind_first_of_4]
    table = np.zeros((len(roots) + len(inner), 256), dtype=np.int32)
    table[: len(roots)] = roots
    table[len(roots) :, 0x80:0xC0] = np.frombuffer(b"".join(inner), dtype=np.int32).reshape(-1, 64)
    return table


class _Utf8Blocks(NamedTuple):
    """The classes of all code points as a tree in base 64, in which equal blocks of 64 are kept once.

    A row of `last` holds the class for each value of a character's last byte, a row of `second_last` and `third_last`
    the number of a block of the digit after it; row 0 is all zeros. `behind_first_of_N` holds the number of the block
    that follows each first byte of a character of N bytes.
    """

    last: Ints
    second_last: Ints
    third_last: Ints
    behind_first_of_2: Ints
    behind_first_of_3: Ints
    behind_first_of_4: Ints


def _utf8_blocks(class_of: Ints) -> _Utf8Blocks:
    last, one = _distinct(np.concatenate([class_of, np.zeros(5 * 64**3 - UNICODE_SIZE, np.int32)]).reshape(-1, 64))
    behind_first_of_2 = one[2:32].copy()
    one[:32] = 0  # what fewer bytes spell
    second_last, two = _distinct(one.reshape(-1, 64))
    behind_first_of_3 = two[:16].copy()
    two[:16] = 0
    third_last, behind_first_of_4 = _distinct(two.reshape(-1, 64))
    return _Utf8Blocks(last, second_last, third_last, behind_first_of_2, behind_first_of_3, behind_first_of_4)


def _distinct(rows: Ints) -> tuple[Ints, Ints]:
    """The distinct rows, the first of them zeros, and the number of each row among them."""
    numbers = {bytes(rows[0].nbytes): 0}
    which = [numbers.setdefault(row.tobytes(), len(numbers)) for row in rows]
    return np.frombuffer(b"".join(numbers), dtype=np.int32).reshape(-1, rows.shape[1]), np.array(which, dtype=np.int32)
