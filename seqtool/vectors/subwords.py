"""Character n-grams as subwords: a word's vector is the mean of theirs, so that an unseen word has one too.

Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information", section 3.2: a word between < and > is
represented by itself and its n-grams, which are hashed to a fixed number of rows.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BEGIN, END = "<", ">"
MOST_NGRAM_ROWS = 1 << 21
MOST_CHARACTERS = 200  # of a word; the rest has no n-grams


@dataclass(frozen=True)
class SubwordRows:
    """The rows of a table of which each word's vector is the mean: of word w rows[starts[w] : starts[w + 1]], its own
    row first; `starts` (V + 1,) int64, `rows` int32.
    """

    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]

    def rows_of(self, word: int) -> npt.NDArray[np.int32]:
        """The rows of one word."""
        return self.rows[self.starts[word] : self.starts[word + 1]]

    def update_frequencies(self, frequencies: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How often each word's vector is updated, (V,), where words have these frequencies (V,): by itself, and by
        each other word to the extent that they share rows.
        """
        lengths = np.diff(self.starts)
        of_rows = np.bincount(self.rows, np.repeat(frequencies, lengths))
        updated: npt.NDArray[np.float64] = np.add.reduceat(of_rows[self.rows], self.starts[:-1]) / lengths
        return updated


@dataclass(frozen=True)
class Ngrams:
    """The lengths of n-grams in characters, and how many `rows` they are hashed to."""

    shortest: int
    longest: int
    rows: int

    def of(self, word: str) -> npt.NDArray[np.int64]:
        """The rows of a word's n-grams, distinct and ascending, in 0 .. rows - 1."""
        return np.unique(self.hashes(word) % self.rows)

    def hashes(self, word: str) -> npt.NDArray[np.int64]:
        """A 32-bit hash of each n-gram of a word."""
        return np.array([zlib.crc32(part.encode("utf-8", "surrogatepass")) for part in self.spelled(word)], np.int64)

    def spelled(self, word: str) -> list[str]:
        """The n-grams of `<word>` from left to right, except the whole."""
        text = BEGIN + word[:MOST_CHARACTERS] + END
        return [
            text[start:end]
            for start in range(len(text))
            for end in range(start + self.shortest, min(start + self.longest, len(text)) + 1)
            if end - start < len(text)
        ]


def subword_rows(words: Iterable[str], shortest: int, longest: int, rows: int = 0) -> tuple[SubwordRows, int]:
    """The rows of V words, whose own are 0 .. V - 1 and whose n-grams' come after these; and the number of n-gram rows:
    `rows`, or as many as there are different n-grams, rounded up to a power of two.
    """
    ngrams = Ngrams(shortest, longest, rows or MOST_NGRAM_ROWS)
    hashes = [ngrams.hashes(word) for word in words]
    shared = rows or min(MOST_NGRAM_ROWS, 1 << (len(np.unique(np.concatenate(hashes))) - 1).bit_length())
    found = [np.unique(of_word % shared) for of_word in hashes]
    starts = np.concatenate([[0], np.cumsum([1 + len(of_word) for of_word in found])])
    of_words = [np.concatenate([[number], len(found) + of_word]) for number, of_word in enumerate(found)]
    return SubwordRows(starts.astype(np.int64), np.concatenate(of_words).astype(np.int32)), shared
