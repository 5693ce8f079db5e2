"""Words to rows of tables: of the word itself, its beginnings, its ends and its shape.

A word that training has not seen is known by how it is spelt. A model adds the vectors of a token's rows.
Shapes: N tokens, K tables.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError

BEGIN, UNKNOWN, FIRST = 0, 1, 2
"""Rows of the table of words: what fills up a batch, any word that is not frequent, the first that is."""
FREQUENT = 2  # times that a word is seen in training before it has a row of its own
LIST_BYTES = 2 << 20  # that the list of words takes in a run's configuration at most
NUMBER_BYTES = 6  # of the label beside a word
LONGEST_LISTED = 64  # characters; longer words are addresses and rules of dashes
COUNTED = 1 << 21  # words that are counted at a time
REMEMBERED = 1 << 17  # words whose rows are kept at hand
READ_CHARACTERS = 128  # of a longer word, half from its beginning and half from its end


@dataclass(frozen=True)
class Spelling:
    """Something that is read of a word's spelling, and how many rows share all that it can be, by hashing."""

    rows: int
    read: Callable[[str], str]


def beginning(length: int, word: str) -> str:
    """The first characters of a word, in lower case; all of one that is shorter."""
    return word[:length].lower()


def end(length: int, word: str) -> str:
    """The last characters of a word, in lower case; all of one that is shorter."""
    return word[-length:].lower()


CAPITALS, SMALL, OTHER_LETTERS, DIGITS = (
    re.compile(pattern) for pattern in ("[A-Z]+", "[a-z]+", r"[^\W\d_Xx]+", r"\d+")
)


def shape(word: str) -> str:
    """A word with X for capitals, x for other letters and 0 for digits, each once however many follow each other."""
    if not word.isascii():
        word = OTHER_LETTERS.sub(_letters, word)
    return DIGITS.sub("0", SMALL.sub("x", CAPITALS.sub("X", word)))[:16]


def _letters(found: re.Match[str]) -> str:
    return "".join("X" if letter.isupper() else "x" for letter in found[0])


SPELLINGS = (
    Spelling(1 << 11, shape),
    *(Spelling(rows, partial(beginning, length)) for length, rows in ((1, 1 << 9), (2, 1 << 11), (3, 1 << 12))),
    *(Spelling(rows, partial(end, length)) for length, rows in ((1, 1 << 9), (2, 1 << 11), (3, 1 << 13), (4, 1 << 13))),
)


class WordCounter:
    """Counts the words of a text and the labels of each, in bounded memory: among too many, the rare are forgotten."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, words: Sequence[str], labels: Sequence[str]) -> None:
        """Count the words of a sentence."""
        self._counts.update(zip(words, labels, strict=True))
        floor = 1
        while len(self._counts) > COUNTED:
            self._counts = Counter({pair: count for pair, count in self._counts.items() if count > floor})
            floor += 1

    def record(self, labels: Sequence[str]) -> dict[str, Any]:
        """As a run's configuration has it: the words, the most frequent first, and the most frequent of these labels.

        A word that has none of them gets the first.
        """
        total: Counter[str] = Counter()
        best: dict[str, tuple[int, str]] = {}
        number = {label: place for place, label in enumerate(labels)}
        for (word, label), count in self._counts.items():
            total[word] += count
            if label not in number:  # of tokens that are not scored
                continue
            known = best.get(word, (0, ""))
            best[word] = min(known, (-count, label))
        listed, taken = [], 0
        for word, _ in sorted(total.items(), key=lambda item: (-item[1], item[0])):
            taken += len(json.dumps(word, ensure_ascii=False).encode("utf-8", "replace")) + NUMBER_BYTES
            if taken > LIST_BYTES:
                break
            if len(word) <= LONGEST_LISTED:
                listed.append(word)
        return {
            "listed": "\n".join(listed),
            "labels": " ".join(str(number[best[word][1]] if word in best else 0) for word in listed),
            "frequent": sum(total[word] >= FREQUENT for word in listed),
            "left_out": len(total) - len(listed),
        }


@dataclass(frozen=True)
class Words:
    """The words of the training data, the most frequent first, and the number of the most frequent label of each."""

    label_of: Mapping[str, int]
    row_of: Mapping[str, int]
    """The rows of frequent words in lower case in the table of words."""

    @property
    def tables(self) -> tuple[int, ...]:
        """The sizes of the tables of which a token has a row."""
        return (FIRST + len(self.row_of), *(spelling.rows for spelling in SPELLINGS))


def words_from(record: Any, labels: int, source: str) -> Words:
    """The words that a run's configuration names; InputError when it was edited."""
    try:
        listed = record["listed"].split("\n") if record["listed"] else []
        numbers = [int(number) for number in record["labels"].split()]
        frequent = record["frequent"]
        label_of = dict(zip(listed, numbers, strict=True))
        if type(frequent) is not int or not 0 <= frequent <= len(listed) == len(label_of):
            raise ValueError("words that are none")
        if numbers and not 0 <= min(numbers) <= max(numbers) < labels:
            raise ValueError("labels that there are not")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{source} does not say which words are known: it was edited") from error
    lowered = dict.fromkeys(word.lower() for word in listed[:frequent])
    return Words(label_of, {word: row for row, word in enumerate(lowered, start=FIRST)})


class WordReader:
    """Gives the rows of words; those of words that were read are kept at hand."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self._rows: dict[str, tuple[int, ...]] = {}

    def rows(self, words: Iterable[str]) -> npt.NDArray[np.int32]:
        """The rows of each word, (N, K)."""
        known, found = self._rows, []
        for word in words:
            rows = known.get(word)
            if rows is None:
                rows = self._rows_of(word)
                if len(known) >= REMEMBERED:
                    known.clear()
                known[word] = rows
            found.append(rows)
        return np.array(found, np.int32).reshape(-1, 1 + len(SPELLINGS))

    def _rows_of(self, word: str) -> tuple[int, ...]:
        row = self.words.row_of.get(word.lower(), UNKNOWN)
        if len(word) > READ_CHARACTERS:
            word = word[: READ_CHARACTERS // 2] + word[-READ_CHARACTERS // 2 :]
        return (row, *(hashed(spelling.read(word), spelling.rows) for spelling in SPELLINGS))


def hashed(text: str, rows: int) -> int:
    """The row of a text in a table, never BEGIN: the same on every machine."""
    return 1 + zlib.crc32(text.encode("utf-8", "surrogatepass")) % (rows - 1)
