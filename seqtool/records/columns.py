"""What the columns of a table hold, and what each is for: told by one pass over the rows, in flat memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from seqtool.errors import InputError, UsageError
from seqtool.records.reading import Records
from seqtool.records.values import TIME, numbers_of
from seqtool.settings.choices import nearest

MAX_DISTINCT = 1000  # values of a column that are counted
MAX_VALUE_CHARACTERS = 1000  # a longer value is not counted: memory stays flat
BLOCK_ROWS, BLOCK_CHARACTERS = 4096, 1 << 22
TEXT_WORDS = 2.0  # a column of mostly different values with as many words is text
PROSE_WORDS = 5.0  # and with as many words it is text even if they repeat
ENOUGH_ROWS = 20  # among fewer, values that are all different mean nothing
ID_NAMES = ("id", "_id", "uuid", "guid")
SAME_NUMBER = 0.9999  # the correlation of two columns that say the same
SHOWN_COLUMNS, SHOWN_CHARACTERS = 20, 40  # in a message


@dataclass(frozen=True)
class Column:
    """The profile of a column.

    `numbers` of the `rows` are finite numbers, of which `mean`, `deviation` (of the population), `low` and `high` are
    told (nan: there are none). `counts` says how often each value occurs, the most frequent first; if there are `many`,
    it holds the first MAX_DISTINCT and `distinct` is -1. `words` is the mean number of words, `longest` in characters.
    `sequential`: each value is an integer, and the one before it plus 1.
    """

    name: str
    rows: int
    missing: int
    numbers: int
    distinct: int
    many: bool
    counts: dict[str, int]
    mean: float
    deviation: float
    low: float
    high: float
    words: float
    longest: int
    sequential: bool

    @property
    def present(self) -> int:
        """How many values there are."""
        return self.rows - self.missing

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers."""
        return 0 < self.numbers == self.present

    @property
    def all_different(self) -> bool:
        """Whether no value occurs twice, as far as values are counted."""
        return max(self.counts.values(), default=1) == 1

    @property
    def kind(self) -> str:
        """`numeric`, `categorical`, `text`, or why it is no input: `constant`, `index`, `identifier`, `time`."""
        if self.distinct in (0, 1):
            return "constant"
        if self.sequential:
            return "index"
        different = self.all_different and (self.many or self.present >= ENOUGH_ROWS)
        if self.numeric:
            return "identifier" if different and self.name.lower().endswith(ID_NAMES) else "numeric"
        if all(TIME.fullmatch(value) for value in self.counts) and self.counts:
            return "time"
        mostly = self.many or self.distinct > self.present / 2
        if self.words >= PROSE_WORDS or (self.words >= TEXT_WORDS and mostly):
            return "text"
        if different:
            return "identifier"
        return "numeric" if self.many and self.numbers > 0.95 * self.present else "categorical"


@dataclass(frozen=True)
class Roles:
    """What each column of a table is for; `told` says in words why columns are ignored that nobody asked to ignore."""

    target: tuple[str, ...]
    text: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    weight: str | None = None
    told: tuple[str, ...] = field(default=(), compare=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that predictions are made from."""
        return self.text + self.numeric + self.categorical


NO_INPUT = {
    "constant": "its values are all the same, or missing",
    "index": "it counts the rows",
    "identifier": "its values are all different: an identifier",
    "time": "it has times",
}
"""Why a column of such a kind is ignored."""


def profile(records: Records) -> list[Column]:
    """The profile of each column, without broken rows; InputError if there are no rows."""
    profiles = [_Profile(name) for name in records.columns]
    for block in value_blocks(records):
        for one, values in zip(profiles, zip(*block, strict=True), strict=True):
            one.add(values)
    if not profiles or not profiles[0].rows:
        raise InputError(f"{records.name} has no rows that can be read: give it some")
    return [one.column() for one in profiles]


def value_blocks(records: Records) -> Iterator[list[tuple[str | None, ...]]]:
    """The values of rows that are not broken, many rows at a time."""
    block: list[tuple[str | None, ...]] = []
    begun = 0
    for row in records.rows():
        if not row.problem:
            block.append(row.values)
        characters = records.characters
        if len(block) >= BLOCK_ROWS or not begun <= characters <= begun + BLOCK_CHARACTERS:
            begun = characters
            if block:
                yield block
                block = []
    if block:
        yield block


class _Profile:
    """What is known of a column so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = self.missing = self.words = self.longest = self.numbers = 0
        self.counts: dict[str, int] = {}
        self.many = False
        self.mean = self.squares = 0.0  # of the numbers, and of their differences from the mean
        self.low, self.high = math.inf, -math.inf
        self.sequential = True
        self.last = math.nan

    def add(self, values: Sequence[str | None]) -> None:
        """Further values."""
        present = [value for value in values if value is not None]
        self.rows += len(values)
        self.missing += len(values) - len(present)
        if not present:
            return
        counts = Counter(present)
        self._count(counts)
        self.longest = max(self.longest, max(map(len, counts)))
        numbers = numbers_of(present)
        finite = numbers[np.isfinite(numbers)]
        if len(finite) == len(present):
            self.words += len(present)
        else:
            self.words += sum(len(value.split()) * count for value, count in counts.items())
        if self.sequential:
            with np.errstate(over="ignore", invalid="ignore"):
                steps = np.diff(numbers, prepend=self.last if self.numbers else numbers[0] - 1)
            self.sequential = bool((steps == 1).all() and (numbers == np.floor(numbers)).all()) and not self.missing
            self.last = float(numbers[-1])
        if len(finite):
            self._sum(finite)

    def _count(self, counts: dict[str, int]) -> None:
        if self.many:
            for value in counts.keys() & self.counts.keys():
                self.counts[value] += counts[value]
            return
        for value, count in counts.items():
            if value in self.counts:
                self.counts[value] += count
            elif len(self.counts) < MAX_DISTINCT and len(value) <= MAX_VALUE_CHARACTERS:
                self.counts[value] = count
            else:
                self.many = True

    def _sum(self, numbers: np.ndarray) -> None:
        """Chan et al. 1979: the sums of squares of two parts, each about its mean, make that of the whole."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(numbers.mean())
            total = self.numbers + len(numbers)
            difference = mean - self.mean
            self.squares += (
                float(((numbers - mean) ** 2).sum()) + difference * difference * self.numbers * len(numbers) / total
            )
            self.mean += difference * len(numbers) / total
        self.numbers = total
        self.low, self.high = min(self.low, float(numbers.min())), max(self.high, float(numbers.max()))

    def column(self) -> Column:
        """The profile of all values."""
        some = self.numbers > 0
        present = self.rows - self.missing
        return Column(
            name=self.name,
            rows=self.rows,
            missing=self.missing,
            numbers=self.numbers,
            distinct=-1 if self.many else len(self.counts),
            many=self.many,
            counts=dict(sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))),
            mean=self.mean if some else math.nan,
            deviation=math.sqrt(self.squares / self.numbers) if some else math.nan,
            low=self.low if some else math.nan,
            high=self.high if some else math.nan,
            words=self.words / present if present else 0.0,
            longest=self.longest,
            sequential=self.sequential and self.rows > 1,
        )


def decide_roles(
    columns: Sequence[Column],
    *,
    target: str | Sequence[str],
    text: Sequence[str] = (),
    ignore: Sequence[str] = (),
    numeric: Sequence[str] = (),
    categorical: Sequence[str] = (),
    weight: str | None = None,
) -> Roles:
    """What each column is for: as asked, otherwise by its kind.

    A column of one value, an index of the rows, identifiers and times are ignored; identifiers are text, and an index
    is a number, if nothing else is left to predict from. UsageError for a column that there is not, or in two roles.
    """
    targets = (target,) if isinstance(target, str) else tuple(target)
    asked = {
        "--target": targets,
        "--text": tuple(text),
        "--numeric": tuple(numeric),
        "--categorical": tuple(categorical),
        "--ignore": tuple(ignore),
        "--weight": () if weight is None else (weight,),
    }
    flags: dict[str, str] = {}
    names = [column.name for column in columns]
    for flag, wanted in asked.items():
        for name in wanted:
            if name not in names:
                raise UsageError(f"{flag} {one_line(name)}: {no_column(name, names)}")
            if flags.setdefault(name, flag) != flag:
                raise UsageError(f"column {name!r} is named by {flags[name]} and {flag}: name it once")
    kinds = {column.name: column.kind for column in columns if column.name not in flags}
    if not (text or numeric or categorical) and not {"numeric", "categorical", "text"} & set(kinds.values()):
        otherwise = {"identifier": "text", "index": "numeric"}
        kinds = {name: otherwise.get(kind, kind) for name, kind in kinds.items()}
    told = tuple(f"{name} is ignored: {NO_INPUT[kind]}" for name, kind in kinds.items() if kind in NO_INPUT)

    def having(role: str) -> tuple[str, ...]:
        return tuple(name for name in names if flags.get(name) == f"--{role}" or kinds.get(name) == role)

    ignored = tuple(name for name in names if flags.get(name) == "--ignore" or kinds.get(name) in NO_INPUT)
    return Roles(targets, having("text"), having("numeric"), having("categorical"), ignored, weight, told)


def no_column(name: str, names: Sequence[str]) -> str:
    """There is no such column: the columns that there are, and the one that was perhaps meant."""
    meant = nearest(name, names)
    more = f" and {len(names) - SHOWN_COLUMNS:,} more" if len(names) > SHOWN_COLUMNS else ""
    shown = ", ".join(one_line(name) for name in names[:SHOWN_COLUMNS])
    return (
        f"there is no such column; {f'did you mean {one_line(meant)}? ' if meant else ''}the columns are {shown}{more}"
    )


def one_line(name: str) -> str:
    """A column's name as messages show it."""
    return " ".join(name.split())[:SHOWN_CHARACTERS]


def giveaways(records: Records, roles: Roles, columns: Sequence[Column]) -> list[str]:
    """The input columns that alone give a target away: a warning is due.

    Each value of such a column occurs with one value of the target, and twice or more on average; or both are numbers
    whose correlation is over SAME_NUMBER in absolute value.
    """
    by_name = {column.name: column for column in columns}
    places = {name: records.columns.index(name) for name in (*roles.inputs, *roles.target)}
    pairs = [
        _Pair(by_name[name], by_name[target])
        for name in roles.inputs
        for target in roles.target
        if by_name[target].distinct not in (0, 1)
    ]
    for block in value_blocks(records):
        values = list(zip(*block, strict=True))
        for pair in pairs:
            if pair.possible:
                pair.add(values[places[pair.name]], values[places[pair.target]])
    return list(dict.fromkeys(pair.name for pair in pairs if pair.possible and pair.told))


class _Pair:
    """What a column says of a target so far."""

    def __init__(self, column: Column, target: Column) -> None:
        self.name, self.target = column.name, target.name
        self.counted = 1 < column.distinct <= column.present / 2
        self.numeric = column.numeric and target.numeric
        self._found: dict[str, str] = {}
        self._begin = (column.mean, target.mean)
        self._rows = 0
        self._sums = np.zeros(5)  # of x, y, xx, yy and xy about the means of all

    @property
    def possible(self) -> bool:
        """Whether it may still give the target away."""
        return self.counted or self.numeric

    @property
    def told(self) -> bool:
        """Whether it does, of what was added."""
        if self.counted and len(set(self._found.values())) > 1:
            return True
        if not self.numeric or self._rows < 3:
            return False
        x, y, xx, yy, xy = (self._sums / self._rows).tolist()
        spread = math.sqrt(max(xx - x * x, 0.0)) * math.sqrt(max(yy - y * y, 0.0))
        return 0 < spread < math.inf and abs(xy - x * y) > SAME_NUMBER * spread

    def add(self, values: Sequence[str | None], targets: Sequence[str | None]) -> None:
        """Further rows; those in which either is missing say nothing."""
        both = {pair for pair in zip(values, targets, strict=True) if None not in pair} if self.counted else set()
        for value, target in both:
            if value is not None and target is not None and self._found.setdefault(value, target) != target:
                self.counted = False
                break
        if self.numeric:
            x, y = numbers_of(values) - self._begin[0], numbers_of(targets) - self._begin[1]
            known = np.isfinite(x) & np.isfinite(y)
            x, y = x[known], y[known]
            self._rows += len(x)
            with np.errstate(over="ignore", invalid="ignore"):
                self._sums += [x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()]
