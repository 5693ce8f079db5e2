"""What is drawn at random for skip-gram and CBOW: the words that stay, the widths of windows, and the noise words.

Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their Compositionality", sections 2.2
(negative sampling) and 2.3 (subsampling of frequent words). Shapes: V words, T centres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqtool.embeddings.corpus import Chunk

Counts = npt.NDArray[np.int64]
Noise = npt.NDArray[np.int32]


@dataclass(frozen=True)
class ContextWindows:
    """T centres: `words` (T,) int32, and the number of words `left` and `right` of each in its window (T,) uint16."""

    words: npt.NDArray[np.int32]
    left: npt.NDArray[np.uint16]
    right: npt.NDArray[np.uint16]


@dataclass(frozen=True)
class WindowSampler:
    """Draws windows and noise words, with the probabilities `keep` (V,) of subsampling and, for the noise, an alias
    table `stay`, `alias` (V,) (Walker 1977).
    """

    keep: npt.NDArray[np.float32]
    stay: npt.NDArray[np.float32]
    alias: npt.NDArray[np.int32]
    window: int

    def windows(self, chunk: Chunk, seed: Sequence[int]) -> ContextWindows:
        """Subsample a chunk and draw a width from 1 to `window` for each centre; the same seed gives the same.

        Windows end where documents do.
        """
        rng = np.random.default_rng(list(seed))
        kept = rng.random(len(chunk.words), np.float32) < self.keep[chunk.words]
        words, documents = chunk.words[kept], chunk.documents[kept]
        total = len(words)
        starts = np.flatnonzero(np.diff(documents, prepend=-1))
        lengths = np.diff(starts, append=total)
        before = np.arange(total) - np.repeat(starts, lengths)
        after = np.repeat(lengths, lengths) - 1 - before
        reach = rng.integers(1, self.window + 1, total, np.uint16)
        left, right = (np.minimum(reach, most).astype(np.uint16) for most in (before, after))
        return ContextWindows(words, left, right)

    def noise(self, blocks: int, count: int, seed: Sequence[int]) -> Noise:
        """Draw `count` noise words for each of `blocks` blocks; shape (blocks, count)."""
        rng = np.random.default_rng(list(seed))
        column = rng.integers(0, len(self.stay), (blocks, count), np.int32)
        return np.where(rng.random(column.shape, np.float32) < self.stay[column], column, self.alias[column])


def make_window_sampler(counts: Counts, window: int, subsample: float, noise_power: float) -> WindowSampler:
    """A sampler for words with these counts (V,); noise is drawn in proportion to counts ** noise_power."""
    keep = keep_probability(counts, subsample)
    stay, alias = alias_table(counts.astype(np.float64) ** noise_power)
    return WindowSampler(keep.astype(np.float32), stay, alias, window)


def keep_probability(counts: Counts, subsample: float) -> npt.NDArray[np.float64]:
    """The probability (V,) that an occurrence of a word stays: sqrt(t / f) + t / f at most 1, for its frequency f and
    t = `subsample`, as in word2vec's program (the paper has the first term alone). All 1 for t = 0.
    """
    if not subsample:
        return np.ones(len(counts))
    rarity = subsample * counts.sum() / counts
    return np.minimum(np.sqrt(rarity) + rarity, 1.0)


def alias_table(weights: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Tables `stay`, `alias` (V,) that draw i in proportion to weights_i in constant time (Walker 1977).

    Draw j uniformly; the result is j with probability stay[j], else alias[j].
    """
    scaled = weights * (len(weights) / weights.sum())
    alias = np.arange(len(weights), dtype=np.int32)
    poor, rich = np.flatnonzero(scaled < 1).tolist(), np.flatnonzero(scaled >= 1).tolist()
    stay = scaled.tolist()
    while poor and rich:
        receiver, giver = poor.pop(), rich[-1]
        alias[receiver] = giver
        stay[giver] -= 1 - stay[receiver]
        if stay[giver] < 1:
            poor.append(rich.pop())
    for left in poor + rich:
        stay[left] = 1.0  # up to rounding
    return np.array(stay, dtype=np.float32), alias
