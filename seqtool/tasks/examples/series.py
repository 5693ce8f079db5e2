"""From a table to series: what its columns are for, one series for each target, at even steps of time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seqtool.errors import InputError, UsageError
from seqtool.records.columns import Column
from seqtool.records.reading import Records, open_records
from seqtool.records.series import Series, frequency_of, read_series, season_of, time_column
from seqtool.records.times import Times
from seqtool.settings.examples import ExampleConfig, listed
from seqtool.tasks.examples.opening import open_request, profile_of
from seqtool.tasks.examples.sets import Rows
from seqtool.tasks.examples.table import layout_from, layout_record
from seqtool.tasks.examples.windows import History
from seqtool.tasks.request import Request

SERIES_NAMES = ("series", "series_id", "unique_id", "item_id", "id", "name")
"""Names of columns that tell series apart."""
MOST_FILLED = 4  # times as many steps as rows: series with longer gaps than that are taken as they are
DAY_S = 86_400
MONTHS_OF = {"Y": 12, "M": 1}
SEASONS_ASKED = 50  # series that tell the season


@dataclass(frozen=True)
class SeriesColumns:
    """What the columns of a table of series are for; no targets: each row is a series."""

    targets: tuple[str, ...]
    time: str | None
    series: str | None
    future: tuple[str, ...]

    @property
    def read(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.targets, *self.future, *(name for name in (self.time, self.series) if name is not None))


@dataclass(frozen=True)
class SeriesTable:
    """A table of series, and what its columns are for."""

    records: Records
    columns: SeriesColumns
    kind: str = "series"

    def as_record(self) -> dict[str, Any]:
        """As a run's configuration has it."""
        columns = {
            "targets": list(self.columns.targets),
            "time": [name for name in [self.columns.time] if name is not None],
            "series": [name for name in [self.columns.series] if name is not None],
            "future": list(self.columns.future),
        }
        return {"columns": columns, "layout": layout_record(self.records.layout)}


def open_series(request: Request, examples: ExampleConfig) -> SeriesTable:
    """Open the table of series that DATA name; UsageError for columns that it has not."""
    records = open_request(request, examples)
    targets, future = listed(examples.target), listed(examples.future)
    named = (*targets, *future, *(name for name in (examples.time_column, examples.series) if name))
    if missing := [name for name in named if name not in records.columns]:
        raise UsageError(f"{records.name} has no column {', '.join(missing)}; there are {_shown(records.columns)}")
    if len(set(named)) < len(named):
        raise UsageError("--target, --future, --series and --time-column: each column is for one of them")
    if targets:
        columns = profile_of(request, records)
        time = examples.time_column or time_column([column for column in columns if column.name not in named])
        series = examples.series or _series_column(columns, (*named, *([time] if time else [])), time)
        return SeriesTable(records, SeriesColumns(targets, time, series, future))
    if not (records.layout.wide or examples.series):
        raise UsageError(f"--target COLUMN: name what to forecast, of {_shown(records.columns)}")
    if future or examples.time_column:
        raise UsageError("--future and --time-column are for a row a step; where a row is a series, leave them out")
    return SeriesTable(records, SeriesColumns((), None, examples.series or None, ()))


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20:,} more" if len(names) > 20 else "")


def _series_column(columns: Sequence[Column], taken: Sequence[str], time: str | None) -> str | None:
    """The column that tells series apart: by its name, or, where times come again, the only one of categories."""
    left = [column for column in columns if column.name not in taken and not column.missing]
    repeating = [column for column in left if not column.all_different or column.distinct == 1]
    for column in repeating:
        if column.name.lower() in SERIES_NAMES:
            return column.name
    if not any(column.name == time and not column.all_different for column in columns):
        return None
    names = [column.name for column in repeating if not column.numeric]
    if len(names) > 1:
        raise UsageError(
            f"times come again: name the column that tells the series apart, --series {' or '.join(names)}"
        )
    return names[0] if names else None


def reopened(paths: Sequence[str], record: Mapping[str, Any], errors: str) -> SeriesTable:
    """Open another table of series, laid out as the one that a run's configuration tells of."""
    layout, columns = layout_from(record["layout"]), columns_from(record["columns"])
    if layout.wide and not layout.header:  # whose columns are only as many as the longest series has steps
        records = open_records(paths, format="csv", delimiter=layout.delimiter, header=False, errors=errors)
        records.layout = replace(records.layout, wide=True)
    else:
        records = open_records(paths, layout=layout, errors=errors)
    if missing := [name for name in columns.read if name not in records.columns]:
        raise InputError(f"{records.name} lacks the column {', '.join(missing)}; it has {_shown(records.columns)}")
    return SeriesTable(records, columns)


def columns_from(record: Mapping[str, Any]) -> SeriesColumns:
    """The columns that a run's configuration names; InputError when it was edited."""
    try:
        (time,), (series,) = ([*record[name], None][:1] for name in ("time", "series"))
        columns = SeriesColumns(tuple(record["targets"]), time, series, tuple(record["future"]))
        if not all(isinstance(name, str) for name in columns.read):
            raise ValueError("names that are no text")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("a run's configuration does not say which columns are read: it was edited") from error
    return columns


def histories_of(table: SeriesTable) -> list[History]:
    """The series of a table, one for each target, in the order of their first rows, to their last known values."""
    columns = table.columns
    found = read_series(
        table.records,
        targets=columns.targets,
        time=columns.time,
        series=columns.series,
        covariates=columns.future,
    )
    return [history for series in found for history in _by_target(evenly(series), columns)]


def _by_target(series: Series, columns: SeriesColumns) -> list[History]:
    count = len(columns.targets) or 1
    values, covariates = series.values[:, :count], series.values[:, count:]
    known = np.flatnonzero(np.isfinite(values).any(1))
    end = int(known[-1]) + 1 if len(known) else 0
    times = None if series.times is None else series.times[:end]
    return [
        History(_named(series.name, columns, place), values[:end, place], times, covariates) for place in range(count)
    ]


def _named(name: str, columns: SeriesColumns, place: int) -> str:
    """A series' name: its own, the target's, or both where there are several of both."""
    if not columns.targets or (name and len(columns.targets) == 1):
        return name
    return f"{name} {columns.targets[place]}".lstrip()


def evenly(series: Series) -> Series:
    """A series with a row for each step of time, nan where there was none; as it is where its times are not even."""
    if series.times is None or len(series.times) < 2:
        return series
    places, times = _grid(series.times)
    if len(times) <= places[-1] or (times[places] != series.times).any():
        return series
    values = np.full((len(times), series.values.shape[1]), np.nan, np.float32)
    values[places] = series.values
    return Series(series.name, values, times)


def _grid(times: Times) -> tuple[Rows, Times]:
    """Even steps from the first time to the last, or almost, and at which of them each time would be."""
    step, regular = frequency_of(times)
    if regular or step is None:
        return np.arange(len(times)), times
    unit, width = "", int(np.int64(step))
    if isinstance(step, np.timedelta64):
        unit, _ = np.datetime_data(step.dtype)
    if unit in MONTHS_OF:
        months = times.astype("datetime64[M]")
        steps_T = (months - months[0]).astype(np.int64) // (width * MONTHS_OF[unit])
        beginnings = months[0] + width * MONTHS_OF[unit] * np.arange(_most(steps_T))
        return steps_T, beginnings.astype("datetime64[s]") + (times[0] - months[0].astype("datetime64[s]"))
    days = times.astype("datetime64[D]") if unit == "s" and width == DAY_S else np.empty(0, "datetime64[D]")
    if (
        len(days)
        and np.is_busday(days).all()
        and np.busday_count(days[0], days[-1]) < int(np.ptp(days.astype(np.int64)))
    ):
        steps_T = np.busday_count(days[0], days)  # days but for weekends
        working = np.busday_offset(days[0], np.arange(_most(steps_T)))
        return steps_T, working.astype("datetime64[s]") + (times[0] - days[0].astype("datetime64[s]"))
    numbers = times.astype(np.int64)
    steps_T = (numbers - numbers[0]) // width
    return steps_T, (numbers[0] + width * np.arange(_most(steps_T))).astype(times.dtype)


def _most(steps_T: Rows) -> int:
    """How many even steps there are; only as many as there are times where they would be far more."""
    steps = int(steps_T[-1]) + 1
    return steps if steps < MOST_FILLED * len(steps_T) else len(steps_T)


def season_for(histories: Sequence[History]) -> int:
    """The season that most series have; 1 where that is none."""
    asked = histories[:: -(-len(histories) // SEASONS_ASKED)]
    votes = Counter(season_of(one.values_T, frequency_of(one.times)) for one in asked if len(one.values_T))
    return votes.most_common(1)[0][0] if votes else 1


def digest_of(histories: Sequence[History]) -> str:
    """The hash of series: of their names, values, times and covariates."""
    found = hashlib.sha256()
    for one in histories:
        found.update(f"{one.name}\n{one.values_T.shape}{one.covariates_TK.shape}".encode("utf-8", "replace"))
        for array in (one.values_T, one.covariates_TK, *([] if one.times is None else [one.times])):
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
