"""Rows of delimited text: csv, tsv and their like."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

from seqtool.records.lines import RECORD_CHARACTERS, BrokenRow, Lines, Row, without_newline
from seqtool.records.values import MISSING, with_decimal_point

CSV_ERRORS = {
    "unexpected end of data": "opens a quote that is never closed",
    "expected after": "has characters between a closing quote and the delimiter (quotes in a field are doubled)",
    "new-line character": "has a carriage return outside quotes (if they end the lines, convert with tr '\\r' '\\n')",
    "field larger": f"begins a field of more than {RECORD_CHARACTERS:,} characters, as when a quote is never closed",
}
"""What the csv module's errors mean, by a part of each."""


def read_cells(lines: Lines, delimiter: str, quoted: bool) -> Iterator[tuple[int, list[str], str]]:
    """Each row's first line's number, its cells, and why it is broken, if it is.

    A delimiter of two characters, such as `, `, is one that spaces may follow. Empty lines are left out.
    """
    csv.field_size_limit(RECORD_CHARACTERS)
    reader: Iterator[list[str]]
    if quoted:
        reader = csv.reader(lines, delimiter=delimiter[0], skipinitialspace=len(delimiter) > 1, strict=True)
    else:
        reader = map(lambda line: without_newline(line).split(delimiter), lines)
    while True:
        lines.begin()
        number = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, BrokenRow) as error:
            lines.retry()
            yield number, [], next((meant for said, meant in CSV_ERRORS.items() if said in str(error)), str(error))
            continue
        yield number, cells, lines.problem


def delimited_rows(
    cells_in: Iterator[tuple[int, list[str], str]],
    width: int,
    *,
    places: Sequence[int] | None = None,
    decimal: str = ".",
    short: bool = False,
    as_text: frozenset[int] = frozenset(),
) -> Iterator[Row]:
    """Rows of `width` fields, their values from `places` if these are given.

    Of the fields `as_text` only an empty one is missing: `null` is a word. A delimiter at the end of a row is dropped.
    With `short`, a row may have fewer fields, and the others are missing.
    """
    nothing = (None,) * (width if places is None else len(places))
    for number, cells, problem in cells_in:
        if len(cells) != width:
            if len(cells) == width + 1 and not cells[-1]:
                cells.pop()
            elif (not cells or cells == [""]) and not problem:
                if width > 1:
                    continue  # an empty line
                cells = [""]
            elif short and len(cells) < width:
                cells += [""] * (width - len(cells))
            else:
                problem = problem or f"has {len(cells):,} field{'s' * (len(cells) != 1)}, not {width:,}"
        if problem:
            yield Row(number, nothing, problem)
            continue
        if decimal == ",":
            cells = [with_decimal_point(cell) for cell in cells]
        values: tuple[str | None, ...]
        if MISSING.isdisjoint(cells):
            values = tuple(cells)
        else:
            values = tuple(
                [None if cell in MISSING and not (cell and n in as_text) else cell for n, cell in enumerate(cells)]
            )
        yield Row(number, values if places is None else tuple([values[place] for place in places]))
