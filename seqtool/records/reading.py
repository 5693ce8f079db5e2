"""Opening tables of examples and reading their rows, as often as needed and as they arrive."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import IO

from seqtool.errors import InputError, UsageError
from seqtool.files.spools import spooled_copy
from seqtool.files.streams import decode_utf8, is_regular, open_bytes, stream_name, text_chunks
from seqtool.records.conll import conll_rows
from seqtool.records.delimited import delimited_rows, read_cells
from seqtool.records.json_lines import json_rows, parse_object
from seqtool.records.labelled import line_rows
from seqtool.records.layout import HEAD_CHARACTERS, Layout, column_name, describe_layout, detect_layout, named_columns
from seqtool.records.lines import RECORD_CHARACTERS, BrokenRow, Lines, Row

__all__ = ["Records", "RecordsFile", "Row", "open_records"]

ERRORS = ("strict", "replace")
CellsIn = Iterator[tuple[int, list[str], str]]
READ_ON = "mend it, or read on with --errors replace"


class RecordsFile:
    """A file or stream of rows. A pipe can be read once, unless it is `rereadable` and therefore copied."""

    def __init__(self, path: str, *, errors: str, rereadable: bool) -> None:
        self.path, self.name = path, stream_name(path)
        self._escaped = errors == "replace"
        self._copy: IO[bytes] | None = None
        self._arriving: Iterator[str] | None = None
        self.once = not is_regular(path) and not rereadable
        if not is_regular(path) and rereadable:
            self._copy = spooled_copy(open_bytes(path), self.name)
        elif self.once:
            self._arriving = self._texts()
        else:
            open_bytes(path).close()  # an error is told before another file is read

    def head(self) -> str:
        """The text's beginning: its first lines and HEAD_CHARACTERS; of a pipe the whole lines that have arrived."""
        texts = self._texts() if self._arriving is None else self._arriving
        head = ""
        for text in texts:
            head += text
            if self.once and "\n" in head.lstrip():
                break
            if len(head) >= HEAD_CHARACTERS and (head.count("\n") > 2 or len(head) > 2 * RECORD_CHARACTERS):
                break
        if not self.once:
            return head
        self._arriving = itertools.chain([head], texts)
        return head[: head.rfind("\n") + 1] or head

    def lines(self) -> Lines:
        """All lines from the beginning."""
        if not self.once:
            return Lines(self._texts(), escaped=self._escaped)
        if self._arriving is None:
            raise InputError(f"{self.name} can be read only once: write it to a file")
        texts, self._arriving = self._arriving, None
        return Lines(texts, escaped=self._escaped)

    def _texts(self) -> Iterator[str]:
        stream = self._copy if self._copy is not None else open_bytes(self.path)
        try:
            if stream is self._copy:
                stream.seek(0)
            yield from decode_utf8(
                text_chunks(stream, self.path, columns=()), self.name, "surrogateescape" if self._escaped else "strict"
            )
        finally:
            if stream is not self._copy and self.path != "-":
                stream.close()


class Records:
    """The rows of one or more files with the same columns, read lazily; made by `open_records`.

    `told` is what was found of their layout, in words; `reading` is the name of the file whose rows come.
    """

    def __init__(self, files: Sequence[RecordsFile], layout: Layout, *, errors: str, header: bool | None) -> None:
        self.layout = layout
        self.errors = errors
        self.told = describe_layout(layout)
        self.reading = files[0].name
        self.as_text: frozenset[str] = frozenset()
        """Columns of which only an empty value is missing: `null` and `NA` are words there."""
        self._files = files
        self._header = header
        self._lines: Lines | None = None

    @property
    def characters(self) -> int:
        """How many characters of the file that is being read were read."""
        return self._lines.characters if self._lines else 0

    @property
    def waits(self) -> bool:
        """Whether a row may have to be waited for, as those of a pipe."""
        return any(file.once for file in self._files)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns; those without a name are called by their places, from 1."""
        return self.layout.columns

    @property
    def name(self) -> str:
        """The files' names in messages."""
        return ", ".join(file.name for file in self._files)

    def rows(self) -> Iterator[Row]:
        """The rows of all files in order; under `strict` InputError for a broken one.

        Empty lines are no rows, except where each line is a text or there is only one column: the value is missing.
        """
        for name, lines in self.files():
            for row in self._rows_of(name, lines):
                if row.problem and self.errors == "strict":
                    raise InputError(f"line {row.number} of {name} {row.problem}: {READ_ON}")
                yield row

    def files(self) -> Iterator[tuple[str, Lines]]:
        """The name and the lines of each file; InputError if there is none in all of them."""
        empty = True
        for file in self._files:
            self.reading = file.name
            self._lines = file.lines()
            yield file.name, self._lines
            empty &= self._lines.number == 0
        if empty:
            raise InputError(f"{self.name} is empty: there are no rows to read")

    def _rows_of(self, name: str, lines: Lines) -> Iterator[Row]:
        layout = self.layout
        if layout.format == "jsonl":
            return json_rows(lines, layout.columns, self.as_text)
        if layout.format == "conll":
            return conll_rows(lines, layout.columns, layout.delimiter)
        if layout.format in ("labelled", "lines"):
            return line_rows(lines, layout.format == "labelled")
        cells = read_cells(lines, layout.delimiter, layout.quoted)
        own = layout.columns
        if layout.header:
            named, cells = _without_header(cells, layout, name, header=self._header, errors=self.errors)
            own = named or own
        places = None
        if own != layout.columns:
            for column in layout.columns:
                if column not in own:
                    raise InputError(f"{name} has no column {column[:60]!r}, which {self._files[0].name} has")
            places = [own.index(column) for column in layout.columns]
        as_text = frozenset(place for place, name in enumerate(own) if name in self.as_text)
        return delimited_rows(
            cells, len(own), places=places, decimal=layout.decimal, short=layout.wide, as_text=as_text
        )


def open_records(
    paths: Sequence[str] | Sequence[RecordsFile],
    *,
    layout: Layout | None = None,
    format: str = "auto",
    delimiter: str = "auto",
    header: bool | None = None,
    errors: str = "strict",
    rereadable: bool = True,
) -> Records:
    """Open files, or standard input for `-`, to read rows, or files opened before.

    They are laid out as in `layout`, otherwise as is found.

    With a `layout`, columns may be missing, in another order, or more than it has: `columns` are then the file's own. A
    table with names where that is of JSON lines, or the other way round, is read as what it is.
    With `rereadable`, what is not a file is copied, so that several passes can be made; without it, a row is there as
    soon as its line has arrived. Broken rows have a `problem` under `errors="replace"`, and are InputError otherwise.
    """
    if errors not in ERRORS:
        raise UsageError(f"errors {errors!r}: choose from {', '.join(ERRORS)}")
    files = [
        path if isinstance(path, RecordsFile) else RecordsFile(path, errors=errors, rereadable=rereadable)
        for path in paths
    ]
    if layout is None:
        file, head = _first_with_text(files)
        layout = detect_layout(head, file.path, format=format, delimiter=delimiter, header=header)
        return Records(files, layout, errors=errors, header=header)
    if layout.format in ("csv", "jsonl"):
        layout = _as_it_is(layout, files, header=header)
    if layout.format == "csv":
        if header is not None:
            layout = replace(layout, header=header)
        if layout.header:
            layout = _fitted(layout, *_first_with_text(files), header=header, errors=errors)
    return Records(files, layout, errors=errors, header=header)


def _as_it_is(layout: Layout, files: Sequence[RecordsFile], *, header: bool | None) -> Layout:
    """The layout of a file with these names that has JSON lines for a table, the reverse, or other delimiters."""
    file = files[0]
    head = file.head()
    if not head.strip() or (layout.format == "csv" and not layout.header):
        return layout
    if head.lstrip().startswith("{"):
        if layout.format == "jsonl":
            return layout
        try:
            named = parse_object(next(line for line in head.split("\n") if line.strip()))
        except BrokenRow:
            return layout
        return detect_layout(head, file.path, format="jsonl") if {*named} & {*layout.columns} else layout
    if layout.format == "csv" and _fitted(layout, file, head, header=header, errors="replace").header:
        return layout
    own = detect_layout(head, file.path, format="csv", header=header)
    return own if {*own.columns} & {*layout.columns} else layout


def _first_with_text(files: Sequence[RecordsFile]) -> tuple[RecordsFile, str]:
    """The first file that is not empty, and its beginning; InputError if all are."""
    for file in files:
        if (head := file.head()).strip():
            return file, head
    raise InputError(f"{', '.join(file.name for file in files)} is empty: there are no rows to read")


def _fitted(layout: Layout, file: RecordsFile, head: str, *, header: bool | None, errors: str) -> Layout:
    """The layout with the columns of another file, of which the beginning is given."""
    cells = read_cells(Lines([head]), layout.delimiter, layout.quoted)
    own, _ = _without_header(cells, layout, file.name, header=header, errors=errors)
    return replace(layout, columns=own or layout.columns, header=bool(own))


def _without_header(
    cells_in: CellsIn, layout: Layout, name: str, *, header: bool | None, errors: str
) -> tuple[tuple[str, ...], CellsIn]:
    """The columns that a file's first row names, and the rows below it; no columns, and all rows, if it names none.

    Without `header` a first row names columns if one of them is a column of the layout.
    """
    for first in cells_in:
        number, cells, problem = first
        if cells in ([], [""]) and not problem:
            continue
        if header or any(column_name(cell) in layout.columns for cell in cells):
            if problem:
                raise InputError(f"line {number} of {name}, which names the columns, {problem}: mend it")
            return named_columns(cells, name, len(layout.columns)), cells_in
        if len(cells) != len(layout.columns) and errors == "strict":
            named = ", ".join(name[:60] for name in layout.columns[:5])
            raise InputError(f"{name} does not begin with the names of its columns ({named}): add a line with them")
        return (), itertools.chain([first], cells_in)
    return (), iter(())
