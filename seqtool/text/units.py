"""Encoding text by units that SentencePiece splits independently of each other: what it said of each is remembered.

Text repeats its words. Where no piece of a vocabulary holds a space after another character, a run of spaces with the
word after it is encoded alike wherever it stands, so it is encoded once; elsewhere a unit is a whole line. A line
longer than SEGMENT_CHARACTERS is cut, so that no line fills the memory.

The one exception is `unigram`, where two splits of a word can be equally likely (`--` and `-` of `---`):
SentencePiece then takes one by the rounding errors of all that stands before it in the line, and here it is always
the same one.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable

import numpy as np

from seqtool.text.documents import SEGMENT_CHARACTERS, segments_of

MAX_UNITS = 1 << 18  # held at once, and
MAX_UNIT_BYTES = 64  # the longest that is held after its block: together at most about 70 MB
CUT, BEGIN, MORE_SPACE = b"\xfd", b"\xff", b"\xfe"  # bytes that UTF-8 never holds


class UnitEncoder:
    """Gives the ids of a text from those of its units, which `encode` (many at once, as bytes of UTF-8) tells.

    `split` cuts a text into units; a newline at the end of one is `newline`. `typecode` is the array type of an id.
    """

    def __init__(
        self,
        split: Callable[[str], list[bytes]],
        encode: Callable[[list[bytes]], list[list[int]]],
        newline: list[int],
        typecode: str,
    ) -> None:
        self._split, self._encode, self._newline, self._typecode = split, encode, newline, typecode
        self._ids: dict[bytes, bytes] = {}

    def __call__(self, text: str) -> bytearray:
        """The ids of a text, as bytes of the array type."""
        units = self._split(text)
        new = set(units).difference(self._ids)
        if len(self._ids) + len(new) > MAX_UNITS:
            self._ids.clear()
            new = set(units)
        ordered = list(new)
        for unit, row in zip(ordered, self._encode([unit_text(unit) for unit in ordered]), strict=True):
            self._ids[unit] = array(self._typecode, row + self._newline if unit.endswith(b"\n") else row).tobytes()
        found = bytearray().join(map(self._ids.__getitem__, units))
        for unit in ordered:
            if len(unit) > MAX_UNIT_BYTES:
                del self._ids[unit]
        return found


def line_units(text: str, symbols: re.Pattern[bytes] | None = None) -> list[bytes]:
    """The lines of a text, BEGIN before each; a long one in segments, and every symbol by itself."""
    return (BEGIN + _cut_lines(text, symbols).replace(CUT, CUT + BEGIN)).split(CUT)


def whole_line_units(text: str) -> list[bytes]:
    """The lines of a text, BEGIN before each, however long."""
    return (BEGIN + text.encode().replace(b"\n", b"\n" + CUT + BEGIN)).split(CUT)


def segment_units(text: str, symbols: re.Pattern[bytes] | None = None) -> list[bytes]:
    """The words of a text, as in `word_units`, none reaching over a segment of a long line or a symbol."""
    return _spaced_units(_cut_lines(text, symbols))


def word_units(text: str) -> list[bytes]:
    """The words of a text without the space before them, or with BEGIN in its place where there is none.

    A newline ends its unit; further spaces are MORE_SPACE.
    """
    return _spaced_units(text.encode().replace(b"\n", b"\n" + CUT))


def _spaced_units(data: bytes) -> list[bytes]:
    if b"  " in data:
        data = data.replace(b"  ", b" " + MORE_SPACE).replace(MORE_SPACE + b" ", MORE_SPACE * 2)
    return (BEGIN + data.replace(CUT, b" " + BEGIN)).split(b" ")


def unit_text(unit: bytes) -> bytes:
    """What a unit stands for, without the newline."""
    text = unit[1:] if unit.startswith(BEGIN) else b" " + unit
    return text.removesuffix(b"\n").replace(MORE_SPACE, b" ")


def _cut_lines(text: str, symbols: re.Pattern[bytes] | None) -> bytes:
    """A text as UTF-8, CUT after each line, around each symbol, and between the segments of what is long between."""
    data = text.encode().replace(b"\n", b"\n" + CUT)
    if symbols is not None:
        data = symbols.sub(CUT + rb"\g<0>" + CUT, data)
    cuts = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == CUT[0])
    if np.diff(cuts, prepend=-1, append=len(data)).max() <= SEGMENT_CHARACTERS:
        return data
    return CUT.join(_segments(part) if len(part) > SEGMENT_CHARACTERS else part for part in data.split(CUT))


def _segments(line: bytes) -> bytes:
    """A long line, CUT between its segments."""
    text = line.decode()
    ended = "\n" if text.endswith("\n") else ""
    return CUT.join(segment.encode() for segment in segments_of(text.removesuffix(ended))) + ended.encode()
