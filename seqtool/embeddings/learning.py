"""Learning vectors from a text, part by part, so that it can stop after any part and resume from a checkpoint."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.embeddings.corpus import Corpus
from seqtool.embeddings.jobs import Arrays, EmbeddingProgress, GloveJob, Job, NegativeSamplingJob
from seqtool.errors import DivergedError, InputError, UsageError
from seqtool.files.tensors import AS_GIVEN, map_arrays, write_tensors
from seqtool.files.writing import canonical_sha256, provenance
from seqtool.settings.embedding import METHODS_WITHOUT_STEPS, EmbedConfig
from seqtool.text.vocabulary import Vocabulary
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import FloatMatrix, Vectors

CHECKPOINT_FORMAT = "seqtool embedding checkpoint 1"
GLOVE_EPOCHS = 25.0
EPOCHS, MOST_EPOCHS = 5.0, 40.0  # of skipgram and cbow; a short text needs more than a long one
ENOUGH_TOKENS = 10_000_000  # in all passes together
RATES = {"skipgram": 0.025, "cbow": 0.05, "glove": 0.05}
X_MAX, X_MAX_SCALE = 100.0, 400.0  # the paper's for billions of tokens; about 10 for 17 million, 1 for 160,000
PLANNING_SHARE, PLANNING_S = 0.1, 30.0  # the number of passes is fixed after this share of --time, or these seconds
SMALLEST_GAIN = 1e-9  # as a share of the loss; a smaller one may be rounding
MOST_ONE_HOT = 10_000  # tokens: a matrix of 400 MB
MOST_STEPS = 1 << 60  # no learning counts that far


def resolved(config: EmbedConfig, text_tokens: int) -> EmbedConfig:
    """The settings with the defaults that depend on the method and the length of the text filled in."""
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
    report: Callable[[EmbeddingProgress, float], None] = lambda progress, lr: None,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[Vectors | None, EmbeddingProgress]:
    """Learn vectors with resolved settings; None in their place when `stopped` returned true before the end.

    Checkpoints are written to the file `checkpoint`, from which `resume` goes on. InputError when the checkpoint
    belongs to another text, vocabulary or settings, or the text has nothing to learn from; DivergedError when the
    vectors are not finite, or no better than the initial ones.
    """
    tokens = [vocabulary.token(index) for index in corpus.word_ids.tolist()]
    progress = EmbeddingProgress()
    if config.method in METHODS_WITHOUT_STEPS:
        began = time.monotonic()
        matrix_VD, ngrams_BD = _at_once(corpus, len(tokens), config), np.empty((0, 0), np.float32)
        progress.elapsed_s = time.monotonic() - began
    else:
        belongs = _belongs(corpus, vocabulary, input_sha256, config)
        progress, arrays = _read_checkpoint(checkpoint, belongs, config) if resume else (progress, None)
        job = _make_job(corpus, tokens, config, device, arrays, stopped)
        if job is None or not _learn(job, config, progress, checkpoint, belongs, report, stopped):
            return None, progress
        if not progress.predictions:
            raise InputError(
                "no word of the text has another near it: raise --subsample or --window, or give more text"
            )
        _refuse_unlearned(job)
        matrix_VD, ngrams_BD = job.vectors()
    if not np.isfinite(matrix_VD).all():
        raise DivergedError("the vectors are not finite numbers: lower --lr")
    metadata = _metadata(corpus, vocabulary, input_sha256, config, progress)
    return Vectors(TokenTable.of(tokens), matrix_VD, metadata, ngrams_BD, vocabulary.model), progress


def _metadata(
    corpus: Corpus, vocabulary: Vocabulary, input_sha256: str, config: EmbedConfig, progress: EmbeddingProgress
) -> dict[str, Any]:
    """How the vectors were made, as their file records it."""
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
    if config.method not in METHODS_WITHOUT_STEPS:
        metadata["passes"] = progress.passes
    return metadata


def _belongs(corpus: Corpus, vocabulary: Vocabulary, input_sha256: str, config: EmbedConfig) -> dict[str, str]:
    """Hashes of what a checkpoint belongs to: its settings, text and vocabulary."""
    free = ("device", "checkpoint_every")
    lasting = {name: value for name, value in dataclasses.asdict(config).items() if name not in free}
    return {
        "settings": canonical_sha256(lasting),
        "text": canonical_sha256([input_sha256, len(corpus.ids)]),
        "vocabulary": canonical_sha256([vocabulary.sha256, len(corpus.word_ids)]),
    }


def _make_job(
    corpus: Corpus,
    tokens: list[str],
    config: EmbedConfig,
    device: str,
    arrays: Arrays | None,
    stopped: Callable[[], bool],
) -> Job | None:
    """The job of a method, from a checkpoint's `arrays` where there are any; None when `stopped` came first."""
    if config.method != "glove":
        return NegativeSamplingJob(corpus, tokens, config, device, arrays)
    chunks = itertools.takewhile(lambda chunk: not stopped(), corpus.chunks())
    try:
        job = GloveJob(chunks, len(tokens), config, device, arrays)
    except InputError:
        if stopped():  # before all of the text was counted
            return None
        raise
    return None if stopped() else job


def _learn(
    job: Job,
    config: EmbedConfig,
    progress: EmbeddingProgress,
    checkpoint: Path,
    belongs: dict[str, str],
    report: Callable[[EmbeddingProgress, float], None],
    stopped: Callable[[], bool],
) -> bool:
    """Advance a job to its end, or until `stopped` returns true; whether it reached the end."""
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


def _refuse_unlearned(job: Job) -> None:
    """DivergedError when the vectors are no better than the initial ones."""
    now, start = job.losses()
    if start and not now < start * (1 - SMALLEST_GAIN):
        raise DivergedError(
            f"the vectors predict no better than the random initial ones: their loss is {now / start:.4g} times as "
            "high; lower --lr, or give more text, passes (--epochs) or numbers (--dim)"
        )


def _at_once(corpus: Corpus, size: int, config: EmbedConfig) -> FloatMatrix:
    """Learn by a method without steps: one-hot or svd."""
    if config.method == "one-hot":
        if size > MOST_ONE_HOT:
            raise UsageError(
                f"--method one-hot makes a vector of {size:,} numbers for each of {size:,} tokens: take a vocabulary "
                f"of {MOST_ONE_HOT:,} at most (--vocab-size), or another method"
            )
        return np.eye(size, dtype=np.float32)
    from seqtool.embeddings.cooccurrence import count_pairs
    from seqtool.embeddings.svd import learn_svd

    counts = count_pairs(corpus.chunks(), size, config.window, "linear")
    return learn_svd(counts, config.dim, config.noise_power, config.seed)


def checkpoint_of(path: Path) -> Path:
    """The checkpoint file of a learning that will write its vectors to `path`."""
    return path.with_name(path.name + ".checkpoint")


def refuse_checkpoint(path: Path, force: bool) -> None:
    """UsageError for an existing file at a checkpoint's path: one that is no checkpoint, or one without `force`."""
    try:
        with open(path, "rb") as stream:
            is_ours = CHECKPOINT_FORMAT.encode() in stream.read(1 << 16)
    except OSError:
        is_ours = False
    if not is_ours:
        raise UsageError(
            f"{path} is in the way: the checkpoint goes there, and it is not one; name another result with -o"
        )
    if not force:
        raise UsageError(
            f"{path} is the checkpoint of a learning that was stopped: go on with --resume, or start over with --force"
        )


def _write_checkpoint(
    path: Path, belongs: dict[str, str], progress: EmbeddingProgress, arrays: Mapping[str, npt.NDArray[Any]]
) -> None:
    metadata = {"format": CHECKPOINT_FORMAT, "belongs": belongs, "progress": dataclasses.asdict(progress)}
    write_tensors(path, arrays, metadata, AS_GIVEN)


def _read_checkpoint(path: Path, belongs: dict[str, str], config: EmbedConfig) -> tuple[EmbeddingProgress, Arrays]:
    """The progress and the arrays of a checkpoint, copied into memory; InputError when it does not belong here."""
    if not path.is_file():
        raise InputError(f"{path} does not exist: there is nothing that --resume could go on from")
    names = (
        ("words", "contexts", "word_squares", "context_squares") if config.method == "glove" else ("input", "output")
    )
    kinds = {name: ("F32", 2) for name in names}
    arrays, metadata = map_arrays(path, kinds, CHECKPOINT_FORMAT, "not a checkpoint of seqtool embed train")
    begun = metadata.get("belongs")
    other = [name for name in belongs if not isinstance(begun, dict) or begun.get(name) != belongs[name]]
    if other:
        raise InputError(f"{path} belongs to other {' and '.join(other)}: give --resume the same as before")
    progress = _checked_progress(path, metadata.get("progress"))
    return progress, {name: np.array(array) for name, array in arrays.items()}


def _checked_progress(path: Path, said: Any) -> EmbeddingProgress:
    """The progress that a checkpoint records; InputError when it is incomplete or impossible."""
    fresh = dataclasses.asdict(EmbeddingProgress())
    if not isinstance(said, dict) or {name: type(value) for name, value in said.items()} != {
        name: type(value) for name, value in fresh.items()
    }:
        raise InputError(f"{path} does not record its progress: it was edited")
    if not all(0 <= value < MOST_STEPS for value in said.values()):
        raise InputError(f"{path} records an impossible progress: it was edited")
    return EmbeddingProgress(**said)
