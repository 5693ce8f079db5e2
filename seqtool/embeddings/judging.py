"""How good vectors are by people's judgements: word similarity and analogies, from files of the usual forms."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.embeddings.neighbours import Space, UnknownWordError, analogous, cosine
from seqtool.errors import InputError
from seqtool.text.documents import TextSource, lines_of

MAX_FILE_CHARACTERS = 64 << 20
MOST_PAIRS = 1_000  # of related words, whose combinations are a million questions
QUESTIONS_AT_ONCE = 4_096
SCORE_COLUMNS = ("simlex", "score", "similarity", "rating", "human", "mean", "gold", "average")
EXPECTED = (
    "expected are two words and a number, four words (a is to b as c is to d), or a word and its answers "
    "(answer/answer) after a tab"
)


class Line(NamedTuple):
    """A line of a file, and its number, from 1."""

    number: int
    text: str


class Pair(NamedTuple):
    """Two words, and how similar people find them."""

    first: str
    second: str
    score: float


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

    def judge(self, space: Space) -> dict[str, Any]:
        """Spearman's rank correlation of cosines and people's scores, over the pairs whose words have vectors."""
        cosines, scores = [], []
        for pair in self.pairs:
            try:
                cosines.append(cosine(*(space.query(_known(space, word)) for word in (pair.first, pair.second))))
            except UnknownWordError:
                continue
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

    def judge(self, space: Space, top: int | None = None) -> dict[str, Any]:
        """The share answered rightly by 3CosAdd of the questions whose words are among the `top` most frequent."""
        rows = _Rows(space, top)
        sections = [
            {"section": name, **_counted(space, questions, rows, top)} for name, questions in self.sections.items()
        ]
        totals = {key: sum(section[key] for section in sections) for key in ("questions", "covered", "correct")}
        return {"kind": "analogies", **_shares(totals), "sections": sections}


def read_judgements(path: str) -> Similarities | Analogies:
    """Read a file of judgements, of whichever form it has; InputError names the line that has none."""
    name = "standard input" if path == "-" else path
    lines = [line for line in _lines(path, name) if line.text and not line.text.startswith("#")]
    if not lines:
        raise InputError(f"{name} holds no judgements: {EXPECTED}")
    delimiter, kind = next((found for found in map(_form, reversed(lines[:2])) if found[1]), ("", ""))
    if lines[0].text.startswith(":") or kind == "questions":
        return Analogies(_sections(lines, name))
    if kind == "pairs":
        return Similarities(_pairs(lines, delimiter, name))
    if kind == "relation":
        return Analogies({name: _combined(lines, delimiter, name)})
    raise InputError(f"{name} line {lines[min(1, len(lines) - 1)].number} is no judgement: {EXPECTED}")


def spearman(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float | None:
    """Spearman's rank correlation, ties given their average rank; None where one side has but one value."""
    x_ranks, y_ranks = (_ranks(values) for values in (x, y))
    deviations = [ranks - ranks.mean() for ranks in (x_ranks, y_ranks)] if len(x) else [x, y]
    scale = math.sqrt(math.prod(float(each @ each) for each in deviations))
    return float(deviations[0] @ deviations[1]) / scale if scale else None


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


def _lines(path: str, name: str) -> Iterator[Line]:
    """The lines of a file, without the white space around them."""
    number, characters, rest = 0, 0, ""
    for block in TextSource([path]).blocks():
        characters += len(block.text)
        if characters > MAX_FILE_CHARACTERS:
            raise InputError(f"{name} is longer than {MAX_FILE_CHARACTERS:,} characters: it is no file of judgements")
        for line in lines_of(block.text):
            rest += line
            if line.endswith("\n"):
                number += 1
                yield Line(number, rest.strip())
                rest = ""
    yield Line(number + 1, rest.strip())


def _form(line: Line) -> tuple[str, str]:
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


def _pairs(lines: Sequence[Line], delimiter: str, name: str) -> list[Pair]:
    """Pairs with their scores, found under the name of a score where there is a header, or else as the first number."""
    header = _fields(lines[0].text, delimiter)
    column = _score_column(header)
    has_header = column is None
    if has_header:
        named = (i for i, field in enumerate(header) if i >= 2 and any(part in field.lower() for part in SCORE_COLUMNS))
        column = next(named, _score_column(_fields(lines[1].text, delimiter)))
    assert column is not None  # by which the file was recognised
    pairs = []
    for line in lines[has_header:]:
        fields = _fields(line.text, delimiter)
        score = _number(fields[column]) if column < len(fields) else None
        if score is None or not (fields[0] and fields[1]):
            raise InputError(
                f"{name} line {line.number} is no judgement of two words: expected are two words, and a number as "
                f"field {column + 1}"
            )
        pairs.append(Pair(fields[0], fields[1], score))
    return pairs


def _sections(lines: Sequence[Line], name: str) -> dict[str, list[Question]]:
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


def _combined(lines: Sequence[Line], delimiter: str, name: str) -> list[Question]:
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
