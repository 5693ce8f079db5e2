"""Lines of a stream as they arrive, numbered, bounded in length, and rows that are made of one or more of them."""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

RECORD_CHARACTERS = 16 << 20  # the longest row: memory stays bounded
BAD_BYTE = re.compile("[\udc80-\udcff]")
"""What Python's `surrogateescape` decodes a byte to that is not UTF-8."""
NOT_UTF8 = "is not valid UTF-8"


class Row(NamedTuple):
    """A value a column (None: missing) of the row that begins at line `number` of its file, from 1.

    `problem` says why a row is broken, as a phrase such as `has 3 fields, not 2`; all its values are None then.
    """

    number: int
    values: tuple[str | None, ...]
    problem: str = ""


class BrokenRow(Exception):
    """Why lines are no row, as a phrase that follows `line 7`."""


class Lines:
    """The lines of a text with their newlines. A row may take several; those after its first can be given again.

    `number` is that of the last line given, from 1. With `escaped`, bytes that are not UTF-8 were decoded by
    surrogateescape, and `problem` says if there are such in the lines given since `begin`.
    `characters` were given in all.
    """

    def __init__(self, texts: Iterable[str], *, escaped: bool = False) -> None:
        self.number = 0
        self.problem = ""
        self.characters = 0
        self._arriving = lines_in(texts)
        self._escaped = escaped
        self._again: deque[str] = deque()
        self._given: list[str] = []
        self._begun = 0

    def begin(self) -> None:
        """A row begins at the next line."""
        self._given.clear()
        self._begun = self.characters
        self.problem = ""

    def retry(self) -> None:
        """Give the lines after the first of this row again: it was broken, and they may be rows of their own."""
        again = self._given[1:]
        self._again.extendleft(reversed(again))
        self.number -= len(again)
        self.begin()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._arriving)
        self.number += 1
        self._given.append(line)
        self.characters += len(line)
        if self.characters - self._begun > RECORD_CHARACTERS:
            raise BrokenRow(
                f"begins a row of more than {RECORD_CHARACTERS:,} characters, as when a quote is never closed"
            )
        if self._escaped and not line.isascii() and BAD_BYTE.search(line):
            self.problem = NOT_UTF8
        return line


def lines_in(texts: Iterable[str]) -> Iterator[str]:
    """Lines with their newlines; of one that is longer than a row may be, only its beginning, which is too long too."""
    rest, dropped = "", False
    for text in texts:
        if dropped:
            end = text.find("\n") + 1
            if not end:
                continue
            text, dropped = text[end:], False
        whole = text.rfind("\n") + 1
        if whole:
            yield from io.StringIO(rest + text[:whole], newline="\n")
            rest = ""
        rest += text[whole:]
        if len(rest) > RECORD_CHARACTERS:
            yield rest
            rest, dropped = "", True
    if rest:
        yield rest


def without_newline(line: str) -> str:
    """A line without the LF or CRLF at its end."""
    return line.removesuffix("\n").removesuffix("\r")
