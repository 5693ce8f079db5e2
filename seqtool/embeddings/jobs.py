"""What is learned in parts: vectors by prediction or by factorising counts, and how far that is.

A job knows how long a pass is, learns the next part, and gives the arrays that going on needs.
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

LAST_RATE = 0.004  # of --lr, to which skipgram's and cbow's falls in a straight line
SPAN_CENTRES = 1 << 14  # learned from between two looks at the clock
SPAN_NOISE = 1 << 20  # noise words drawn together, at most
MEANS_AT_ONCE = 4096
JUDGED_DRAWS, JUDGED_SPANS, JUDGED_BLOCKS = 4, 4, 8  # of windows, stretches of a draw, and blocks of a stretch
Arrays = dict[str, npt.NDArray[Any]]


@dataclass
class EmbeddingProgress:
    """How far learning is. `total` is what `position` ends at, 0 until --time is planned; both count what a pass is
    made of: tokens of the text, or of glove the counts.
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
        """Nats per prediction (of glove: half the weighted square per count) in the pass so far."""
        return self.loss / self.predictions if self.predictions else None


class Job(Protocol):
    """What is being learned."""

    length: int
    """Of a pass, in what `EmbeddingProgress.position` counts."""

    def advance(self, progress: EmbeddingProgress, lr: float) -> None:
        """Learn the next part and note it."""

    def rate(self, share: float) -> float:
        """The learning rate when a share of the whole is done."""

    def arrays(self) -> Arrays:
        """What going on needs."""

    def losses(self) -> tuple[float, float]:
        """The loss now, and that of the weights that learning began with, of the same sample."""

    def vectors(self) -> tuple[FloatMatrix, FloatMatrix]:
        """Vectors of the words (V, D) and of n-grams (B, D)."""


class NegativeSamplingJob:
    """skipgram and cbow."""

    def __init__(
        self, corpus: Corpus, tokens: list[str], config: EmbedConfig, device: str, arrays: Arrays | None
    ) -> None:
        self.length = len(corpus.ids)
        self._corpus, self._config, self._size = corpus, config, len(tokens)
        self._subwords, ngram_rows = None, 0
        if config.subword:
            self._subwords, ngram_rows = subword_rows(
                tokens, config.shortest_ngram, config.longest_ngram, config.ngram_rows
            )
        _check_memory(2 * len(tokens) + ngram_rows, config.dim)
        arrays = _checked(arrays, _first_weights(len(tokens), ngram_rows, config))
        if self._subwords is not None:  # an n-gram that no word has stays zero: it says nothing of an unseen word
            used = np.zeros(len(arrays["input"]), bool)
            used[self._subwords.rows] = True
            arrays["input"][~used] = 0
        kept = corpus.counts * keep_probability(corpus.counts, config.subsample)
        frequencies = kept / kept.sum()
        if self._subwords is not None:
            frequencies = self._subwords.shared(frequencies)
        cbow = config.method == "cbow"
        block, blocks, most, self._caution = plan_steps(frequencies, cbow, config.window, config.negative, config.lr)
        model = NegativeSampling(
            *(arrays["input"], arrays["output"], self._subwords, cbow, config.negative, config.window),
            *(block, blocks, most),
        )
        loaded = skipgram_library() if device == "cpu" else None
        self._learner = TorchLearner(model, device) if loaded is None else CompiledLearner(model, loaded)
        self._sampler = make_window_sampler(corpus.counts, config.window, config.subsample, config.noise_power)
        self._block, self._noise = block, model.noise
        steps = min(SPAN_CENTRES // (block * blocks), SPAN_NOISE // (model.noise * blocks))
        self._span = max(1, steps) * block * blocks
        self._drawn: tuple[int, ContextWindows] | None = None

    def rate(self, share: float) -> float:
        """Falls in a straight line."""
        return self._config.lr * self._caution * (1 - (1 - LAST_RATE) * share)

    def advance(self, progress: EmbeddingProgress, lr: float) -> None:
        """Learn the next span of centres."""
        passes, number = divmod(progress.part, self._corpus.chunks_in_all)
        if self._drawn is None or self._drawn[0] != progress.part:
            windows = self._sampler.windows(self._corpus.chunk(number), (self._config.seed, passes, number))
            self._drawn = progress.part, windows
        if not (number or progress.within):
            progress.loss = progress.predictions = 0.0
        windows = self._drawn[1]
        centres = len(windows.words)
        if progress.within % self._span or progress.within > centres:
            raise InputError("the checkpoint says an impossible place to go on from: it was edited")
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

    def losses(self) -> tuple[float, float]:
        """Nats in windows drawn anew from all over the text. Outputs begin with zeros, so each term costs ln 2 then."""
        now = start = 0.0
        chunks = np.linspace(0, self._corpus.chunks_in_all - 1, JUDGED_DRAWS).astype(int).tolist()
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
        """Of the objective, for the centres first .. last - 1."""
        near = windows.left[first:last].astype(np.int64) + windows.right[first:last]
        predictions = np.minimum(near, 1) if self._config.method == "cbow" else near
        others = noise[np.arange(first, last) // self._block] != windows.words[first:last, None]
        return float((predictions * (1 + self._config.negative / self._noise * others.sum(1))).sum())

    def arrays(self) -> Arrays:
        """Both tables."""
        input, output = self._learner.weights()
        return {"input": input, "output": output}

    def vectors(self) -> tuple[FloatMatrix, FloatMatrix]:
        """The rows of words, or the means of their rows, and the rows of n-grams."""
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
    """glove: counts first, then factorises them."""

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
        self._first_loss = sampled_loss(self._glove, self._counts, config.x_max)
        found = _checked(arrays, self.arrays())
        self._glove = Glove(*(torch.from_numpy(found[name]).to(device) for name in self._names))

    def rate(self, share: float) -> float:
        """Constant: AdaGrad lowers it."""
        return self._config.lr

    def advance(self, progress: EmbeddingProgress, lr: float) -> None:
        """Learn the next part of the counts.

        By one thread: two are hardly faster, and far slower where others want the cores as well.
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
        """Half the weighted square, summed over counts from all over the matrix."""
        from seqtool.embeddings.glove import sampled_loss

        return sampled_loss(self._glove, self._counts, self._config.x_max), self._first_loss

    def arrays(self) -> Arrays:
        """Vectors, biases and AdaGrad's sums."""
        return {name: getattr(self._glove, name).cpu().numpy() for name in self._names}

    def vectors(self) -> tuple[FloatMatrix, FloatMatrix]:
        """The sums of both vectors."""
        from seqtool.embeddings.glove import vectors_of

        found = vectors_of(self._glove)
        return found, np.empty((0, found.shape[1]), np.float32)


def _first_weights(size: int, ngram_rows: int, config: EmbedConfig) -> Arrays:
    """Inputs uniform in (-1, 1) / D, outputs zero."""
    rng = np.random.default_rng(config.seed)
    drawn = rng.random((size + ngram_rows, config.dim), np.float32)
    return {
        "input": (drawn * 2 - 1) / np.float32(config.dim),
        "output": np.zeros((size, config.dim), np.float32),
    }


def _check_memory(rows: int, dim: int) -> None:
    """UsageError when so many vectors are more than the machine has memory for."""
    needed = 4 * rows * dim * 2  # with what is drawn or written beside them
    if hasattr(os, "sysconf") and needed > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise UsageError(
            f"{rows:,} vectors of {dim:,} numbers take {needed / 1e9:,.0f} GB, more than this machine has: "
            "lower --dim, --vocab-size or --ngram-rows"
        )


def _checked(found: Arrays | None, fresh: Arrays) -> Arrays:
    """What a checkpoint holds, or else what learning begins with; InputError when they are not of one shape."""
    if found is not None and [array.shape for array in found.values()] != [array.shape for array in fresh.values()]:
        raise InputError("the checkpoint holds vectors of another size than its settings say: it was edited")
    return fresh if found is None else found
