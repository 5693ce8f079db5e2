"""Rows of a table to arrays: texts to ids, numbers standardised, categories numbered, as a run's configuration says.

What is done to a column is decided once, on the training data, and recorded: prediction and `eval` do the same.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError
from seqtool.files.spools import Spool
from seqtool.records.reading import Row
from seqtool.records.values import number_of
from seqtool.tasks.examples.sets import Rows
from seqtool.text.vocabulary import Vocabulary

T = TypeVar("T")
BLOCK_ROWS = 1024
CLIPPED = 30.0  # deviations from the mean that a number is taken for at most


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers: its mean and deviation in training, and whether it had gaps there."""

    name: str
    mean: float
    deviation: float
    gaps: bool


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories; another value than these is number 0, which stands for their mean."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """The columns that a model reads."""

    text: tuple[str, ...]
    numeric: tuple[NumberColumn, ...]
    categorical: tuple[CategoryColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        numbers, categories = [column.name for column in self.numeric], [column.name for column in self.categorical]
        return (*self.text, *numbers, *categories)

    @property
    def numbers(self) -> int:
        """Numbers that the numeric columns become: one each, and one for each that may have gaps."""
        return len(self.numeric) + sum(column.gaps for column in self.numeric)

    @property
    def categories(self) -> tuple[int, ...]:
        """For each categorical column how many values it has, with the one for all others."""
        return tuple(len(column.values) + 1 for column in self.categorical)

    def as_record(self) -> dict[str, Any]:
        """As a run's configuration has it."""
        return {
            "text": list(self.text),
            "numeric": [[column.name, column.mean, column.deviation, column.gaps] for column in self.numeric],
            "categorical": [[column.name, list(column.values)] for column in self.categorical],
        }


def columns_from(record: Mapping[str, Any], source: str) -> Columns:
    """The columns that a run's configuration names; InputError when it was edited."""
    try:
        columns = Columns(
            tuple(record["text"]),
            tuple(NumberColumn(str(n), float(m), float(d), bool(g)) for n, m, d, g in record["numeric"]),
            tuple(CategoryColumn(str(name), tuple(values)) for name, values in record["categorical"]),
        )
        if not all(
            isinstance(name, str) for name in (*columns.names, *(v for c in columns.categorical for v in c.values))
        ):
            raise ValueError("names that are no text")
        if not all(np.isfinite([c.mean, c.deviation]).all() and c.deviation > 0 for c in columns.numeric):
            raise ValueError("numbers that are none")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{source} does not say which columns are read: it was edited") from error
    return columns


class RowReader:
    """Turns rows of a table into what a model reads."""

    def __init__(
        self, columns: Columns, names: Sequence[str], vocabulary: Vocabulary | None, max_length: int, source: str
    ) -> None:
        missing = [name for name in columns.names if name not in names]
        if missing:
            raise InputError(
                f"{source} lacks the column {', '.join(missing)}, which the model reads; it has {', '.join(names)}"
            )
        self.columns, self.vocabulary, self.max_length, self.source = columns, vocabulary, max_length, source
        place = {name: number for number, name in enumerate(names)}
        self._text = [place[name] for name in columns.text]
        self._numeric = [place[column.name] for column in columns.numeric]
        self._categorical = [place[column.name] for column in columns.categorical]
        self._number_of_value = [
            {value: number for number, value in enumerate(column.values, start=1)} for column in columns.categorical
        ]
        self.decompose = False
        """Whether texts are read in Unicode's form NFD: the letters of Korean syllables and accents apart."""
        self.cut = 0
        """Examples whose end was cut off."""

    def problem(self, row: Row) -> str:
        """Why a row cannot be read, or nothing."""
        if row.problem:
            return row.problem
        for place, column in zip(self._numeric, self.columns.numeric, strict=True):
            value = row.values[place]
            if value is not None and math.isnan(number_of(value)):
                return f"has {value[:40]!r} in column {column.name}, which is no number"
        return ""

    def text_of(self, row: Row) -> str:
        """A row's text; of several columns, each on lines of its own."""
        text = "\n".join(row.values[place] or "" for place in self._text)
        return unicodedata.normalize("NFD", text) if self.decompose else text

    def ids(self, rows: Sequence[Row]) -> list[npt.NDArray[Any]]:
        """The ids of each row's text, `<s>` before it, cut off behind `max_length`."""
        assert self.vocabulary is not None
        begin = np.array([self.vocabulary.begin_id], self.vocabulary.dtype)
        found = []
        for ids in encode_texts(self.vocabulary, [self.text_of(row) for row in rows]):
            self.cut += len(ids) > self.max_length
            found.append(np.concatenate([begin, ids[: self.max_length]]))
        return found

    def numbers(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """The numeric columns in deviations from their means, gaps as 0 beside a 1, (rows, D)."""
        made = np.zeros((len(rows), self.columns.numbers), np.float32)
        gap = len(self._numeric)
        for number, (place, column) in enumerate(zip(self._numeric, self.columns.numeric, strict=True)):
            found = np.array([number_of(row.values[place]) for row in rows])
            scaled = np.clip((found - column.mean) / column.deviation, -CLIPPED, CLIPPED)
            made[:, number] = np.nan_to_num(scaled)
            if column.gaps:
                made[:, gap] = np.isnan(found)
                gap += 1
        return made

    def categories(self, rows: Sequence[Row]) -> npt.NDArray[np.int32]:
        """The numbers of the categorical columns' values, (rows, C)."""
        made = np.zeros((len(rows), len(self._categorical)), np.int32)
        for number, (place, known) in enumerate(zip(self._categorical, self._number_of_value, strict=True)):
            made[:, number] = [known.get(row.values[place] or "", 0) for row in rows]
        return made


def encode_texts(vocabulary: Vocabulary, texts: Sequence[str]) -> Iterator[npt.NDArray[Any]]:
    """The ids of each text, the same as alone: all are encoded as lines of one, where the vocabulary has newlines."""
    if not vocabulary.has_newline or vocabulary.type == "foreign" or not texts:
        yield from (vocabulary.encode(text) for text in texts)
        return
    ids = vocabulary.encode("\n".join(texts) + "\n")
    ends = np.flatnonzero(ids == vocabulary.newline_ids[0])
    last = np.cumsum([text.count("\n") + 1 for text in texts]) - 1  # the newline that ends each text
    start = 0
    for place in ends[last].tolist():
        yield ids[start:place]
        start = place + 1


def blocks_of(rows: Iterable[T], size: int = BLOCK_ROWS) -> Iterator[list[T]]:
    """Rows, or sentences, so many at a time."""
    rows = iter(rows)
    while block := list(islice(rows, size)):
        yield block


class ArrayBuilder:
    """Grows arrays of examples block by block, the long ones in temporary files."""

    def __init__(self, reader: RowReader) -> None:
        self.reader = reader
        self._ids, self._numbers, self._categories = Spool("ids"), Spool("numbers"), Spool("categories")
        self._lengths: list[npt.NDArray[np.int64]] = []
        self.count = 0

    def add(self, rows: Sequence[Row], ids: Sequence[npt.NDArray[Any]] | None = None) -> None:
        """Add what a model reads of some rows, whose texts may have these ids already."""
        self.count += len(rows)
        if self.reader.columns.text:
            ids = self.reader.ids(rows) if ids is None else ids
            self._lengths.append(np.array([len(one) for one in ids], np.int64))
            self._ids.append(np.concatenate(ids) if len(ids) else np.empty(0))
        if self.reader.columns.numbers:
            self._numbers.append(np.ascontiguousarray(self.reader.numbers(rows)))
        if self.reader.columns.categories:
            self._categories.append(np.ascontiguousarray(self.reader.categories(rows)))

    def arrays(self) -> dict[str, Any]:
        """The parts of ArrayExamples that these rows make."""
        made: dict[str, Any] = {}
        columns, vocabulary = self.reader.columns, self.reader.vocabulary
        if columns.text:
            assert vocabulary is not None
            starts: Rows = np.concatenate([[0], np.cumsum(np.concatenate(self._lengths or [np.empty(0, np.int64)]))])
            made |= {"starts": starts, "ids": self._ids.mapped(vocabulary.dtype).reshape(-1, 1)}
            made["begin_id"] = vocabulary.begin_id
        if columns.numbers:
            made["numbers_ND"] = self._numbers.mapped(np.float32).reshape(-1, columns.numbers)
        if columns.categories:
            made["categories_NC"] = self._categories.mapped(np.int32).reshape(-1, len(columns.categories))
        return made
