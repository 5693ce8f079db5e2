"""Exact nearest neighbours of words, phrases and points by cosine, for one query or many at once.

Shapes: V tokens, D numbers in a vector, Q queries, N rows of a block, G groups of rows, K neighbours.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError
from seqtool.settings.vocabulary import BYTE_LEVEL
from seqtool.text.byte_level import spelled_piece
from seqtool.text.normalizing import SPACE, folded
from seqtool.vectors.vectors import FloatMatrix, Vectors

if TYPE_CHECKING:
    from seqtool.text.vocabulary import Vocabulary

WITH_SPACES = ("bpe", "unigram", "foreign")  # types of vocabulary whose words begin with SPACE
SCORES_AT_ONCE = 4 << 20
QUERIES_AT_ONCE = 128
BLOCK_ROWS = 1 << 17
GROUPS = 128  # their best scores bound the K-th best of a block from below
SHORTEST, LONGEST = 1e-15, 1e15  # norms whose squares float32 can hold
# This many more candidates than asked for are found in float32, and ranked in float64: cosines are then exact to all
# digits, and a query has the same answer alone or among others.
SPARE = 16

Point = npt.NDArray[np.float64]


class UnknownWordError(InputError):
    """A word has no vector; messages call the vectors `name`."""

    def __init__(self, word: str, name: str) -> None:
        super().__init__(f"{name} has no vector for {word!r}")
        self.word = word


@dataclass(frozen=True)
class Query:
    """The direction `unit_D` (D,) of a word or phrase, of length 1 or 0, and the `rows` of the tokens in it."""

    text: str
    unit_D: Point
    rows: tuple[int, ...]


class Neighbour(NamedTuple):
    """A token's row, and its cosine with the query."""

    row: int
    cosine: float


class Space:
    """The vector space of a file, to be queried; errors call it `name`. A zero vector has cosine 0 with everything."""

    def __init__(self, vectors: Vectors, name: str = "the file") -> None:
        self.vectors = vectors
        self.name = name
        self.size = len(vectors.tokens)

    def query(self, text: str) -> Query:
        """The direction of a text: its token's, or else the mean of its words'; that of an unseen word is the mean of
        its n-grams or pieces.

        UnknownWordError when a word is not a token and has no n-grams or pieces that have vectors.
        """
        row = self.row(text)
        if row is not None:
            return Query(text, self.units([row])[0], (row,))
        words = [self._word(word) for word in text.split()]
        if not words:
            raise UnknownWordError(text, self.name)
        rows = tuple(row for word in words for row in word.rows)
        return Query(text, unit(sum((word.unit_D for word in words), np.zeros(self.vectors.dim))), rows)

    def row(self, text: str) -> int | None:
        """The row of the token that equals a text, normalised as the tokens are; None where there is none."""
        token = self._normalized(text)
        if self.vectors.metadata.get("vocabulary_type") == BYTE_LEVEL:
            row = self.vectors.tokens.find(spelled_piece(token))
            return self.vectors.tokens.find(spelled_piece(" " + token)) if row is None else row
        if self.vectors.metadata.get("vocabulary_type") in WITH_SPACES:
            token = token.replace(" ", SPACE)
            row = self.vectors.tokens.find(token)
            return self.vectors.tokens.find(SPACE + token) if row is None else row
        return self.vectors.tokens.find(token)

    def units(self, rows: npt.ArrayLike) -> Point:
        """The vectors of `rows` scaled to length 1; shape (rows, D)."""
        return unit(self.vectors.matrix_VD[np.asarray(rows, np.int64)])

    def nearest(
        self, points: Sequence[Point] | Point, left_out: Sequence[Iterable[int]], count: int, among: int | None = None
    ) -> list[list[Neighbour]]:
        """For each of Q points (D,), of length 1 or 0, the `count` nearest tokens, nearest first, equals by row.

        Only the first `among` rows are candidates, except those that `left_out` lists for the point.
        """
        size = self.size if among is None else min(among, self.size)
        at_once = max(1, min(QUERIES_AT_ONCE, SCORES_AT_ONCE // (count + SPARE)))
        found = []
        for start in range(0, len(points), at_once):
            part = slice(start, start + at_once)
            units_QD = np.array(points[part], np.float32)
            rows = self._candidates(units_QD, left_out[part], min(count + SPARE, size), size)
            found += [self._ordered(*both)[:count] for both in zip(points[part], rows, strict=True)]
        return found

    def _word(self, word: str) -> Query:
        """The direction of a word: its token's, or the mean of its n-grams or pieces."""
        row = self.row(word)
        if row is not None:
            return Query(word, self.units([row])[0], (row,))
        vector = self.vectors.of(self._normalized(word))
        if vector is not None:
            return Query(word, unit(vector), ())
        rows = self._piece_rows(word)
        if not rows:
            raise UnknownWordError(word, self.name)
        return Query(word, unit(self.units(rows).sum(axis=0)), tuple(rows))

    def _piece_rows(self, word: str) -> list[int]:
        """The rows of the pieces that the vocabulary splits a word into; none where it has whole words only."""
        if self._vocabulary is None:
            return []
        kind = self.vectors.metadata.get("vocabulary_type")
        text = word.encode("utf-8", "replace").decode()
        ids = self._vocabulary.encode(" " + text if kind in ("bpe", "unigram", BYTE_LEVEL) else text).tolist()
        pieces = [self._vocabulary.piece(index) for index in ids if index != self._vocabulary.unknown_id]
        rows = [self.vectors.tokens.find(piece) for piece in pieces if piece != SPACE]
        return [row for row in rows if row is not None]

    @functools.cached_property
    def _vocabulary(self) -> Vocabulary | None:
        if not self.vectors.model or self.vectors.metadata.get("vocabulary_type") == "word":
            return None
        from seqtool.text.vocabulary import Vocabulary

        return Vocabulary(self.vectors.model, f"the vocabulary in {self.name}")

    def _normalized(self, text: str) -> str:
        metadata = self.vectors.metadata
        return folded(text, metadata.get("normalize", "none"), metadata.get("lowercase", False))

    @functools.cached_property
    def _inverse_norms_V(self) -> FloatMatrix:
        """1 / the norm of each vector; 0 for zero vectors and those of `_odd_rows`."""
        norms_V = self._norms_V
        return np.divide(1, norms_V, out=np.zeros_like(norms_V), where=_held(norms_V))

    @functools.cached_property
    def _odd_rows(self) -> npt.NDArray[np.int64]:
        """The rows of nonzero vectors whose squared norm float32 cannot hold: their cosines are computed in float64."""
        odd = np.flatnonzero(~_held(self._norms_V))
        parts = [odd[start : start + BLOCK_ROWS] for start in range(0, len(odd), BLOCK_ROWS)]
        return np.concatenate([odd[:0], *(part[self.vectors.matrix_VD[part].any(axis=1)] for part in parts)])

    @functools.cached_property
    def _norms_V(self) -> FloatMatrix:
        blocks = (self.vectors.matrix_VD[start : start + BLOCK_ROWS] for start in range(0, self.size, BLOCK_ROWS))
        with np.errstate(all="ignore"):
            return np.sqrt(np.concatenate([np.einsum("nd,nd->n", block_ND, block_ND) for block_ND in blocks]))

    def _candidates(
        self, units_QD: FloatMatrix, left_out: Sequence[Iterable[int]], count: int, size: int
    ) -> list[npt.NDArray[np.int64]]:
        """The `count` best rows of each query in float32, found block by block."""
        best = [(np.empty(0, np.float32), np.empty(0, np.int64)) for _ in units_QD]
        lowest_Q = np.full(len(units_QD), -np.inf, np.float32)
        excluded_Q = [np.array(sorted(set(rows)), np.int64) for rows in left_out]
        block_rows = min(BLOCK_ROWS, SCORES_AT_ONCE // len(units_QD))
        for start in range(0, size, block_rows):
            stop = min(start + block_rows, size)
            scores_QN = self._scores(units_QD, start, stop)
            for scores_N, excluded in zip(scores_QN, excluded_Q, strict=True):
                scores_N[excluded[(excluded >= start) & (excluded < stop)] - start] = -np.inf
            bounds_Q, highest_Q = _bounds(scores_QN, count)
            for q in np.flatnonzero(highest_Q > lowest_Q):
                rows = np.flatnonzero(scores_QN[q] >= max(bounds_Q[q], np.nextafter(lowest_Q[q], np.float32(np.inf))))
                best[q] = _merged(best[q], (scores_QN[q, rows], rows + start), count)
                if len(best[q][0]) == count:
                    lowest_Q[q] = best[q][0][-1]
        return [rows for _, rows in best]

    def _scores(self, units_QD: FloatMatrix, start: int, stop: int) -> FloatMatrix:
        """Cosines of each query with the rows from `start` to `stop`; shape (Q, N)."""
        with np.errstate(all="ignore"):
            scores_QN: FloatMatrix = units_QD @ self.vectors.matrix_VD[start:stop].T
            scores_QN *= self._inverse_norms_V[start:stop]
        odd = self._odd_rows[slice(*np.searchsorted(self._odd_rows, (start, stop)))]
        scores_QN[:, odd - start] = units_QD @ self.units(odd).T
        return scores_QN

    def _ordered(self, unit_D: Point, rows: npt.NDArray[np.int64]) -> list[Neighbour]:
        """`rows` ranked by their cosines in float64."""
        cosines = np.einsum("kd,d->k", self.units(rows), unit_D)
        order = np.lexsort((rows, -cosines))
        return [Neighbour(*both) for both in zip(rows[order].tolist(), cosines[order].tolist(), strict=True)]


def unit(vectors: npt.NDArray[np.floating]) -> Point:
    """Vectors (..., D) scaled to length 1; zeros for vectors that are zero or not finite."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=-1, keepdims=True)
    return np.divide(wide, norms, out=np.zeros_like(wide), where=(norms > 0) & np.isfinite(norms))


def cosine(a: Query, b: Query) -> float:
    """The cosine of the angle between two queries."""
    return float(a.unit_D @ b.unit_D)


def analogous(a_QD: Point, b_QD: Point, c_QD: Point) -> Point:
    """The direction of the word that is to c as b is to a: 3CosAdd on unit vectors.

    Mikolov, Yih & Zweig 2013, "Linguistic Regularities in Continuous Space Word Representations"; Levy & Goldberg
    2014, "Linguistic Regularities in Sparse and Explicit Word Representations", equation 3.
    """
    return unit(b_QD - a_QD + c_QD)


def _held(norms: FloatMatrix) -> npt.NDArray[np.bool_]:
    return (norms > SHORTEST) & (norms < LONGEST)


def _bounds(scores_QN: FloatMatrix, count: int) -> tuple[FloatMatrix, FloatMatrix]:
    """For each query a lower bound of its `count`-th best score (Q,), and its best score (Q,).

    The bound is the `count`-th best of the groups' best scores, so that few rows have to be ranked.
    """
    width = max(1, scores_QN.shape[1] // max(GROUPS, 4 * count))
    highest_QG = np.maximum.reduceat(scores_QN, np.arange(0, scores_QN.shape[1], width), axis=1)
    groups = highest_QG.shape[1]
    if groups < count:
        return np.full(len(scores_QN), -np.inf, np.float32), highest_QG.max(axis=1)
    return np.partition(highest_QG, groups - count, axis=1)[:, groups - count], highest_QG.max(axis=1)


def _merged(
    held: tuple[FloatMatrix, npt.NDArray[np.int64]], found: tuple[FloatMatrix, npt.NDArray[np.int64]], count: int
) -> tuple[FloatMatrix, npt.NDArray[np.int64]]:
    """The `count` best of two lists of scores and rows, ranked."""
    scores, rows = np.concatenate([held[0], found[0]]), np.concatenate([held[1], found[1]])
    order = np.lexsort((rows, -scores))[:count]
    return scores[order], rows[order]
