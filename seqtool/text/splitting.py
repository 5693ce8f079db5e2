r"""Splitting text into the units that byte-level BPE merges inside, by the patterns of GPT-2, SmolLM, Llama 3 and
Qwen2.

A pattern is written with Unicode's classes, which Python's `re` has not: letters \p{L}, numbers \p{N}, white space \s
and what is none of these. All else in it is ASCII. So it runs on the shadow of a text, in which every other character
is an ASCII one of its class; a unit is as long in the shadow as in the text. Which characters are letters is as
`unicodedata` of this Python has it.

Where a text is cut for `cuts`, each part has the units alone that it has in the whole.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.text.documents import CODE_POINTS, code_points

LETTER, NUMBER, WHITE_SPACE, OTHER = "a", "0", "\t", "!"
"""What stands for a character that is not ASCII. No contraction has the letter."""
LAST_LETTER = 0x40000  # no letter, number or white space has a code point from here on
WHITE_SPACES = (0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
LONG_S = 0x17F  # of which `s` is the upper case's lower case: `(?i:'s)` matches it
NEAR_END = 256  # characters of a text's end in which a cut is nearly always found


class Splitting(NamedTuple):
    """A pattern on the shadow of a text, and one of the places where a text may be cut."""

    units: re.Pattern[str]
    cuts: re.Pattern[str]
    folds_long_s: bool
    """Whether its contractions are found in either case."""

    def split(self, text: str) -> list[str]:
        """The units of a text, which are all of it."""
        if text.isascii():
            return self.units.findall(text)
        lengths = map(len, self.units.findall(self._shadow(text)))
        return [text[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]

    def last_cut(self, text: str, start: int, end: int) -> int:
        """The last place after `start`, and at `end` at the latest, where a text may be cut; 0 where there is none."""
        for first in (max(start, end - NEAR_END), start):
            places = [found.start() for found in self.cuts.finditer(self._shadow(text[first : end + 1]))]
            if places:
                return first + places[-1]
        return 0

    def _shadow(self, text: str) -> str:
        if text.isascii():
            return text
        return _stand_ins(self.folds_long_s).take(code_points(text)).tobytes().decode("ascii")


@functools.cache
def _stand_ins(folds_long_s: bool) -> npt.NDArray[np.uint8]:
    """The ASCII character that stands for each code point, (CODE_POINTS,)."""
    table = np.full(CODE_POINTS, ord(OTHER), np.uint8)
    kinds = {"L": ord(LETTER), "N": ord(NUMBER)}
    table[:LAST_LETTER] = [kinds.get(unicodedata.category(chr(point))[0], ord(OTHER)) for point in range(LAST_LETTER)]
    table[list(WHITE_SPACES)] = ord(WHITE_SPACE)
    table[:0x80] = np.arange(0x80)
    if folds_long_s:
        table[LONG_S] = ord("s")
    return table


def _of_words(digits: str) -> Splitting:
    """Llama 3's pattern and those like it: a sign goes to the word behind it, newlines to the signs before them."""
    units = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]" + digits + r"| ?[^\sA-Za-z0-9]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    cuts = r"(?<=\S)(?=[^\S\r\n])|(?<=[A-Za-z0-9])(?=[\r\n])|(?<=[\r\n])(?=\S)"
    return Splitting(re.compile(units, re.ASCII), re.compile(cuts, re.ASCII), folds_long_s=True)


GPT2_UNITS = r" ?[A-Za-z]+|'s|'t|'re|'ve|'m|'ll|'d| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+"
# Each digit is parted first, so that white space before one ends a part, as before the end of a text.
SMOLLM_UNITS = r" ?[A-Za-z]+|'s|'t|'re|'ve|'m|'ll|'d|[0-9]| ?[^\sA-Za-z0-9]+|\s+(?![^\s0-9])|\s+"
BEFORE_SPACE = re.compile(r"(?<=\S)(?=\s)", re.ASCII)
SPLITTINGS = {
    "gpt-2": Splitting(re.compile(GPT2_UNITS, re.ASCII), BEFORE_SPACE, folds_long_s=False),
    "smollm": Splitting(re.compile(SMOLLM_UNITS, re.ASCII), BEFORE_SPACE, folds_long_s=False),
    "llama-3": _of_words("{1,3}"),
    "qwen2": _of_words(""),
}
