"""Rows of lines that carry labels as fastText writes them, and of lines that are only text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seqtool.records.lines import BrokenRow, Lines, Row, without_newline

LABEL = "__label__"
COLUMNS = ("label", "text")
TEXT_COLUMNS = ("text",)
LABELS = re.compile(rf"(?<!\S){LABEL}(\S+)\s*")


def parse_labelled(line: str) -> tuple[str | None, ...]:
    """The labels, with a space between them, and the text of a line; a label may be anywhere in it."""
    text = line.strip()
    if LABEL not in text:
        return None, text or None
    return " ".join(LABELS.findall(text)) or None, LABELS.sub("", text).strip() or None


def parse_text(line: str) -> tuple[str | None, ...]:
    """A line is a text; an empty one is a missing text."""
    return (line or None,)


def line_rows(lines: Lines, labelled: bool) -> Iterator[Row]:
    """A row for each line, empty ones included."""
    parse, columns = (parse_labelled, COLUMNS) if labelled else (parse_text, TEXT_COLUMNS)
    nothing = (None,) * len(columns)
    while True:
        lines.begin()
        try:
            line = next(lines)
        except StopIteration:
            return
        except BrokenRow as error:
            yield Row(lines.number, nothing, str(error))
            continue
        if lines.problem:
            yield Row(lines.number, nothing, lines.problem)
        else:
            yield Row(lines.number, parse(without_newline(line)))
