"""Opening pairs: a table of which a column is written, or files whose lines belong to the rows of others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from seqtool.errors import InputError, UsageError
from seqtool.records.columns import Column, decide_roles, no_column
from seqtool.records.layout import SUFFIX_FORMATS, Layout, suffix_of
from seqtool.records.reading import Records, Row, open_records
from seqtool.settings.examples import ExampleConfig, listed
from seqtool.tasks.examples.opening import open_request, profile_of
from seqtool.tasks.examples.rows import Columns
from seqtool.tasks.examples.table import Table, read_columns
from seqtool.tasks.request import Request

TEXT_LINES = Layout("lines", ("text",), header=False)


class Pair(NamedTuple):
    """A row that is read, and the text that belongs to it; None where that is missing."""

    row: Row
    target: str | None


class PairFiles(NamedTuple):
    """Opened pairs. Without `targets` the text is a column of the rows."""

    sources: list[Records]
    targets: list[Records]
    target: str
    """The column of the text; empty where it stands in files."""

    @property
    def name(self) -> str:
        """The files' names in messages."""
        return ", ".join(records.name for records in self.sources)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that can be read."""
        return tuple(name for name in self.sources[0].columns if name != self.target)

    @property
    def layout(self) -> Layout:
        """How the rows are laid out."""
        return self.sources[0].layout

    def pairs(self) -> Iterator[Pair]:
        """All pairs in order; InputError where two files have not as many rows as each other."""
        if not self.targets:
            for records in self.sources:
                place = records.columns.index(self.target)
                for row in records.rows():
                    yield Pair(row, row.values[place])
            return
        for source, target in zip(self.sources, self.targets, strict=True):
            rows = texts = 0
            for row, text in zip_longest(source.rows(), target.rows()):
                rows, texts = rows + (row is not None), texts + (text is not None)
                if row is not None and text is not None:
                    yield Pair(row._replace(problem=row.problem or text.problem), text.values[0])
            if rows != texts:
                raise InputError(
                    f"{source.name} has {rows:,} rows and {target.name} {texts:,} lines: give files in which each line "
                    "is the translation of the same line of the other"
                )


class OpenedPairs(NamedTuple):
    """Opened pairs, and what of their rows is read."""

    files: PairFiles
    columns: Columns

    @property
    def kind(self) -> str:
        """The kind of examples: `pairs` of texts, or `captions` of numbers."""
        return "pairs" if self.columns.text else "captions"


def is_table(name: str, examples: ExampleConfig) -> bool:
    """Whether DATA is to be read as a table, not as lines of text: by the format that is asked for, or its name."""
    if examples.format != "auto":
        return examples.format != "lines"
    return suffix_of(name) in SUFFIX_FORMATS or examples.delimiter != "auto" or examples.header != "auto"


def target_files(request: Request, examples: ExampleConfig) -> list[str]:
    """The files that --target names, one for each of DATA; none where it names a column. UsageError for others."""
    names = [examples.target] if _can_be_read(examples.target) else list(listed(examples.target))
    if not names or not all(_can_be_read(name) for name in names):
        return []
    if len(names) != len(request.data):
        raise UsageError(
            f"--target names {len(names)} files and DATA {len(request.data)}: give a file of translations for each"
        )
    return names


def _can_be_read(name: str) -> bool:
    """Whether there is something to read by a name: a file, or a pipe."""
    return bool(name) and Path(name).exists() and not Path(name).is_dir()


def open_pairs(request: Request, examples: ExampleConfig) -> OpenedPairs:
    """Open what DATA and --target name; UsageError for a target that there is not."""
    if not examples.target:
        raise UsageError("--target COLUMN|FILE: say which column, or which file, has the texts to write")
    paths = target_files(request, examples)
    table = is_table(request.data[0], examples)
    if paths and table and examples.target in open_request(request, examples).columns:
        paths = []
    if not paths:
        return _of_table(request, examples)
    if not table:
        files = PairFiles(
            [_lines(name, request.errors) for name in request.data],
            [_lines(name, request.errors) for name in paths],
            "",
        )
        return OpenedPairs(files, Columns(TEXT_LINES.columns, (), ()))
    if len(request.data) != 1:
        raise UsageError("--target FILE goes with one table: join the tables")
    opened = _of_table(request, examples, no_target=True)
    return opened._replace(files=opened.files._replace(targets=[_lines(paths[0], request.errors)]))


def _lines(path: str, errors: str) -> Records:
    """A text a line."""
    return open_records([path], layout=TEXT_LINES, errors=errors)


def _of_table(request: Request, examples: ExampleConfig, no_target: bool = False) -> OpenedPairs:
    """A table, of which a column is written."""
    records = open_request(request, examples)
    target = () if no_target else listed(examples.target, records.columns)
    if len(target) > 1:
        raise UsageError(f"--target {examples.target}: one column is written as text; name one")
    for name in target:
        if name not in records.columns:
            raise UsageError(f"--target {name}: {no_column(name, records.columns)}, and there is no such file")
    profiles = profile_of(request, records)
    columns = _columns(records, profiles, target, examples)
    records.as_text = frozenset((*columns.text, *target))
    return OpenedPairs(PairFiles([records], [], target[0] if target else ""), columns)


def _columns(records: Records, profiles: Sequence[Column], target: tuple[str, ...], examples: ExampleConfig) -> Columns:
    """What of a table is read: as asked, else the texts where there are any or a type of them is named.

    A column of many values that are no numbers is text, be they words or sentences.
    """
    asked = {
        name: listed(getattr(examples, name), records.columns) for name in ("text", "numeric", "categorical", "ignore")
    }
    others = [one for one in profiles if one.name not in target and one.name not in asked["ignore"]]
    text = asked["text"]
    if not any(asked[name] for name in ("text", "numeric", "categorical")):
        if examples.source_type != "auto" or (len(others) == 1 and not others[0].numeric):
            text = tuple(one.name for one in others)
        else:
            text = tuple(one.name for one in others if one.kind == "text" or (one.many and not one.numeric))
        if text:
            asked["ignore"] += tuple(one.name for one in others if one.name not in text)
    roles = decide_roles(
        profiles,
        target=target,
        text=text,
        ignore=asked["ignore"],
        numeric=asked["numeric"],
        categorical=asked["categorical"],
    )
    columns = read_columns(Table(records, list(profiles), roles))
    if columns.text and len(columns.names) > len(columns.text):
        columns = dataclasses.replace(columns, numeric=(), categorical=())
    if not columns.names:
        raise UsageError(f"nothing is left to read beside {', '.join(target)}: see --text, --numeric, --ignore")
    return columns


def reopened(
    layout: Layout,
    column: str,
    columns: Columns,
    paths: tuple[str, str | None],
    errors: str,
    mend: str = "--valid SOURCE,TARGET",
) -> PairFiles:
    """Other pairs, laid out as those were: a table with the `column` of texts, or rows in one file, texts in another.

    UsageError where a file is missing, or one too many is named.
    """
    path, target = paths
    if not column and target is None:
        raise UsageError(f"{path}: the texts to write for it stand in a file of their own; name that, too: {mend}")
    if column and target is not None:
        layout = dataclasses.replace(layout, columns=tuple(name for name in layout.columns if name != column))
    records = open_records([path], layout=layout, errors=errors)
    records.as_text = frozenset((*columns.text, *([column] if column else [])))
    if target is None and column not in records.columns:
        raise InputError(f"{path}: {column}: {no_column(column, records.columns)}")
    return PairFiles([records], [] if target is None else [_lines(target, errors)], column if target is None else "")


def two_paths(valid: str) -> tuple[str, str | None]:
    """The file of what is read and that of the texts, in a `SOURCE,TARGET`; a table alone."""
    if Path(valid).exists() or "," not in valid:
        return valid, None
    parts = [part.strip() for part in valid.split(",")]
    for places in range(1, len(parts)):  # a name may have commas
        source, target = ",".join(parts[:places]), ",".join(parts[places:])
        if Path(source).exists() and Path(target).exists():
            return source, target
    return parts[0], ",".join(parts[1:])
