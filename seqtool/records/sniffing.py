"""What the beginning of a delimited text says of the rest: its delimiter, quotes, header and decimal mark."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence

from seqtool.records.lines import RECORD_CHARACTERS
from seqtool.records.values import COMMA_NUMBER, MISSING, number_of

DELIMITERS = ("\t", ";", "|", ",")
"""The likeliest first: text has commas, and numbers may have decimal commas."""
NAMES = frozenset({
    "id", "index", "name", "title", "text", "sentence", "review", "comment", "message", "body", "content",
    "question", "answer", "document", "tokens", "words", "word", "form", "label", "labels", "class", "category",
    "target", "tag", "tags", "topic", "sentiment", "score", "rating", "value", "y", "x", "date", "time",
    "timestamp", "ds", "source", "input", "output", "premise", "hypothesis", "language",
})  # fmt: skip
"""What columns are often called."""
NAME_CHARACTERS = 60  # a longer cell is not taken for the name of a column
CONSISTENT = 0.9  # share of rows that have as many fields as most

Rows = Sequence[Sequence[str]]


def split_head(head: str, delimiter: str, quoted: bool, *, cut: bool = False) -> list[list[str]]:
    """The rows of a text, without its last one where the text is `cut`, and without empty ones."""
    csv.field_size_limit(RECORD_CHARACTERS)
    rows: list[list[str]] = []
    stream = io.StringIO(head, newline="\n")
    if quoted:
        reader = csv.reader(stream, delimiter=delimiter[0], skipinitialspace=len(delimiter) > 1)
        while True:
            try:
                rows.append(next(reader))
            except StopIteration:
                break
            except csv.Error:
                continue
    else:
        rows = [line.rstrip("\r\n").split(delimiter) for line in stream]
    if cut and len(rows) > 1:
        rows.pop()
    return [row for row in rows if row not in ([], [""])]


def sniff_delimiter(head: str, *, cut: bool = False) -> tuple[str, float]:
    """The delimiter that divides the rows most evenly, and the share of rows that it divides so; `,` and 0 if none."""
    found, best = ",", 0.0
    for delimiter in DELIMITERS:
        if delimiter not in head:
            continue
        widths = [len(row) for row in split_head(head, delimiter, sniff_quotes(head, delimiter), cut=cut)]
        width, rows = most_common_width(widths)
        if width < 2:
            continue
        # A header that is divided otherwise speaks against a delimiter, more than a row among many.
        share = rows / len(widths) * (1.0 if widths[0] == width else 0.5)
        if share > best + 0.02:
            found, best = delimiter, share
    return found + (" " if found != "\t" and _spaced(head, found) else ""), best


def most_common_width(widths: Sequence[int]) -> tuple[int, int]:
    """The number of fields that most rows have, and of how many rows; 0 and 0 without rows."""
    return max(Counter(widths).items(), key=lambda item: (item[1], item[0]), default=(0, 0))


def _spaced(head: str, delimiter: str) -> bool:
    """Whether a space follows every delimiter outside quotes."""
    bare = re.sub(r'"[^"]*+"', "", head)
    return delimiter in bare and bare.count(delimiter) == len(re.findall(re.escape(delimiter) + r"(?= |\r?\n|$)", bare))


def sniff_quotes(head: str, delimiter: str) -> bool:
    """Whether quotes enclose fields. Text between tabs may have quotes that are characters like others."""
    if delimiter != "\t":
        return True
    opened = list(re.finditer(r'(?:^|\t)"(?:[^"]|"")*+("(?=\t|\r?$))?', head, re.MULTILINE))
    whole = opened[:-1] if opened and opened[-1].end() == len(head) else opened  # the last may go on behind the head
    return bool(whole) and all(match[1] for match in whole)


def sniff_header(rows: Rows) -> bool:
    """Whether the first row names the columns: no number is in it, and columns of numbers or labels are below it."""
    first, rest = rows[0], rows[1:]
    names = [cell.strip() for cell in first]
    if any(len(name) > NAME_CHARACTERS for name in names):
        return False
    votes = 0
    for place, name in enumerate(names):
        values = [row[place] for row in rest if place < len(row) and row[place] not in MISSING]
        votes += _header_vote(name, values)
    if votes == 0:
        return not any(math.isfinite(number_of(name)) for name in names) and (
            bool(NAMES.intersection(name.lower() for name in names)) or (not rest and len(names) > 1)
        )
    return votes > 0


def _header_vote(name: str, values: Sequence[str]) -> int:
    """1 if a first cell seems to name the values below it, -1 if it seems to be one of them, else 0."""
    if not values:
        return 0
    numbers = sum(is_number(value) for value in values)
    if numbers >= CONSISTENT * len(values):
        if name in MISSING:
            return 0
        return -1 if is_number(name) else 1
    if name in values:
        return -1
    if is_number(name):
        return -1
    distinct = len(set(values))
    lengths = [len(value) for value in values]
    if len(values) >= 4 and distinct <= len(values) / 2:
        return 1  # labels that repeat, but not this one
    return 1 if len(values) >= 2 and 3 * len(name) < min(lengths) else 0


def sniff_decimal(rows: Rows, delimiter: str) -> str:
    """The decimal mark of the numbers in rows without a header."""
    if delimiter[0] == ",":
        return "."
    found = False
    for column in zip(*(row for row in rows if len(row) == len(rows[0])), strict=True):
        values = [value for value in column if value not in MISSING]
        if any("." in value and is_number(value) and not COMMA_NUMBER.fullmatch(value) for value in values):
            return "."
        found |= all(COMMA_NUMBER.fullmatch(value) for value in values) and any("," in value for value in values)
    return "," if found else "."


def sniff_wide(columns: Sequence[str], header: bool, rows: Rows) -> bool:
    """Whether each row is a series: a name of its own, then eight or more numbers in columns that are only counted."""
    if len(columns) < 9 or not rows:
        return False
    names = [row[0] for row in rows]
    if len(set(names)) < len(names) or any(is_number(name) for name in names):
        return False
    if header:
        counted = [re.fullmatch(r"(\D*)(\d+)", name.strip()) for name in columns[1:]]
        numbers = [(match[1], int(match[2][-9:])) for match in counted if match]
        if len(numbers) < len(counted) or any(
            later != (before, number + 1) for (before, number), later in itertools.pairwise(numbers)
        ):
            return False
    return all(is_number(value) or value in MISSING for row in rows for value in row[1:])


def is_number(value: str) -> bool:
    """Whether a value is a number, with a decimal point or comma."""
    return math.isfinite(number_of(value)) or bool(COMMA_NUMBER.fullmatch(value))
