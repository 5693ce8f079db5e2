"""Subword regularization: splitting words into pieces at random, so that a model sees more than one split of a word.

SentencePiece can sample splits, but with the same seed not the same ones in another process; these are reproducible.
For each text, VARIANTS splits of each word are drawn, and each occurrence of the word takes one of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from seqtool.text.encoding import Ids
from seqtool.text.normalizing import SPACE
from seqtool.text.vocabulary import Vocabulary

VARIANTS = 8
MAX_UNITS = 1 << 17  # words whose splits are cached
# Units that no piece crosses: a word with the space before it, the spaces before that, a newline, a U+2581. Longer ones
# are cut, because the time to split one grows faster than its length.
UNIT = re.compile(f" {{1,64}}(?= [^ \n{SPACE}])| ?[^ \n{SPACE}]{{1,64}}| {{1,64}}|\n|{SPACE}")


class SubwordSampler:
    """Draws splits of a text into the pieces of a bpe or unigram vocabulary.

    For bpe each possible merge is skipped with probability `share` (BPE-dropout: Provilkov et al. 2020, algorithm 1).
    For unigram a split is drawn with probability proportional to its own to the power `share` (Kudo 2018, section 3.3).
    """

    def __init__(self, vocabulary: Vocabulary, share: float, seed: list[int]) -> None:
        self._vocabulary, self._share = vocabulary, share
        self._random = np.random.default_rng(seed)
        self._scores = vocabulary.scores()
        self._longest = max(map(len, self._scores), default=1)
        self._variants: dict[str, list[list[int]]] = {}

    def encode(self, text: str) -> Ids:
        """Ids of a text; shape (tokens,)."""
        symbols = self._vocabulary.symbols
        parts = self._vocabulary.split_at_symbols(text)
        units = [unit for part in parts for unit in ([part] if part in symbols else UNIT.findall(part))]
        choices = self._random.integers(VARIANTS, size=len(units)).tolist()
        ids: list[int] = []
        for unit, choice in zip(units, choices, strict=True):
            variants = self._variants.get(unit)
            if variants is None:
                if len(self._variants) == MAX_UNITS:
                    self._variants.clear()
                variants = self._variants[unit] = [self._drawn(unit) for _ in range(VARIANTS)]
            ids += variants[choice]
        return np.array(ids, dtype=self._vocabulary.dtype)

    def _drawn(self, unit: str) -> list[int]:
        if unit == SPACE:  # in pieces it means a space, so the character itself is spelled in bytes
            return self._vocabulary.byte_ids(SPACE)
        if unit in self._vocabulary.symbols:
            return [self._vocabulary.symbols[unit]]
        ids: list[int] = []
        for piece in self._split(unit):
            known = self._vocabulary.piece_id(piece)
            ids += [known] if known is not None else self._vocabulary.byte_ids(piece)
        return ids

    def _split(self, unit: str) -> list[str]:
        symbols = unit.replace(" ", SPACE)
        if self._vocabulary.type == "bpe":
            return merge_with_dropout(list(symbols), self._scores, self._share, self._random)
        return draw_split(symbols, self._scores, self._longest, self._share, self._random)


def merge_with_dropout(
    symbols: list[str], scores: Mapping[str, float], share: float, random: np.random.Generator
) -> list[str]:
    """Merge neighbours, the best pair first, skipping each possible merge with probability `share` in each round."""
    while True:
        best, where = -math.inf, -1
        for index in range(len(symbols) - 1):
            score = scores.get(symbols[index] + symbols[index + 1], -math.inf)
            if score > best and random.random() >= share:
                best, where = score, index
        if where < 0:
            return symbols
        symbols[where : where + 2] = [symbols[where] + symbols[where + 1]]


def draw_split(
    text: str, scores: Mapping[str, float], longest: int, share: float, random: np.random.Generator
) -> list[str]:
    """Draw a split with probability proportional to exp(share * sum of its pieces' scores), by forward filtering and
    backward sampling. A character that is not a piece stands alone, with a score below the lowest.
    """
    rarest = min(scores.values(), default=0.0) - 10.0
    total = [0.0] + [-math.inf] * len(text)  # log of the sum over all splits of the first characters
    last: list[list[tuple[int, float]]] = [[] for _ in range(len(text) + 1)]
    for end in range(1, len(text) + 1):
        for begin in range(max(0, end - longest), end):
            score = scores.get(text[begin:end], rarest if end - begin == 1 else None)
            if score is not None:
                last[end].append((begin, total[begin] + share * score))
        most = max(value for _, value in last[end])
        total[end] = most + math.log(sum(math.exp(value - most) for _, value in last[end]))
    pieces, end = [], len(text)
    while end:
        probabilities = np.exp([value - total[end] for _, value in last[end]])
        drawn = np.searchsorted(probabilities.cumsum(), random.random() * probabilities.sum(), side="right")
        begin = last[end][min(int(drawn), len(probabilities) - 1)][0]
        pieces.append(text[begin:end])
        end = begin
    return pieces[::-1]
