"""Which word each token belongs to.

Words are separated by white space. The white space before a word in its line belongs to the word; a newline with the
white space before it is a unit of its own, and so is white space at the end of a document. A token belongs to the unit
of its first character that is not white space, and a token of white space alone to that of its last character. So a
token that spans two words counts for the first, and the nats of all units add up to those of all tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.text.documents import WHITE_SPACE_END
from seqtool.text.encoding import Ids
from seqtool.text.tables import ByteTable

NEWLINE = ord("\n")
SPACE_IN_LINE = np.array([byte < 0x80 and chr(byte).isspace() and byte != NEWLINE for byte in range(256)])
WIDE_SPACE = re.compile(
    b"|".join(chr(point).encode() for point in range(0x80, WHITE_SPACE_END + 1) if chr(point).isspace())
)


class Units(NamedTuple):
    """Bytes divided into units, which are words and line ends; behind the last complete unit comes the rest."""

    data: bytes
    stops: list[int]  # the end of each complete unit
    solid: list[int]  # the first byte of each unit, and of the rest, that is not white space
    of_token: npt.NDArray[np.int64]  # the unit of each token; that of the rest is the last number
    continues_word: bool  # whether the first byte is a word's, or there is none

    def texts(self) -> Iterator[str]:
        """The text of each unit, then of the rest, without white space before it unless there is nothing else."""
        begin = 0
        for stop, solid in zip([*self.stops, len(self.data)], self.solid, strict=True):
            yield self.data[solid if solid < stop else begin : stop].decode("utf-8", "replace")
            begin = stop


def is_white_space(text: str) -> bool:
    """Whether a text has no word and no newline."""
    return "\n" not in text and (not text or text.isspace())


def units_of(table: ByteTable, ids: Ids, starts: Sequence[int]) -> Units:
    """Divide the bytes of some ids, among which documents begin at `starts`, into units."""
    data, lengths = table.join(ids), table.lengths[ids]
    stops = np.cumsum(lengths)
    begins = stops - lengths
    codes = np.frombuffer(data, np.uint8)
    space = SPACE_IN_LINE[codes]
    for match in () if data.isascii() else WIDE_SPACE.finditer(data):
        space[match.start() : match.end()] = True
    newline = codes == NEWLINE
    word = ~(space | newline)
    last = newline.copy()  # whether a byte ends a unit
    last[:-1] |= word[:-1] & ~word[1:]
    borders = np.append(begins, len(data))[list(starts)]
    last[borders[borders > 0] - 1] = True
    unit = np.append(0, np.cumsum(last))  # the unit of each byte, and of the end
    places = np.where(space, len(data), np.arange(len(data)))
    solid = np.append(
        np.minimum.accumulate(places[::-1])[::-1], len(data)
    )  # the next byte that is not white space, from each byte on
    found = np.where(solid[begins] < stops, solid[begins], np.maximum(stops - 1, begins))
    ends = np.flatnonzero(last) + 1
    return Units(data, ends.tolist(), solid[np.append(0, ends)].tolist(), unit[found], bool(word[:1].all()))
