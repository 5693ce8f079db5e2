"""Encoding text in units that SentencePiece splits independently of each other, with a cache of their ids.

Text repeats its words. Where no piece of a vocabulary has a space after another character, a word with the spaces
before it gets the same ids everywhere, so it is a unit and is encoded once. For other vocabularies a unit is a whole
line. A line longer than SEGMENT_CHARACTERS is cut, so that memory stays bounded.

With `unigram` the ids can differ from SentencePiece's where two splits of a word are equally likely (`---` as `--` `-`
or `-` `--`): SentencePiece's choice depends on rounding errors summed over the line so far, and here the same word is
always split the same way.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from seqtool.text.documents import SEGMENT_CHARACTERS, segments_of

MAX_UNITS = 1 << 18  # in the cache
MAX_UNIT_BYTES = 64  # of a unit that stays in the cache, which takes about 70 MB at most
CUT, BEGIN, MORE_SPACE = b"\xfd", b"\xff", b"\xfe"  # bytes that UTF-8 never holds


Unit = TypeVar("Unit", bytes, str)


class UnitEncoder(Generic[Unit]):
    """Encodes a text unit by unit, each new unit by `encode`.

    `split` cuts a text into units. `encode` maps many units at once to ids. `typecode` is the array type of an id.
    """

    def __init__(
        self, split: Callable[[str], list[Unit]], encode: Callable[[list[Unit]], list[list[int]]], typecode: str
    ) -> None:
        self._split: Callable[[str], list[Unit]] = split
        self._encode: Callable[[list[Unit]], list[list[int]]] = encode
        self._typecode = typecode
        self._ids: dict[Unit, bytes] = {}

    def __call__(self, text: str) -> bytearray:
        """The ids of a text, as bytes of the array type."""
        units = self._split(text)
        new = set(units).difference(self._ids)
        if len(self._ids) + len(new) > MAX_UNITS:
            self._ids.clear()
            new = set(units)
        ordered = list(new)
        for unit, row in zip(ordered, self._encode(ordered), strict=True):
            self._ids[unit] = array(self._typecode, row).tobytes()
        found = bytearray().join(map(self._ids.__getitem__, units))
        for unit in ordered:
            if len(unit) > MAX_UNIT_BYTES:
                del self._ids[unit]
        return found


def line_units(text: str, symbols: re.Pattern[bytes] | None = None) -> list[bytes]:
    """The lines of a text, BEGIN before each; long lines in segments, and each symbol a unit of its own."""
    return (BEGIN + _cut_lines(text, symbols).replace(CUT, CUT + BEGIN)).split(CUT)


def whole_line_units(text: str) -> list[bytes]:
    """The lines of a text, BEGIN before each, none cut."""
    return (BEGIN + text.encode().replace(b"\n", b"\n" + CUT + BEGIN)).split(CUT)


def segment_units(text: str, symbols: re.Pattern[bytes] | None = None) -> list[bytes]:
    """The words of a text, as in `word_units`, cut also at symbols and where a long line is cut."""
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
    """The text of a unit, without its newline."""
    text = unit[1:] if unit.startswith(BEGIN) else b" " + unit
    return text.removesuffix(b"\n").replace(MORE_SPACE, b" ")


def _cut_lines(text: str, symbols: re.Pattern[bytes] | None) -> bytes:
    """A text as UTF-8 with CUT after each line, around each symbol, and between the segments of longer parts."""
    data = text.encode().replace(b"\n", b"\n" + CUT)
    if symbols is not None:
        data = symbols.sub(CUT + rb"\g<0>" + CUT, data)
    cuts = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == CUT[0])
    if np.diff(cuts, prepend=-1, append=len(data)).max() <= SEGMENT_CHARACTERS:
        return data
    return CUT.join(_segments(part) if len(part) > SEGMENT_CHARACTERS else part for part in data.split(CUT))


def _segments(line: bytes) -> bytes:
    """A long line with CUT between its segments."""
    text = line.decode()
    ended = "\n" if text.endswith("\n") else ""
    return CUT.join(segment.encode() for segment in segments_of(text.removesuffix(ended))) + ended.encode()
