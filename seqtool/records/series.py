"""Time series: from rows in which a column names the series, or from rows that are each a series."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError, UsageError
from seqtool.records.columns import Column, no_column, one_line
from seqtool.records.reading import READ_ON, Records
from seqtool.records.times import TimeParser, Times, frequency_of, future_times, season_of
from seqtool.records.values import number_of

__all__ = ["Series", "frequency_of", "future_times", "read_series", "season_of", "time_column"]

LARGEST = float(np.finfo(np.float32).max)
BLOCK_ROWS = 4096  # whose times are read together
TIME_NAMES = ("date", "time", "datetime", "timestamp", "ds", "day", "month", "year", "hour")


class Series(NamedTuple):
    """A named series of `values` (T, C), float32, nan where one is missing: the targets, then the covariates.

    `times` (T,) rise: datetime64[s], or integers; None: only their order is known.
    """

    name: str
    values: npt.NDArray[np.float32]
    times: Times | None


def read_series(
    records: Records,
    *,
    targets: Sequence[str],
    time: str | None = None,
    series: str | None = None,
    covariates: Sequence[str] = (),
) -> list[Series]:
    """The series of a table, in the order of their first rows.

    Without `targets` each row is a series: its name in column `series` or the first, its values in all others. Rows of
    a series are put in the order of their times. InputError for what is no number or no time, and for a time that a
    series has twice.
    """
    names = (*targets, *covariates, *(name for name in (time, series) if name is not None))
    for name in names:
        if name not in records.columns:
            raise UsageError(f"column {one_line(name)!r}: {no_column(name, records.columns)}")
    found = _long(records, (*targets, *covariates), time, series) if targets else _wide(records, series)
    if not found:
        raise InputError(f"{records.name} has no rows that can be read: give it some")
    return found


def time_column(columns: Sequence[Column]) -> str | None:
    """The name of the column that seems to have the times; None if none does."""
    for column in columns:
        if column.kind == "time":
            return column.name
    for column in columns:
        if column.numeric and column.name.lower() in TIME_NAMES and not column.missing:
            return column.name
    return None


class _Growing:
    """A series that is being read: its values row by row, its times, and the lines of its rows."""

    def __init__(self) -> None:
        self.values, self.times = array("f"), array("q")


def _long(records: Records, columns: Sequence[str], time: str | None, series: str | None) -> list[Series]:
    places = [records.columns.index(name) for name in columns]
    time_place = None if time is None else records.columns.index(time)
    series_place = None if series is None else records.columns.index(series)
    growing: dict[str, _Growing] = {}
    parser = TimeParser()
    pending: list[tuple[_Growing, str, int]] = []
    for row in records.rows():
        timed = None if time_place is None else row.values[time_place]
        named = "" if series_place is None else row.values[series_place]
        if named is None or (timed is None and time_place is not None):
            if records.errors == "strict":
                missing = time if named is not None else series
                raise InputError(f"line {row.number} of {records.reading} has no {one_line(missing or '')}: {READ_ON}")
            continue
        one = growing.setdefault(named, _Growing())
        for name, place in zip(columns, places, strict=True):
            one.values.append(_number(records, row.number, name, row.values[place]))
        if timed is not None:
            pending.append((one, timed, row.number))
            if len(pending) >= BLOCK_ROWS:
                _add_times(records, parser, pending, time)
    if pending:
        _add_times(records, parser, pending, time)
    return [
        _ordered(records, name, one, len(columns), parser if time is not None else None)
        for name, one in growing.items()
    ]


def _add_times(
    records: Records, parser: TimeParser, pending: list[tuple[_Growing, str, int]], time: str | None
) -> None:
    """Read the times of rows that wait."""
    try:
        numbers = parser.parse([text for _, text, _ in pending])
    except ValueError as error:
        _, text, line = pending[int(str(error))]
        what = f"line {line} of {records.reading}: {text[:40]!r} in column {one_line(time or '')}"
        raise InputError(f"{what} is not a time like the others: write times as 2016-07-31 23:00:00") from None
    for (one, _, _), number in zip(pending, numbers, strict=True):
        one.times.append(number)
    pending.clear()


def _ordered(records: Records, name: str, one: _Growing, width: int, parser: TimeParser | None) -> Series:
    """A whole series, in the order of its times."""
    values = np.array(one.values, np.float32).reshape(-1, width)
    if parser is None:
        return Series(name, values, None)
    numbers = np.array(one.times, np.int64)
    if (np.diff(numbers) < 0).any():
        order = np.argsort(numbers, kind="stable")
        numbers, values = numbers[order], values[order]
    times = parser.array(numbers)
    again = np.flatnonzero(np.diff(numbers) == 0)
    if len(again):
        which = f"series {name[:40]!r} of {records.name}" if name else records.name
        raise InputError(
            f"{which} has two rows at {times[again[0]]}: name the column that tells the series apart, or remove one"
        )
    return Series(name, values, times)


def _wide(records: Records, series: str | None) -> list[Series]:
    columns = records.columns
    name_place = columns.index(series) if series is not None else 0 if records.layout.wide else None
    found: list[Series] = []
    for row in records.rows():
        if name_place is None:  # told by the first row
            name_place = 0 if math.isnan(number_of(row.values[0])) and row.values[0] else -1
        if row.problem:
            found.append(Series(str(row.number), np.zeros((0, 1), np.float32), None))
            continue
        values = [
            _number(records, row.number, name, value)
            for place, (name, value) in enumerate(zip(columns, row.values, strict=True))
            if place != name_place
        ]
        while values and math.isnan(values[-1]):
            values.pop()
        name = row.values[name_place] if name_place >= 0 else None
        found.append(Series(name or str(row.number), np.array(values, np.float32).reshape(-1, 1), None))
    return found


def _number(records: Records, line: int, name: str, value: str | None) -> float:
    """A value of a series; nan if it is missing, or, unless errors are strict, no number."""
    number = number_of(value)
    if value is not None and not abs(number) <= LARGEST:
        if records.errors == "strict":
            where = f"line {line} of {records.reading}: {value[:40]!r} in column {one_line(name)}"
            raise InputError(f"{where} is not a number: {READ_ON}")
        return math.nan
    return number
