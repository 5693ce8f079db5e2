"""How good vectors are by people's judgements: word similarity and analogies, from files of the usual forms."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError
from seqtool.text.documents import TextSource, lines_of, stream_name
from seqtool.vectors.neighbours import Query, Space, UnknownWordError, analogous, cosine

MAX_FILE_CHARACTERS = 64 << 20
MOST_PAIRS = 1_000  # of related words, whose combinations are a million questions
QUESTIONS_AT_ONCE = 4_096
NUMERIC = re.compile(r"[-+.,]*\d|[-+]?(nan|inf|infinity)$", re.IGNORECASE)  # a header's field is nothing like it
SEPARATORS = {"": "white space", "\t": "tabs", ";": "semicolons", ",": "commas"}
WORD_COLUMN = re.compile(r"word|term|noun|verb|^w\d$", re.IGNORECASE)
SCORE_COLUMNS = ("simlex", "score", "similarity", "rating", "human", "mean", "gold", "average")
EXPECTED = (
    "expected are two words and a number, four words (a is to b as c is to d), or a word and its answers "
    "(answer/answer) after a tab"
)


class NumberedLine(NamedTuple):
    """A line of a file, and its number, from 1."""

    number: int
    text: str


class Pair(NamedTuple):
    """Two words, and how similar people find them."""

    first: str
    second: str
    score: float


class Columns(NamedTuple):
    """Which fields of a line hold the two words, and their score."""

    first: int
    second: int
    score: int


class Question(NamedTuple):
    """a is to b as c is to what? One of b and any of the answers that the vectors know will do."""

    a: str
    b: tuple[str, ...]
    c: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Similarities:
    """Pairs of words that people judged."""

    pairs: list[Pair]

    def words(self) -> list[str]:
        """Every word, once, in order."""
        return list(dict.fromkeys(word for pair in self.pairs for word in (pair.first, pair.second)))

    def unknown(self, space: Space) -> list[str]:
        """The words that have no vector."""
        return [word for word in self.words() if _query(space, word) is None]

    def judge(self, space: Space) -> dict[str, Any]:
        """Spearman's rank correlation of cosines and people's scores, over the pairs whose words have vectors."""
        cosines, scores = [], []
        for pair in self.pairs:
            first, second = _query(space, pair.first), _query(space, pair.second)
            if first is not None and second is not None:
                cosines.append(cosine(first, second))
                scores.append(pair.score)
        return {
            "kind": "similarity",
            "pairs": len(self.pairs),
            "covered": len(scores),
            "coverage": len(scores) / len(self.pairs),
            "spearman": spearman(np.array(cosines), np.array(scores)),
        }


@dataclass(frozen=True)
class Analogies:
    """Questions, by section."""

    sections: Mapping[str, Sequence[Question]]

    def words(self) -> list[str]:
        """Every word, once, in order."""
        questions = itertools.chain.from_iterable(self.sections.values())
        return list(dict.fromkeys(word for a, b, c, answers in questions for word in (a, *b, c, *answers)))

    def unknown(self, space: Space) -> list[str]:
        """The words that are no tokens."""
        rows = _Rows(space, None)
        return [word for word in self.words() if rows[word] < 0]

    def judge(self, space: Space, top: int | None = None) -> dict[str, Any]:
        """The share answered rightly by 3CosAdd of the questions whose words are among the `top` most frequent."""
        rows = _Rows(space, top)
        sections = [
            {"section": name, **_counted(space, questions, rows, top)} for name, questions in self.sections.items()
        ]
        totals = {key: sum(section[key] for section in sections) for key in ("questions", "covered", "correct")}
        return {"kind": "analogies", **_shares(totals), "sections": sections}


def read_judgements(path: str, errors: str = "strict") -> Similarities | Analogies:
    """Read a file of judgements, of whichever form it has; InputError names the line that has none."""
    name = stream_name(path)
    said = [line for line in _lines(path, name, errors) if line.text]
    lines = [line for line in said if not _is_comment(line)]
    if not lines:
        raise InputError(f"{name} holds no judgements: {EXPECTED}")
    delimiter, kind = next((found for found in map(_form, reversed(lines[:2])) if found[1]), ("", ""))
    if lines[0].text.startswith(":") or kind == "questions":
        return Analogies(_sections(lines, name))
    if kind == "pairs":
        return Similarities(_pairs(lines, list(itertools.takewhile(_is_comment, said)), delimiter, name))
    if kind == "relation":
        return Analogies({name: _combined(lines, delimiter, name)})
    raise InputError(f"{name} line {lines[min(1, len(lines) - 1)].number} is no judgement: {EXPECTED}")


def spearman(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float | None:
    """Spearman's rank correlation, ties given their average rank; None where one side has but one value."""
    x_ranks, y_ranks = (_ranks(values) for values in (x, y))
    deviations = [ranks - ranks.mean() for ranks in (x_ranks, y_ranks)] if len(x) else [x, y]
    scale = math.sqrt(math.prod(float(each @ each) for each in deviations))
    return float(deviations[0] @ deviations[1]) / scale if scale else None


def _query(space: Space, text: str) -> Query | None:
    """Where a word or phrase lies; None where a word of it has no vector."""
    try:
        return space.query(_known(space, text))
    except UnknownWordError:
        return None


def _known(space: Space, text: str) -> str:
    """A word or phrase as it is, its words in lower case where only that is a token."""
    if space.row(text) is not None:
        return text
    return " ".join(word.lower() if space.row(word) is None else word for word in text.split())


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """1 for the smallest; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]


class _Rows(dict[str, int]):
    """The row of each word, below `top`; -1 for a word that has none."""

    def __init__(self, space: Space, top: int | None) -> None:
        super().__init__()
        self._space, self._top = space, len(space.vectors.tokens) if top is None else top

    def __missing__(self, word: str) -> int:
        row = self._space.row(_known(self._space, word))
        self[word] = -1 if row is None or row >= self._top else row
        return self[word]


def _counted(space: Space, questions: Sequence[Question], rows: _Rows, top: int | None) -> dict[str, Any]:
    """How many questions there are, how many could be asked, and how many were answered rightly."""
    total = covered = correct = 0
    for start in range(0, len(questions), QUESTIONS_AT_ONCE):
        batch = questions[start : start + QUESTIONS_AT_ONCE]
        asked: list[tuple[int, int, int]] = []
        answers: list[set[int]] = []
        for question in batch:
            a, b, c = rows[question.a], next((rows[b] for b in question.b if rows[b] >= 0), -1), rows[question.c]
            right = {rows[answer] for answer in question.answers} - {-1}
            if min(a, b, c) >= 0 and right:
                asked.append((a, b, c))
                answers.append(right)
        total, covered = total + len(batch), covered + len(asked)
        if not asked:
            continue
        a_QD, b_QD, c_QD = (space.units(column) for column in zip(*asked, strict=True))
        found = space.nearest(analogous(a_QD, b_QD, c_QD), asked, 1, top)
        correct += sum(bool(first) and first[0].row in right for first, right in zip(found, answers, strict=True))
    return _shares({"questions": total, "covered": covered, "correct": correct})


def _shares(counts: dict[str, int]) -> dict[str, Any]:
    covered = counts["covered"]
    return {
        "questions": counts["questions"],
        "covered": covered,
        "coverage": covered / max(counts["questions"], 1),
        "correct": counts["correct"],
        "accuracy": counts["correct"] / covered if covered else None,
    }


def _lines(path: str, name: str, errors: str) -> Iterator[NumberedLine]:
    """The lines of a file, without the white space around them."""
    number, characters, rest = 0, 0, ""
    for block in TextSource([path], errors=errors).blocks():
        characters += len(block.text)
        if characters > MAX_FILE_CHARACTERS:
            raise InputError(f"{name} is longer than {MAX_FILE_CHARACTERS:,} characters: it is no file of judgements")
        for line in lines_of(block.text):
            rest += line
            if line.endswith("\n"):
                number += 1
                yield NumberedLine(number, rest.strip())
                rest = ""
    yield NumberedLine(number + 1, rest.strip())


def _is_comment(line: NumberedLine) -> bool:
    return line.text.startswith("#")


def _form(line: NumberedLine) -> tuple[str, str]:
    """What separates a line's fields, and which kind of file it speaks for: none where it may be a header."""
    delimiter = next((mark for mark in "\t;," if mark in line.text), "")
    fields = _fields(line.text, delimiter)
    if len(fields) >= 3 and _score_column(fields) is not None:
        return delimiter, "pairs"
    if len(fields) == 4 and delimiter in ("", "\t"):
        return delimiter, "questions"
    return delimiter, "relation" if len(fields) == 2 and _number(fields[1]) is None else ""


def _fields(text: str, delimiter: str) -> list[str]:
    """The parts of a line, without the white space around them."""
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
    """The first column after the two words that holds a number."""
    return next((column for column in range(2, len(fields)) if _number(fields[column]) is not None), None)


def _pairs(lines: Sequence[NumberedLine], comments: Sequence[NumberedLine], delimiter: str, name: str) -> list[Pair]:
    """Pairs with their scores, from the columns that a header names: the first line, or a comment before it."""
    rows = [_fields(line.text, delimiter) for line in lines]
    typical = next(row for row in reversed(rows[:2]) if _score_column(row) is not None)
    has_header = _is_header(rows[0], typical)
    header = rows[0] if has_header else _commented_header(comments, delimiter, typical)
    rows, lines = rows[has_header:], lines[has_header:]
    columns = _columns(header, typical, rows)
    if columns is None:
        raise InputError(
            f"{name} line {lines[0].number}: which fields are the two words and their score cannot be told; name them "
            "in a line before it, as Word 1, Word 2 and Score"
        )
    pairs = []
    for line, fields in zip(lines, rows, strict=True):
        first, second, score = (fields[column] if column < len(fields) else "" for column in columns)
        number = _number(score)
        if number is None or not (first and second):
            raise InputError(
                f"{name} line {line.number} is no judgement of two words: expected are words as fields "
                f"{columns.first + 1} and {columns.second + 1}, and a finite number as field {columns.score + 1}, "
                f"separated by {SEPARATORS[delimiter]}"
            )
        pairs.append(Pair(first, second, number))
    return pairs


def _is_header(fields: Sequence[str], typical: Sequence[str]) -> bool:
    """Whether a first line has a name where a `typical` one has its first number."""
    column = _score_column(typical)
    if column is None or column >= len(fields):
        return False
    return bool(fields[column]) and not NUMERIC.match(fields[column])


def _commented_header(comments: Sequence[NumberedLine], delimiter: str, typical: Sequence[str]) -> list[str]:
    """The last comment that names two words and a score, and as many fields as a `typical` line has; empty for none."""
    for comment in reversed(comments):
        fields = _fields(comment.text.lstrip("#"), delimiter)
        words, score = _named(fields, typical)
        if len(fields) == len(typical) and len(words) == 2 and score is not None:
            return fields
    return []


def _named(header: Sequence[str], typical: Sequence[str]) -> tuple[list[int], int | None]:
    """The columns that a header calls words, and the one that it calls a score and that is a number in `typical`."""
    words = [column for column, field in enumerate(header) if WORD_COLUMN.search(field)]
    for column in _numbers(typical, words):
        if column < len(header) and any(part in header[column].lower() for part in SCORE_COLUMNS):
            return words, column
    return words, None


def _columns(header: Sequence[str], typical: Sequence[str], rows: Sequence[Sequence[str]]) -> Columns | None:
    """The columns that the header names; or else the first number, and the two words before it; None where they are
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
    """Whether a field is no number and no letter, as that of a part of speech."""
    return column < len(fields) and len(fields[column].encode()) > 1 and _number(fields[column]) is None


def _sections(lines: Sequence[NumberedLine], name: str) -> dict[str, list[Question]]:
    """Google's questions: lines of four words under lines `: section`."""
    sections: dict[str, list[Question]] = {}
    section = name
    for line in lines:
        if line.text.startswith(":"):
            section = line.text[1:].strip()
            continue
        words = line.text.split()
        if len(words) != 4:
            raise InputError(
                f"{name} line {line.number} is no question: expected are four words, a is to b as c is to d, or a "
                "line `: section`"
            )
        sections.setdefault(section, []).append(Question(words[0], (words[1],), words[2], (words[3],)))
    if not sections:
        raise InputError(f"{name} holds no questions: expected are four words a line, a is to b as c is to d")
    return sections


def _combined(lines: Sequence[NumberedLine], delimiter: str, name: str) -> list[Question]:
    """Every two pairs `word<TAB>answer/answer` of one relation make a question, in both orders."""
    pairs = []
    for line in lines:
        fields = _fields(line.text, delimiter)
        answers = tuple(filter(None, fields[-1].split("/")))
        if len(fields) != 2 or not (fields[0] and answers):
            raise InputError(
                f"{name} line {line.number} is no pair: expected are a word and its answers (answer/answer)"
            )
        pairs.append((fields[0], answers))
    if len(pairs) > MOST_PAIRS:
        raise InputError(
            f"{name} holds {len(pairs):,} pairs of words: more than {MOST_PAIRS:,} are too many to combine"
        )
    return [Question(a, b, c, answers) for (a, b), (c, answers) in itertools.permutations(pairs, 2)]
