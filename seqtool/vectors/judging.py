"""How well vectors agree with people's judgements: word similarity, and analogies."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.vectors.neighbours import Query, Space, UnknownWordError, analogous, cosine

QUESTIONS_AT_ONCE = 4_096


class Pair(NamedTuple):
    """Two words, and how similar people judged them."""

    first: str
    second: str
    score: float


class Question(NamedTuple):
    """a is to b as c is to what? `b` lists alternatives, of which the first that has a vector is used; any of `answers`
    that has a vector is right.
    """

    a: str
    b: tuple[str, ...]
    c: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Similarities:
    """Pairs of words with the similarity that people judged."""

    pairs: list[Pair]

    def words(self) -> list[str]:
        """All distinct words, in order."""
        return list(dict.fromkeys(word for pair in self.pairs for word in (pair.first, pair.second)))

    def unknown(self, space: Space) -> list[str]:
        """The words that have no vector."""
        return [word for word in self.words() if _query(space, word) is None]

    def judge(self, space: Space) -> dict[str, Any]:
        """Spearman's rank correlation between cosines and people's scores, over the pairs whose words have vectors."""
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
        """All distinct words, in order."""
        questions = itertools.chain.from_iterable(self.sections.values())
        return list(dict.fromkeys(word for a, b, c, answers in questions for word in (a, *b, c, *answers)))

    def unknown(self, space: Space) -> list[str]:
        """The words that have no vector."""
        rows = _Rows(space, None)
        return [word for word in self.words() if rows[word] < 0]

    def judge(self, space: Space, top: int | None = None) -> dict[str, Any]:
        """Accuracy by 3CosAdd over the questions whose words are among the `top` most frequent tokens (None: all), from
        which the answers come too.
        """
        rows = _Rows(space, top)
        sections = [
            {"section": name, **_counted(space, questions, rows, top)} for name, questions in self.sections.items()
        ]
        totals = {key: sum(section[key] for section in sections) for key in ("questions", "covered", "correct")}
        return {"kind": "analogies", **_shares(totals), "sections": sections}


def spearman(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float | None:
    """Spearman's rank correlation, with average ranks for ties; None where `x` or `y` is constant."""
    x_ranks, y_ranks = (_ranks(values) for values in (x, y))
    deviations = [ranks - ranks.mean() for ranks in (x_ranks, y_ranks)] if len(x) else [x, y]
    scale = math.sqrt(math.prod(float(each @ each) for each in deviations))
    return float(deviations[0] @ deviations[1]) / scale if scale else None


def _query(space: Space, text: str) -> Query | None:
    """The query of a word or phrase; None where a word of it has no vector."""
    try:
        return space.query(_known(space, text))
    except UnknownWordError:
        return None


def _known(space: Space, text: str) -> str:
    """A word or phrase, with those of its words in lower case that are not tokens as they are."""
    if space.row(text) is not None:
        return text
    return " ".join(word.lower() if space.row(word) is None else word for word in text.split())


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks from 1, the smallest; equal values share their average rank."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]


class _Rows(dict[str, int]):
    """The row of each word, looked up once; -1 for a word that has none below `top`."""

    def __init__(self, space: Space, top: int | None) -> None:
        super().__init__()
        self._space, self._top = space, len(space.vectors.tokens) if top is None else top

    def __missing__(self, word: str) -> int:
        row = self._space.row(_known(self._space, word))
        self[word] = -1 if row is None or row >= self._top else row
        return self[word]


def _counted(space: Space, questions: Sequence[Question], rows: _Rows, top: int | None) -> dict[str, Any]:
    """The number of questions, of those covered, and of those answered correctly."""
    total = covered = correct = 0
    for start in range(0, len(questions), QUESTIONS_AT_ONCE):
        batch = questions[start : start + QUESTIONS_AT_ONCE]
        asked, answers = _askable(batch, rows)
        total, covered = total + len(batch), covered + len(asked)
        if not asked:
            continue
        a_QD, b_QD, c_QD = (space.units(column) for column in zip(*asked, strict=True))
        found = space.nearest(analogous(a_QD, b_QD, c_QD), asked, 1, top)
        correct += sum(bool(first) and first[0].row in right for first, right in zip(found, answers, strict=True))
    return _shares({"questions": total, "covered": covered, "correct": correct})


def _askable(questions: Sequence[Question], rows: _Rows) -> tuple[list[tuple[int, int, int]], list[set[int]]]:
    """The rows of a, b and c, and those of the right answers, of each question for which they all have rows."""
    asked, answers = [], []
    for question in questions:
        a, b, c = rows[question.a], next((rows[b] for b in question.b if rows[b] >= 0), -1), rows[question.c]
        right = {rows[answer] for answer in question.answers} - {-1}
        if min(a, b, c) >= 0 and right:
            asked.append((a, b, c))
            answers.append(right)
    return asked, answers


def _shares(counts: dict[str, int]) -> dict[str, Any]:
    covered = counts["covered"]
    return {
        "questions": counts["questions"],
        "covered": covered,
        "coverage": covered / max(counts["questions"], 1),
        "correct": counts["correct"],
        "accuracy": counts["correct"] / covered if covered else None,
    }
