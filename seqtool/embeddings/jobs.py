"""Learning vectors part by part: by skip-gram or CBOW with negative sampling, or by GloVe.

A job knows the length of a pass, learns the next part, and gives the arrays that a checkpoint needs.
Shapes: V words, B n-gram rows, D numbers in a vector.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seqtool.embeddings.corpus import CHUNK_TOKENS, Chunk, Corpus
from seqtool.embeddings.skipgram import CompiledLearner, NegativeSampling, TorchLearner, plan_steps, skipgram_library
from seqtool.embeddings.windows import ContextWindows, Noise, keep_probability, make_window_sampler
from seqtool.errors import InputError, UsageError
from seqtool.settings.embedding import EmbedConfig
from seqtool.vectors.subwords import subword_rows
from seqtool.vectors.vectors import FloatMatrix

LAST_RATE = 0.004  # skip-gram's and CBOW's learning rate falls linearly to this share of --lr
SPAN_CENTRES = 1 << 14  # learned from between two looks at the clock
SPAN_NOISE = 1 << 20  # noise words drawn at once, at most
MEANS_AT_ONCE = 4096
JUDGED_DRAWS, JUDGED_SPANS, JUDGED_BLOCKS = 4, 4, 8  # chunks, stretches of a chunk, and blocks of a stretch
Arrays = dict[str, npt.NDArray[Any]]


@dataclass
class EmbeddingProgress:
    """How far learning has come. `position` counts the tokens read, or with GloVe the entries of the matrix of counts;
    it ends at `total`, which is 0 until --time is planned. A checkpoint keeps all of it.
    """

    part: int = 0
    within: int = 0
    position: int = 0
    total: int = 0
    passes: float = 0.0
    elapsed_s: float = 0.0
    loss: float = 0.0
    predictions: float = 0.0

    @property
    def mean_loss(self) -> float | None:
        """Nats per prediction in the pass so far; with GloVe half the weighted squared error per entry."""
        return self.loss / self.predictions if self.predictions else None


class Job(Protocol):
    """Vectors being learned."""

    length: int
    """What `EmbeddingProgress.position` grows by in a pass."""

    def advance(self, progress: EmbeddingProgress, lr: float) -> None:
        """Learn the next part, and update `progress`."""

    def rate(self, share: float) -> float:
        """The learning rate after this share of all the learning."""

    def arrays(self) -> Arrays:
        """The arrays that a checkpoint needs."""

    def losses(self) -> tuple[float, float]:
        """The loss of the weights now and of the initial weights, summed over the same sample."""

    def vectors(self) -> tuple[FloatMatrix, FloatMatrix]:
        """The vectors of the words (V, D) and of the n-grams (B, D)."""


class NegativeSamplingJob:
    """Skip-gram or CBOW with negative sampling."""

    def __init__(
        self, corpus: Corpus, tokens: list[str], config: EmbedConfig, device: str, arrays: Arrays | None
    ) -> None:
        self.length = len(corpus.ids)
        self._corpus, self._config, self._size = corpus, config, len(tokens)
        self._subwords, ngram_rows = None, 0
        if config.subword:
            ngrams = config.shortest_ngram, config.longest_ngram, config.ngram_rows
            self._subwords, ngram_rows = subword_rows(tokens, *ngrams)
        arrays = self._weights(arrays, ngram_rows)
        cbow = config.method == "cbow"
        plan = plan_steps(self._update_shares(), cbow, config.window, config.negative, config.lr)
        self._lr_scale = plan.lr_scale
        model = NegativeSampling(
            *(arrays["input"], arrays["output"], self._subwords, cbow, config.negative, config.window),
            *(plan.block, plan.blocks, plan.repeats),
        )
        loaded = skipgram_library() if device == "cpu" else None
        self._learner = TorchLearner(model, device) if loaded is None else CompiledLearner(model, loaded)
        self._sampler = make_window_sampler(corpus.counts, config.window, config.subsample, config.noise_power)
        self._block, self._noise = plan.block, model.noise
        step = plan.block * plan.blocks
        self._span = max(1, min(SPAN_CENTRES // step, SPAN_NOISE // (model.noise * plan.blocks))) * step
        self._drawn: tuple[int, ContextWindows] | None = None

    def _weights(self, found: Arrays | None, ngram_rows: int) -> Arrays:
        """Input and output vectors: those of a checkpoint, or initial ones.

        The row of an n-gram that no word has stays zero, so that it is left out of the vectors of unseen words.
        """
        _check_memory(2 * self._size + ngram_rows, self._config.dim)
        arrays = _checked(found, _initial_weights(self._size, ngram_rows, self._config))
        if self._subwords is not None:
            used = np.zeros(len(arrays["input"]), bool)
            used[self._subwords.rows] = True
            arrays["input"][~used] = 0
        return arrays

    def _update_shares(self) -> npt.NDArray[np.float64]:
        """The share of all centres that update each word's vector (V,)."""
        kept = self._corpus.counts * keep_probability(self._corpus.counts, self._config.subsample)
        frequencies = kept / kept.sum()
        return frequencies if self._subwords is None else self._subwords.update_frequencies(frequencies)

    def rate(self, share: float) -> float:
        """Falls linearly."""
        return self._config.lr * self._lr_scale * (1 - (1 - LAST_RATE) * share)

    def advance(self, progress: EmbeddingProgress, lr: float) -> None:
        """Learn from the next span of centres."""
        passes, number = divmod(progress.part, self._corpus.chunk_count)
        windows = self._windows(progress.part)
        if not (number or progress.within):
            progress.loss = progress.predictions = 0.0
        centres = len(windows.words)
        if progress.within % self._span or progress.within > centres:
            raise InputError("the checkpoint records an impossible progress: it was edited")
        last = min(progress.within + self._span, centres)
        if progress.within < last:
            seed = (self._config.seed, passes, number, 1 + progress.within)
            noise = self._sampler.noise(-(-(last - progress.within) // self._block), self._noise, seed)
            loss, predictions = self._learner.learn(windows, noise, progress.within, last, lr)
            progress.loss += float(loss)
            progress.predictions += float(predictions)
        start = number * CHUNK_TOKENS
        tokens = min(CHUNK_TOKENS, self.length - start)
        read = tokens if last == centres else tokens * last // centres
        progress.position = passes * self.length + start + read
        progress.within = last
        if last == centres:
            progress.part, progress.within = progress.part + 1, 0

    def _windows(self, part: int) -> ContextWindows:
        """The windows of one chunk in one pass, drawn once for all its spans."""
        if self._drawn is None or self._drawn[0] != part:
            passes, number = divmod(part, self._corpus.chunk_count)
            seed = (self._config.seed, passes, number)
            self._drawn = part, self._sampler.windows(self._corpus.chunk(number), seed)
        return self._drawn[1]

    def losses(self) -> tuple[float, float]:
        """Nats in windows and noise drawn anew from all over the text. Outputs start at zero, where each term costs
        ln 2.
        """
        now = start = 0.0
        chunks = np.linspace(0, self._corpus.chunk_count - 1, JUDGED_DRAWS).astype(int).tolist()
        for draw, number in enumerate(chunks):
            windows = self._sampler.windows(self._corpus.chunk(number), (self._config.seed, draw, number, 0, 0))
            blocks = -(-len(windows.words) // self._block)
            noise = self._sampler.noise(blocks, self._noise, (self._config.seed, draw, number, 0, 1))
            spans = np.linspace(0, max(0, blocks - JUDGED_BLOCKS), JUDGED_SPANS).astype(int)
            for block in np.unique(spans).tolist():
                first, last = block * self._block, min((block + JUDGED_BLOCKS) * self._block, len(windows.words))
                if first < last:
                    now += self._learner.learn(windows, noise[block:], first, last, 0.0)[0]
                    start += math.log(2) * self._terms(windows, noise, first, last)
        return now, start

    def _terms(self, windows: ContextWindows, noise: Noise, first: int, last: int) -> float:
        """The weighted number of terms of the objective for the centres first .. last - 1."""
        near = windows.left[first:last].astype(np.int64) + windows.right[first:last]
        predictions = np.minimum(near, 1) if self._config.method == "cbow" else near
        others = noise[np.arange(first, last) // self._block] != windows.words[first:last, None]
        return float((predictions * (1 + self._config.negative / self._noise * others.sum(1))).sum())

    def arrays(self) -> Arrays:
        """The input and output vectors."""
        input, output = self._learner.weights()
        return {"input": input, "output": output}

    def vectors(self) -> tuple[FloatMatrix, FloatMatrix]:
        """The input vectors; with n-grams the mean of each word's rows, and the rows of the n-grams."""
        input, _ = self._learner.weights()
        if self._subwords is None:
            return input, np.empty((0, input.shape[1]), np.float32)
        starts, rows = self._subwords.starts, self._subwords.rows
        means = np.empty((self._size, input.shape[1]), np.float32)
        for first in range(0, self._size, MEANS_AT_ONCE):
            bounds = starts[first : first + MEANS_AT_ONCE + 1]
            sums = np.add.reduceat(input[rows[bounds[0] : bounds[-1]]], bounds[:-1] - bounds[0], axis=0)
            means[first : first + MEANS_AT_ONCE] = sums / np.diff(bounds)[:, None]
        return means, input[self._size :]


class GloveJob:
    """GloVe: count co-occurrences first, then factorise the logarithms of the counts."""

    def __init__(
        self, chunks: Iterable[Chunk], size: int, config: EmbedConfig, device: str, arrays: Arrays | None
    ) -> None:
        import torch

        from seqtool.embeddings.cooccurrence import count_pairs
        from seqtool.embeddings.glove import Glove, new_glove, sampled_loss

        self._counts = count_pairs(chunks, size, config.window, "reciprocal")
        self.length = len(self._counts)
        self._config = config
        self._names = [item.name for item in dataclasses.fields(Glove)]
        self._glove = new_glove(size, config.dim, config.seed, device)
        self._initial_loss = sampled_loss(self._glove, self._counts, config.x_max)
        found = _checked(arrays, self.arrays())
        self._glove = Glove(*(torch.from_numpy(found[name]).to(device) for name in self._names))

    def rate(self, share: float) -> float:
        """Constant: AdaGrad divides it by what it has seen."""
        return self._config.lr

    def advance(self, progress: EmbeddingProgress, lr: float) -> None:
        """Learn from the next part of the counts.

        In one thread: two are hardly faster, and far slower where other processes want the cores.
        """
        import torch

        from seqtool.embeddings.glove import learn_part, part_count

        if progress.part % part_count(self._counts) == 0:
            progress.loss = progress.predictions = 0.0
        seed, x_max = self._config.seed, self._config.x_max
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            loss, entries = learn_part(self._glove, self._counts, progress.part, lr=lr, seed=seed, x_max=x_max)
        finally:
            torch.set_num_threads(threads)
        progress.loss += loss
        progress.predictions += entries
        progress.part += 1
        progress.position += entries

    def losses(self) -> tuple[float, float]:
        """Half the weighted squared error, summed over entries from all over the matrix."""
        from seqtool.embeddings.glove import sampled_loss

        return sampled_loss(self._glove, self._counts, self._config.x_max), self._initial_loss

    def arrays(self) -> Arrays:
        """Vectors, biases and AdaGrad's sums of squares."""
        return {name: getattr(self._glove, name).cpu().numpy() for name in self._names}

    def vectors(self) -> tuple[FloatMatrix, FloatMatrix]:
        """The sum of each word's two vectors."""
        from seqtool.embeddings.glove import vectors_of

        found = vectors_of(self._glove)
        return found, np.empty((0, found.shape[1]), np.float32)


def _initial_weights(size: int, ngram_rows: int, config: EmbedConfig) -> Arrays:
    """Input vectors uniform in (-1, 1) / D, output vectors zero."""
    rng = np.random.default_rng(config.seed)
    drawn = rng.random((size + ngram_rows, config.dim), np.float32)
    return {
        "input": (drawn * 2 - 1) / np.float32(config.dim),
        "output": np.zeros((size, config.dim), np.float32),
    }


def _check_memory(rows: int, dim: int) -> None:
    """UsageError when the machine does not have the memory for so many vectors."""
    needed = 4 * rows * dim * 2  # twice: what is drawn or written takes as much again
    if hasattr(os, "sysconf") and needed > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise UsageError(
            f"{rows:,} vectors of {dim:,} numbers take {needed / 1e9:,.0f} GB, more than this machine has: "
            "lower --dim, --vocab-size or --ngram-rows"
        )


def _checked(found: Arrays | None, initial: Arrays) -> Arrays:
    """A checkpoint's arrays, or the initial ones where there is none; InputError when their shapes differ."""
    if found is not None and [array.shape for array in found.values()] != [array.shape for array in initial.values()]:
        raise InputError("the checkpoint holds vectors of another size than its settings say: it was edited")
    return initial if found is None else found
