"""Maps of word vectors: which words are shown, and where each lies on the plane.

Vectors are scaled to length 1 first, so that words near each other on the map are near by cosine.
Shapes: N words shown, D numbers in a vector, K nearest words, R components.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError, UsageError
from seqtool.vectors.neighbours import Space, UnknownWordError

Points = npt.NDArray[np.float64]

SYMBOL = re.compile(r"</?[^<>/\s]+>")
"""<unk>, </s>, <0x0A>: tokens that are not words."""
MAX_WORDS = 20_000  # more than one can tell apart, or a browser can move smoothly
MAX_NUMBERS = 1 << 28  # in the matrix of the words shown
NEAREST = 5
COMPARED_AT_ONCE = 1024
DECIMALS = 5
FEWEST_FOR_TSNE = 4
PERPLEXITY = 30.0


@dataclass(frozen=True)
class ChosenWords:
    """The N words of a map, the most frequent first, then phrases: their vectors of length 1, and which were named.

    `unknown` are the named words that have no vector.
    """

    words: list[str]
    unit_ND: Points
    named_N: npt.NDArray[np.bool_]
    unknown: list[str]


@dataclass(frozen=True)
class WordMap:
    """N words and their points on the plane, both coordinates between -1 and 1 and in the same unit.

    `nearest_NK` are the indices of the K nearest of these words by cosine in all D dimensions, the nearest first.
    """

    words: list[str]
    points_N2: Points
    named_N: npt.NDArray[np.bool_]
    nearest_NK: npt.NDArray[np.int64]
    cosine_NK: npt.NDArray[np.float32]


def choose_words(space: Space, most: int, named: Iterable[str]) -> ChosenWords:
    """Choose the `most` frequent words and the words and phrases `named`.

    Symbols such as <unk> are left out unless they are named. InputError when none of the named has a vector, or there
    is no word to show; UsageError when there are too many.
    """
    marked = dict.fromkeys(_frequent(space, most), False)  # by row: whether the word was named
    phrases: dict[str, Points] = {}
    unknown = []
    for text in dict.fromkeys(named):
        row = space.row(text)
        if row is not None:
            marked[row] = True
            continue
        try:
            phrases[text] = space.query(text).unit_D
        except UnknownWordError:
            unknown.append(text)
    if unknown and not phrases and not any(marked.values()):
        raise InputError(f"none of the words named has a vector ({_listed(unknown)}): check how they are spelled")
    rows = sorted(marked)
    words = [space.vectors.tokens[row] for row in rows] + list(phrases)
    _check_count(space, len(words))
    unit_ND = np.concatenate([space.units(rows), *(unit_D[None] for unit_D in phrases.values())])
    return ChosenWords(words, unit_ND, np.array([*(marked[row] for row in rows), *(True for _ in phrases)]), unknown)


def _check_count(space: Space, count: int) -> None:
    """InputError when there is no word to show, UsageError when there are too many."""
    if not count:
        raise InputError(f"{space.name} holds symbols such as <unk> alone: name those to show")
    most = min(MAX_WORDS, MAX_NUMBERS // space.vectors.dim)
    if count > most:
        raise UsageError(f"{count:,} words are too many for a map of {space.name}: show at most {most:,}")


def _frequent(space: Space, most: int) -> list[int]:
    rows: list[int] = []
    for row, token in enumerate(space.vectors.tokens):
        if len(rows) == most:
            break
        if not SYMBOL.fullmatch(token):
            rows.append(row)
    return rows


def _listed(words: Sequence[str], most: int = 5) -> str:
    return ", ".join(repr(word) for word in words[:most]) + (", ..." if len(words) > most else "")


def unknown_note(unknown: Sequence[str]) -> str:
    """A note on the named words that have no vector."""
    return f"{len(unknown):,} of the words named {'has' if len(unknown) == 1 else 'have'} no vector: {_listed(unknown)}"


def place(chosen: ChosenWords, points_N2: Points) -> WordMap:
    """The map of words at these points, scaled to the square from -1 to 1, with the nearest words of each."""
    low, high = points_N2.min(axis=0), points_N2.max(axis=0)
    half = (high - low).max() / 2
    placed_N2 = (points_N2 - (low + high) / 2) / (half if half > 0 else 1)
    nearest_NK, cosine_NK = nearest_rows(chosen.unit_ND, min(NEAREST, len(chosen.words) - 1))
    rounded_N2 = placed_N2.round(DECIMALS) + 0.0  # no -0.0
    return WordMap(chosen.words, rounded_N2, chosen.named_N, nearest_NK, cosine_NK)


def principal_components(rows_ND: Points) -> tuple[Points, float]:
    """Project onto the first two principal components: points (N, 2), and the share of the variance that they explain.

    Signs are chosen so that the point farthest out on each axis is positive.
    """
    centred_ND = rows_ND - rows_ND.mean(axis=0)
    variances_N = np.einsum("nd,nd->n", centred_ND, centred_ND)
    if len(centred_ND) < centred_ND.shape[1]:  # the smaller of the two matrices with the same eigenvalues
        variances, left_NR = np.linalg.eigh(centred_ND @ centred_ND.T)
        scores_NR = left_NR * np.sqrt(np.maximum(variances, 0))
    else:
        _, axes_DR = np.linalg.eigh(centred_ND.T @ centred_ND)
        scores_NR = centred_ND @ axes_DR
    points_N2 = np.zeros((len(rows_ND), 2))
    largest_N2 = scores_NR[:, :-3:-1]
    points_N2[:, : largest_N2.shape[1]] = largest_N2
    farthest_2 = points_N2[np.abs(points_N2).argmax(axis=0), [0, 1]]
    points_N2 *= np.where(farthest_2 < 0, -1, 1)
    total = float(variances_N.sum())
    return points_N2, float((points_N2**2).sum()) / total if total > 0 else 1.0


def tsne(unit_ND: Points, seed: int) -> Points:
    """Points (N, 2) by t-SNE (van der Maaten & Hinton 2008), which starts from the principal components.

    Rows have length 1, so their Euclidean distances order them as their cosines do. UsageError for fewer than
    FEWEST_FOR_TSNE words.
    """
    from sklearn.manifold import TSNE

    if len(unit_ND) < FEWEST_FOR_TSNE:
        raise UsageError(f"--method tsne needs at least {FEWEST_FOR_TSNE} words: name more, or take --method pca")
    start_N2, _ = principal_components(unit_ND)
    start_N2 *= 1e-4 / max(float(start_N2[:, 0].std()), 1e-12)
    perplexity = min(PERPLEXITY, (len(unit_ND) - 1) / 3)
    method = TSNE(init=start_N2.astype(np.float32), perplexity=perplexity, random_state=seed % 2**32)
    points_N2: Points = method.fit_transform(unit_ND.astype(np.float32)).astype(np.float64)
    return points_N2


def check_package(wanted: str, module: str) -> None:
    """UsageError, saying how to install it, when a module of the extra `map` is missing."""
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"{wanted} needs more packages: pip install 'seqtool[map]'")


def nearest_rows(unit_ND: Points, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The `count` other rows with the largest cosine to each row, largest first, and these cosines; both (N, count)."""
    rows_ND = unit_ND.astype(np.float32)
    nearest_NK = np.empty((len(rows_ND), count), np.int64)
    cosine_NK = np.empty((len(rows_ND), count), np.float32)
    for start in range(0, len(rows_ND) if count else 0, COMPARED_AT_ONCE):
        cosines_BN = rows_ND[start : start + COMPARED_AT_ONCE] @ rows_ND.T
        own = np.arange(len(cosines_BN))
        cosines_BN[own, start + own] = -np.inf
        best_BK = np.sort(np.argpartition(-cosines_BN, count - 1, axis=1)[:, :count], axis=1)
        found_BK = np.take_along_axis(cosines_BN, best_BK, axis=1)
        order_BK = np.argsort(-found_BK, axis=1, kind="stable")
        nearest_NK[start : start + len(own)] = np.take_along_axis(best_BK, order_BK, axis=1)
        cosine_NK[start : start + len(own)] = np.take_along_axis(found_BK, order_BK, axis=1)
    return nearest_NK, cosine_NK
