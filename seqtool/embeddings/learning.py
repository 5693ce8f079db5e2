"""Learning vectors from a text: by prediction or by counting, in parts, so that it can stop after any and go on.

A job is what is being learned: it knows how long a pass is, learns the next part, and gives the arrays that going on
needs. The loop around it is the same for all.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seqtool.config import EmbedConfig
from seqtool.embeddings.arrays import map_arrays, write_arrays
from seqtool.embeddings.corpus import CHUNK_TOKENS, Chunk, Corpus
from seqtool.embeddings.prediction import (
    CompiledLearner,
    Prediction,
    TorchLearner,
    library,
    plan_steps,
)
from seqtool.embeddings.subwords import parts_of
from seqtool.embeddings.tokens import Tokens
from seqtool.embeddings.vectors import Matrix, Vectors
from seqtool.embeddings.windows import Windows, keep_probability, make_lots
from seqtool.errors import DivergedError, InputError, UsageError
from seqtool.files import canonical_sha256, provenance
from seqtool.text.vocabulary import Vocabulary

CHECKPOINT_FORMAT = "seqtool embedding checkpoint 1"
GLOVE_EPOCHS = 25.0
EPOCHS, MOST_EPOCHS = 5.0, 40.0  # of skipgram and cbow; a short text needs more than a long one
ENOUGH_TOKENS = 10_000_000  # to read in all passes
RATES = {"skipgram": 0.025, "cbow": 0.05, "glove": 0.05}
X_MAX, X_MAX_SCALE = 100.0, 400.0  # the paper's for billions of tokens, near 10 for 17 million, 1 for 160,000
LAST_RATE = 0.004  # of --lr, to which skipgram's and cbow's falls in a straight line
SPAN_CENTRES = 1 << 14  # learned from between two looks at the clock
SPAN_NOISE = 1 << 20  # noise words drawn together, at most
PLANNING_SHARE, PLANNING_S = 0.1, 30.0  # of --time, and at most, after which the number of passes is fixed
MEANS_AT_ONCE = 4096
MOST_ONE_HOT = 10_000  # tokens: a matrix of 400 MB
MOST_STEPS = 1 << 60  # more than any learning has of anything it counts
Arrays = dict[str, npt.NDArray[Any]]


@dataclass
class Progress:
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
    """Of a pass, in what `Progress.position` counts."""

    def advance(self, progress: Progress, lr: float) -> None:
        """Learn the next part and note it."""

    def rate(self, share: float) -> float:
        """The learning rate when a share of the whole is done."""

    def arrays(self) -> Arrays:
        """What going on needs."""

    def vectors(self) -> tuple[Matrix, Matrix]:
        """Vectors of the words (V, D) and of n-grams (B, D)."""


class PredictionJob:
    """skipgram and cbow."""

    def __init__(
        self, corpus: Corpus, tokens: list[str], config: EmbedConfig, device: str, arrays: Arrays | None
    ) -> None:
        self.length = len(corpus.ids)
        self._corpus, self._config, self._size = corpus, config, len(tokens)
        self._parts, ngram_rows = None, 0
        if config.subword:
            self._parts, ngram_rows = parts_of(tokens, config.shortest_ngram, config.longest_ngram, config.ngram_rows)
        _check_memory(2 * len(tokens) + ngram_rows, config.dim)
        arrays = _checked(arrays, _first_weights(len(tokens), ngram_rows, config))
        if self._parts is not None:  # an n-gram that no word has stays zero: it says nothing of an unseen word
            used = np.zeros(len(arrays["input"]), bool)
            used[self._parts.rows] = True
            arrays["input"][~used] = 0
        kept = corpus.counts * keep_probability(corpus.counts, config.subsample)
        frequencies = kept / kept.sum()
        if self._parts is not None:
            frequencies = self._parts.shared(frequencies)
        cbow = config.method == "cbow"
        block, blocks, self._caution = plan_steps(frequencies, cbow, config.window, config.negative, config.lr)
        prediction = Prediction(
            *(arrays["input"], arrays["output"], self._parts, cbow, config.negative, config.window, block, blocks)
        )
        loaded = library() if device == "cpu" else None
        self._learner = TorchLearner(prediction, device) if loaded is None else CompiledLearner(prediction, loaded)
        self._lots = make_lots(corpus.counts, config.window, config.subsample, config.noise_power)
        self._block, self._noise = block, prediction.noise
        steps = min(SPAN_CENTRES // (block * blocks), SPAN_NOISE // (prediction.noise * blocks))
        self._span = max(1, steps) * block * blocks
        self._drawn: tuple[int, Windows] | None = None

    def rate(self, share: float) -> float:
        """Falls in a straight line."""
        return self._config.lr * self._caution * (1 - (1 - LAST_RATE) * share)

    def advance(self, progress: Progress, lr: float) -> None:
        """Learn the next span of centres."""
        passes, number = divmod(progress.part, self._corpus.chunks_in_all)
        if self._drawn is None or self._drawn[0] != progress.part:
            windows = self._lots.windows(self._corpus.chunk(number), (self._config.seed, passes, number))
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
            noise = self._lots.noise(-(-(last - progress.within) // self._block), self._noise, seed)
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

    def arrays(self) -> Arrays:
        """Both tables."""
        input, output = self._learner.weights()
        return {"input": input, "output": output}

    def vectors(self) -> tuple[Matrix, Matrix]:
        """The rows of words, or the means of their rows, and the rows of n-grams."""
        input, _ = self._learner.weights()
        if self._parts is None:
            return input, np.empty((0, input.shape[1]), np.float32)
        starts, rows = self._parts.starts, self._parts.rows
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
        from seqtool.embeddings.glove import Glove, new_glove

        self._counts = count_pairs(chunks, size, config.window, "reciprocal")
        self.length = len(self._counts)
        self._config = config
        self._names = [item.name for item in dataclasses.fields(Glove)]
        self._glove = new_glove(size, config.dim, config.seed, device)
        found = _checked(arrays, self.arrays())
        self._glove = Glove(*(torch.from_numpy(found[name]).to(device) for name in self._names))

    def rate(self, share: float) -> float:
        """Constant: AdaGrad lowers it."""
        return self._config.lr

    def advance(self, progress: Progress, lr: float) -> None:
        """Learn the next part of the counts.

        By one thread: two are hardly faster, and far slower where others want the cores as well.
        """
        import torch

        from seqtool.embeddings.glove import learn_part, parts_of

        if progress.part % parts_of(self._counts) == 0:
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

    def arrays(self) -> Arrays:
        """Vectors, biases and AdaGrad's sums."""
        return {name: getattr(self._glove, name).cpu().numpy() for name in self._names}

    def vectors(self) -> tuple[Matrix, Matrix]:
        """The sums of both vectors."""
        from seqtool.embeddings.glove import vectors_of

        found = vectors_of(self._glove)
        return found, np.empty((0, found.shape[1]), np.float32)


def resolved(config: EmbedConfig, text_tokens: int) -> EmbedConfig:
    """The settings with what depends on the method and on the length of the text filled in."""
    epochs = config.epochs
    if not (epochs or config.time):
        predicts = min(max(round(ENOUGH_TOKENS / text_tokens), EPOCHS), MOST_EPOCHS)
        epochs = {"skipgram": predicts, "cbow": predicts, "glove": GLOVE_EPOCHS}.get(config.method, 0.0)
    return dataclasses.replace(
        config,
        epochs=float(epochs),
        lr=config.lr or RATES.get(config.method, 0.0),
        x_max=config.x_max or min(max(math.sqrt(text_tokens) / X_MAX_SCALE, 1.0), X_MAX),
    )


def learn_vectors(
    corpus: Corpus,
    vocabulary: Vocabulary,
    input_sha256: str,
    config: EmbedConfig,
    device: str,
    checkpoint: Path,
    *,
    resume: bool = False,
    report: Callable[[Progress, float], None] = lambda progress, lr: None,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[Vectors | None, Progress]:
    """Learn vectors with resolved settings; None in their place when `stopped` said so before the end.

    What going on needs is kept in the file `checkpoint`, from which `resume` goes on. InputError when that is of
    another text, vocabulary or settings, or when the text has nothing to learn from.
    """
    tokens = [vocabulary.token(index) for index in corpus.word_ids.tolist()]
    metadata = {
        "method": config.method,
        "settings": dataclasses.asdict(config),
        "vocabulary_type": vocabulary.type,
        "normalize": vocabulary.metadata.get("normalize", "none"),
        "lowercase": bool(vocabulary.metadata.get("lowercase", False)),
        "input_sha256": input_sha256,
        "text_tokens": len(corpus.ids),
        "made_by": provenance(),
    }
    if config.subword:
        metadata["ngrams"] = [config.shortest_ngram, config.longest_ngram]
    progress = Progress()
    if config.method in ("svd", "one-hot"):
        began = time.monotonic()
        matrix_VD, ngrams_BD = _at_once(corpus, len(tokens), config), np.empty((0, 0), np.float32)
        progress.elapsed_s = time.monotonic() - began
    else:
        belongs = {
            "settings": canonical_sha256(_lasting(config)),
            "text": canonical_sha256([input_sha256, len(corpus.ids)]),
            "vocabulary": canonical_sha256([vocabulary.sha256, len(tokens)]),
        }
        progress, arrays = _read_checkpoint(checkpoint, belongs, config) if resume else (progress, None)
        job: Job
        if config.method == "glove":
            chunks = itertools.takewhile(lambda chunk: not stopped(), corpus.chunks())
            try:
                job = GloveJob(chunks, len(tokens), config, device, arrays)
            except InputError:
                if not stopped():  # in which case it has not seen all
                    raise
            if stopped():
                return None, progress
        else:
            job = PredictionJob(corpus, tokens, config, device, arrays)
        if not _learn(job, config, progress, checkpoint, belongs, report, stopped):
            return None, progress
        if not progress.predictions:
            raise InputError(
                "no word of the text has another near it: raise --subsample or --window, or give more text"
            )
        matrix_VD, ngrams_BD = job.vectors()
        metadata["passes"] = progress.passes
    if not np.isfinite(matrix_VD).all():
        raise DivergedError("the vectors are not finite numbers: lower --lr")
    return Vectors(Tokens.of(tokens), matrix_VD, metadata, ngrams_BD, vocabulary.model), progress


def _learn(
    job: Job,
    config: EmbedConfig,
    progress: Progress,
    checkpoint: Path,
    belongs: dict[str, str],
    report: Callable[[Progress, float], None],
    stopped: Callable[[], bool],
) -> bool:
    """Advance a job to its end, or until `stopped`; whether it is done."""
    if config.epochs:
        progress.total = max(1, round(config.epochs * job.length))
    began = time.monotonic() - progress.elapsed_s
    saved_s = progress.elapsed_s
    while not progress.total or progress.position < progress.total:
        lr = job.rate(progress.position / progress.total if progress.total else 0.0)
        job.advance(progress, lr)
        progress.elapsed_s = time.monotonic() - began
        progress.passes = progress.position / job.length
        if not np.isfinite(progress.loss):
            raise DivergedError(f"the loss is not a finite number any more, at a learning rate of {lr:g}: lower --lr")
        if not progress.total and progress.elapsed_s >= min(PLANNING_SHARE * config.time, PLANNING_S):
            progress.total = max(1, round(progress.position * config.time / progress.elapsed_s))
        report(progress, lr)
        stop = stopped()
        if stop or progress.elapsed_s - saved_s >= config.checkpoint_every:
            saved_s = progress.elapsed_s
            _write_checkpoint(checkpoint, belongs, progress, job.arrays())
        if stop:
            return False
    return True


def _at_once(corpus: Corpus, size: int, config: EmbedConfig) -> Matrix:
    """The methods that have no steps."""
    if config.method == "one-hot":
        if size > MOST_ONE_HOT:
            raise UsageError(
                f"--method one-hot makes a vector of {size:,} numbers for each of {size:,} tokens: take a vocabulary "
                f"of {MOST_ONE_HOT:,} at most (--vocab-size), or another method"
            )
        return np.eye(size, dtype=np.float32)
    from seqtool.embeddings.cooccurrence import count_pairs
    from seqtool.embeddings.ppmi import learn_svd

    counts = count_pairs(corpus.chunks(), size, config.window, "linear")
    return learn_svd(counts, config.dim, config.noise_power, config.seed)


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


def _lasting(config: EmbedConfig) -> dict[str, Any]:
    """The settings that a checkpoint must have been learned with."""
    free = ("device", "checkpoint_every")
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in free}


def checkpoint_of(path: Path) -> Path:
    """Where learning for the vectors `path` keeps what going on needs."""
    return path.with_name(path.name + ".checkpoint")


def refuse_checkpoint(path: Path, force: bool) -> None:
    """UsageError when what lies where a checkpoint goes is none, or is one that `force` does not give up."""
    try:
        with open(path, "rb") as stream:
            is_ours = CHECKPOINT_FORMAT.encode() in stream.read(1 << 16)
    except OSError:
        is_ours = False
    if not is_ours:
        raise UsageError(f"{path} is in the way: checkpoints go there, and it is none; name another result with -o")
    if not force:
        raise UsageError(
            f"{path} is of a learning that was stopped: go on with --resume, or give --force to begin anew"
        )


def _write_checkpoint(
    path: Path, belongs: dict[str, str], progress: Progress, arrays: Mapping[str, npt.NDArray[Any]]
) -> None:
    write_arrays(
        path, arrays, {"format": CHECKPOINT_FORMAT, "belongs": belongs, "progress": dataclasses.asdict(progress)}
    )


def _read_checkpoint(path: Path, belongs: dict[str, str], config: EmbedConfig) -> tuple[Progress, Arrays]:
    """How far learning was, and its arrays, in memory of their own."""
    if not path.is_file():
        raise InputError(f"{path} does not exist: nothing was begun there that --resume could go on with")
    names = (
        ("words", "contexts", "word_squares", "context_squares") if config.method == "glove" else ("input", "output")
    )
    kinds = {name: ("F32", 2) for name in names}
    arrays, metadata = map_arrays(path, kinds, CHECKPOINT_FORMAT, "not a checkpoint of seqtool embed train")
    begun = metadata.get("belongs")
    other = [name for name in belongs if not isinstance(begun, dict) or begun.get(name) != belongs[name]]
    if other:
        raise InputError(f"{path} was begun with other {' and '.join(other)}: give the same to --resume")
    said, fresh = metadata.get("progress"), dataclasses.asdict(Progress())
    if not isinstance(said, dict) or {name: type(value) for name, value in said.items()} != {
        name: type(value) for name, value in fresh.items()
    }:
        raise InputError(f"{path} does not say how far it is: it was edited")
    progress = Progress(**said)
    numbers = (progress.part, progress.within, progress.position, progress.total)
    measures = (progress.passes, progress.elapsed_s, progress.loss, progress.predictions)
    if not all(0 <= number < MOST_STEPS for number in numbers) or not all(0 <= one < MOST_STEPS for one in measures):
        raise InputError(f"{path} says an impossible place to go on from: it was edited")
    return progress, {name: np.array(array) for name, array in arrays.items()}
