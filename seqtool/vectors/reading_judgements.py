"""Files of people's judgements in the usual formats: word similarity, as WordSim-353 or SimLex-999, and analogies, as
Google's or BATS.

The content tells the format: three or more fields with a number after two words are a pair with its score, four words
are a question, and two fields are a word and its answers.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from seqtool.errors import InputError
from seqtool.files.streams import stream_name
from seqtool.text.documents import TextSource, lines_of
from seqtool.vectors.judging import Analogies, Pair, Question, Similarities

MAX_FILE_CHARACTERS = 64 << 20
MOST_PAIRS = 1_000  # of one relation: their combinations make a million questions
NUMERIC = re.compile(r"[-+.,]*\d|[-+]?(nan|inf|infinity)$", re.IGNORECASE)  # a field like it is not a header's
SEPARATORS = {"": "white space", "\t": "tabs", ";": "semicolons", ",": "commas"}
WORD_COLUMN = re.compile(r"word|term|noun|verb|^w\d$", re.IGNORECASE)
SCORE_COLUMNS = ("simlex", "score", "similarity", "rating", "human", "mean", "gold", "average")
EXPECTED = (
    "expected two words and a number, four words (a is to b as c is to d), or a word and its answers "
    "(answer/answer) after a tab"
)


class NumberedLine(NamedTuple):
    """A line of a file, and its number, counted from 1."""

    number: int
    text: str


class Columns(NamedTuple):
    """The indices of the fields that hold the two words and their score."""

    first: int
    second: int
    score: int


def read_judgements(path: str, errors: str = "strict") -> Similarities | Analogies:
    """Read a file of judgements in any of the formats; InputError names the line that is in none of them."""
    name = stream_name(path)
    filled = [line for line in _lines(path, name, errors) if line.text]
    lines = [line for line in filled if not _is_comment(line)]
    if not lines:
        raise InputError(f"{name} holds no judgements: {EXPECTED}")
    delimiter, kind = next((found for found in map(_format_of, reversed(lines[:2])) if found[1]), ("", ""))
    if lines[0].text.startswith(":") or kind == "questions":
        return Analogies(_sections(lines, name))
    if kind == "pairs":
        return Similarities(_pairs(lines, list(itertools.takewhile(_is_comment, filled)), delimiter, name))
    if kind == "relation":
        return Analogies({name: _combined(lines, delimiter, name)})
    raise InputError(f"{name} line {lines[min(1, len(lines) - 1)].number} is not a judgement: {EXPECTED}")


def _lines(path: str, name: str, errors: str) -> Iterator[NumberedLine]:
    """The lines of a file, stripped of white space."""
    number, characters, rest = 0, 0, ""
    for block in TextSource([path], errors=errors).blocks():
        characters += len(block.text)
        if characters > MAX_FILE_CHARACTERS:
            raise InputError(
                f"{name} is longer than {MAX_FILE_CHARACTERS:,} characters: it is not a file of judgements"
            )
        for line in lines_of(block.text):
            rest += line
            if line.endswith("\n"):
                number += 1
                yield NumberedLine(number, rest.strip())
                rest = ""
    yield NumberedLine(number + 1, rest.strip())


def _is_comment(line: NumberedLine) -> bool:
    return line.text.startswith("#")


def _format_of(line: NumberedLine) -> tuple[str, str]:
    """A line's delimiter, and the kind of file that it shows: "" where the line may be a header."""
    delimiter = next((mark for mark in "\t;," if mark in line.text), "")
    fields = _fields(line.text, delimiter)
    if len(fields) >= 3 and _score_column(fields) is not None:
        return delimiter, "pairs"
    if len(fields) == 4 and delimiter in ("", "\t"):
        return delimiter, "questions"
    return delimiter, "relation" if len(fields) == 2 and _number(fields[1]) is None else ""


def _fields(text: str, delimiter: str) -> list[str]:
    """The fields of a line, stripped of white space."""
    if delimiter in ("", "\t"):
        return [field.strip() for field in text.split(delimiter or None)]
    try:
        return [field.strip() for field in next(csv.reader([text], delimiter=delimiter))]
    except csv.Error:
        return [text]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _score_column(fields: Sequence[str]) -> int | None:
    """The first column after the second that holds a number."""
    return next((column for column in range(2, len(fields)) if _number(fields[column]) is not None), None)


def _pairs(lines: Sequence[NumberedLine], comments: Sequence[NumberedLine], delimiter: str, name: str) -> list[Pair]:
    """Pairs with their scores. A header names the columns, in the first line or in a comment before it."""
    rows = [_fields(line.text, delimiter) for line in lines]
    typical = next(row for row in reversed(rows[:2]) if _score_column(row) is not None)
    has_header = _is_header(rows[0], typical)
    header = rows[0] if has_header else _commented_header(comments, delimiter, typical)
    rows, lines = rows[has_header:], lines[has_header:]
    columns = _columns(header, typical, rows)
    if columns is None:
        raise InputError(
            f"{name} line {lines[0].number}: it is not clear which fields are the two words and their score; name them "
            "in a line before it, as Word 1, Word 2 and Score"
        )
    pairs = []
    for line, fields in zip(lines, rows, strict=True):
        first, second, score = (fields[column] if column < len(fields) else "" for column in columns)
        number = _number(score)
        if number is None or not (first and second):
            raise InputError(
                f"{name} line {line.number} is not a judgement of two words: expected words as fields "
                f"{columns.first + 1} and {columns.second + 1}, and a finite number as field {columns.score + 1}, "
                f"separated by {SEPARATORS[delimiter]}"
            )
        pairs.append(Pair(first, second, number))
    return pairs


def _is_header(fields: Sequence[str], typical: Sequence[str]) -> bool:
    """Whether the first line has a name where a `typical` line has its first number."""
    column = _score_column(typical)
    if column is None or column >= len(fields):
        return False
    return bool(fields[column]) and not NUMERIC.match(fields[column])


def _commented_header(comments: Sequence[NumberedLine], delimiter: str, typical: Sequence[str]) -> list[str]:
    """The last comment that names two words and a score in as many fields as a `typical` line has; [] for none."""
    for comment in reversed(comments):
        fields = _fields(comment.text.lstrip("#"), delimiter)
        words, score = _named(fields, typical)
        if len(fields) == len(typical) and len(words) == 2 and score is not None:
            return fields
    return []


def _named(header: Sequence[str], typical: Sequence[str]) -> tuple[list[int], int | None]:
    """The columns that a header names as words, and the one it names as the score, if that is a number in `typical`."""
    words = [column for column, field in enumerate(header) if WORD_COLUMN.search(field)]
    for column in _numbers(typical, words):
        if column < len(header) and any(part in header[column].lower() for part in SCORE_COLUMNS):
            return words, column
    return words, None


def _columns(header: Sequence[str], typical: Sequence[str], rows: Sequence[Sequence[str]]) -> Columns | None:
    """The columns that the header names, or else the first number and the two words before it; None where the words are
    not two.
    """
    words, score = _named(header, typical)
    if score is None:
        score = next(iter(_numbers(typical, words)), None)
    if score is None:
        return None
    if len(words) != 2:
        words = list(range(score))
    if len(words) > 2:
        words = [column for column in words if any(_is_word(row, column) for row in rows)]
    return Columns(words[0], words[1], score) if len(words) == 2 else None


def _numbers(fields: Sequence[str], words: Sequence[int]) -> list[int]:
    """The columns after the second that hold numbers and are not `words`."""
    return [column for column in range(2, len(fields)) if column not in words and _number(fields[column]) is not None]


def _is_word(fields: Sequence[str], column: int) -> bool:
    """Whether a field is neither a number nor a single letter, as for a part of speech."""
    return column < len(fields) and len(fields[column].encode()) > 1 and _number(fields[column]) is None


def _sections(lines: Sequence[NumberedLine], name: str) -> dict[str, list[Question]]:
    """Google's format: lines of four words, under lines `: section`."""
    sections: dict[str, list[Question]] = {}
    section = name
    for line in lines:
        if line.text.startswith(":"):
            section = line.text[1:].strip()
            continue
        words = line.text.split()
        if len(words) != 4:
            raise InputError(
                f"{name} line {line.number} is not a question: expected four words, a is to b as c is to d, or a "
                "line `: section`"
            )
        sections.setdefault(section, []).append(Question(words[0], (words[1],), words[2], (words[3],)))
    if not sections:
        raise InputError(f"{name} holds no questions: expected four words on each line, a is to b as c is to d")
    return sections


def _combined(lines: Sequence[NumberedLine], delimiter: str, name: str) -> list[Question]:
    """BATS's format: any two lines `word<TAB>answer/answer` make a question, in both orders."""
    pairs = []
    for line in lines:
        fields = _fields(line.text, delimiter)
        answers = tuple(filter(None, fields[-1].split("/")))
        if len(fields) != 2 or not (fields[0] and answers):
            raise InputError(
                f"{name} line {line.number} is not a pair: expected a word and its answers (answer/answer)"
            )
        pairs.append((fields[0], answers))
    if len(pairs) > MOST_PAIRS:
        raise InputError(
            f"{name} holds {len(pairs):,} pairs of words: at most {MOST_PAIRS:,} can be combined into questions"
        )
    return [Question(a, b, c, answers) for (a, b), (c, answers) in itertools.permutations(pairs, 2)]
