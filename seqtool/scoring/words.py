"""Which word each token belongs to.

A word is what white space separates. The white space before a word in its line belongs to the word; a line's newline,
with the white space before it, is a unit of its own; so is white space that nothing follows in its document. A token
belongs to the unit of its first character that is not white space, and one of white space alone to that of its last
character, so that a piece that crosses the border of words counts to the first of them, and the units' nats add up to
the tokens'.
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
    """The words and line ends in some bytes; `rest` is what stands behind the last whole one."""

    data: bytes
    stops: list[int]  # where each whole one ends
    solid: list[int]  # where it, or the rest, has its first byte that is not white space
    of_token: npt.NDArray[np.int64]  # which one each token belongs to; the rest is one too
    continues_word: bool  # the bytes begin with a word, or there are none

    def texts(self) -> Iterator[str]:
        """Each unit's text, without the white space before it unless there is nothing else; the rest's is the last."""
        begin = 0
        for stop, solid in zip([*self.stops, len(self.data)], self.solid, strict=True):
            yield self.data[solid if solid < stop else begin : stop].decode("utf-8", "replace")
            begin = stop


def is_white_space(text: str) -> bool:
    """Whether a text holds no word and no newline."""
    return "\n" not in text and (not text or text.isspace())


def units_of(table: ByteTable, ids: Ids, starts: Sequence[int]) -> Units:
    """The units in the bytes of some ids, among which documents begin at `starts`."""
    data, lengths = table.join(ids), table.lengths[ids]
    stops = np.cumsum(lengths)
    begins = stops - lengths
    codes = np.frombuffer(data, np.uint8)
    space = SPACE_IN_LINE[codes]
    for match in () if data.isascii() else WIDE_SPACE.finditer(data):
        space[match.start() : match.end()] = True
    newline = codes == NEWLINE
    word = ~(space | newline)
    last = newline.copy()  # which bytes end a unit
    last[:-1] |= word[:-1] & ~word[1:]
    borders = np.append(begins, len(data))[list(starts)]
    last[borders[borders > 0] - 1] = True
    unit = np.append(0, np.cumsum(last))  # of each byte, and of the end
    places = np.where(space, len(data), np.arange(len(data)))
    solid = np.append(np.minimum.accumulate(places[::-1])[::-1], len(data))  # the next such byte
    found = np.where(solid[begins] < stops, solid[begins], np.maximum(stops - 1, begins))
    ends = np.flatnonzero(last) + 1
    return Units(data, ends.tolist(), solid[np.append(0, ends)].tolist(), unit[found], bool(word[:1].all()))
