"""Jobs advance part by part: every pass reads the whole text, going on from a checkpoint's arrays changes nothing, and
the vectors are what the weights say."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

from seqtool.embeddings import corpus as corpus_module
from seqtool.embeddings import jobs
from seqtool.embeddings.corpus import Corpus
from seqtool.embeddings.jobs import EmbeddingProgress, GloveJob, Job, NegativeSamplingJob
from seqtool.embeddings.learning import resolved
from seqtool.errors import InputError, UsageError
from seqtool.settings.embedding import EmbedConfig
from seqtool.vectors.subwords import Ngrams

WORDS, TOKENS = 40, 3000
NAMES = [f"word{number}" for number in range(WORDS)]
WAYS = {
    "skipgram": {"method": "skipgram"},
    "cbow": {"method": "cbow"},
    "subword": {"method": "skipgram", "subword": True},
    "glove": {"method": "glove"},
}


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """A text of three chunks, the last one short, in documents of about twenty words; id 0 begins each."""
    for module in (corpus_module, jobs):
        monkeypatch.setattr(module, "CHUNK_TOKENS", 1200)
    rng = np.random.default_rng(0)
    ids = np.minimum(rng.zipf(1.3, TOKENS), WORDS).astype(np.uint16)
    ids[::21] = 0
    counts = np.bincount(ids, minlength=WORDS + 1)[1:]
    order = np.argsort(-counts, kind="stable")
    numbers = np.full(WORDS + 1, corpus_module.NOT_A_WORD, np.int32)
    numbers[1 + order] = np.arange(WORDS)
    return Corpus(ids, 0, 1 + order, counts[order], numbers)


def job_of(corpus: Corpus, way: str, arrays: jobs.Arrays | None = None, **settings: object) -> Job:
    config = resolved(EmbedConfig(**{"dim": 6, "epochs": 2.0, **WAYS[way], **settings}), len(corpus.ids))
    if way == "glove":
        return GloveJob(corpus.chunks(), WORDS, config, "cpu", arrays)
    return NegativeSamplingJob(corpus, NAMES, config, "cpu", arrays)


@pytest.fixture
def small_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SPAN_CENTRES", 64)


@pytest.mark.usefixtures("small_spans")
@pytest.mark.parametrize("way", WAYS)
def test_a_pass_reads_all_and_positions_only_grow(corpus: Corpus, way: str):
    job, progress, positions = job_of(corpus, way), EmbeddingProgress(), [0]
    while progress.position < 2 * job.length:
        job.advance(progress, job.rate(0.5))
        positions.append(progress.position)
    assert positions == sorted(positions)
    assert job.length in positions
    assert positions[-1] == 2 * job.length
    assert way == "glove" or job.length == TOKENS


@pytest.mark.usefixtures("small_spans")
@pytest.mark.parametrize("way", WAYS)
def test_going_on_from_a_copy_of_the_arrays_equals_never_stopping(corpus: Corpus, way: str):
    whole, progress = job_of(corpus, way), EmbeddingProgress()
    for step in range(10):
        if step == 4:
            arrays, kept = copy.deepcopy(whole.arrays()), dataclasses.replace(progress)
        whole.advance(progress, 0.02)
    again = job_of(corpus, way, arrays)
    for _ in range(4, 10):
        again.advance(kept, 0.02)
    assert kept == progress
    for found, expected in zip(again.vectors(), whole.vectors(), strict=True):
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("way", ["skipgram", "cbow"])
def test_the_rate_falls_linearly_and_that_of_glove_stays(corpus: Corpus, way: str):
    job = job_of(corpus, way, lr=0.01)
    rates = [job.rate(share) for share in (0.0, 0.25, 0.5, 1.0)]
    np.testing.assert_allclose(np.divide(rates, rates[0]), [1, 0.751, 0.502, 0.004])
    assert job_of(corpus, "glove", lr=0.01).rate(0.9) == 0.01


def test_vectors_of_words_are_the_means_of_their_rows_and_unused_rows_are_zero(corpus: Corpus):
    job = job_of(corpus, "subword", ngram_rows=500)
    job.advance(EmbeddingProgress(), 0.05)
    input = job.arrays()["input"]
    vectors, ngrams = job.vectors()
    assert ngrams.tobytes() == input[WORDS:].tobytes()
    used = set()
    for number, name in enumerate(NAMES):
        rows = Ngrams(3, 6, 500).of(name)
        used |= set(rows.tolist())
        np.testing.assert_allclose(vectors[number], input[[number, *(WORDS + rows)]].mean(0), rtol=1e-5, atol=1e-7)
    unused = sorted(set(range(500)) - used)
    assert unused
    assert not ngrams[unused].any()
    assert ngrams[sorted(used)].any(axis=1).all()


@pytest.mark.parametrize("way", WAYS)
def test_the_initial_loss_is_that_of_the_initial_weights(corpus: Corpus, way: str):
    job = job_of(corpus, way)
    now, start = job.losses()
    assert now == pytest.approx(start, rel=1e-5)
    progress = EmbeddingProgress()
    while progress.position < 2 * job.length:
        job.advance(progress, 0.05)
    now, again = job.losses()
    assert again == start
    assert now < start


def test_a_checkpoint_of_another_size_or_place_is_refused(corpus: Corpus):
    arrays = job_of(corpus, "skipgram").arrays()
    with pytest.raises(InputError, match="another size"):
        job_of(corpus, "skipgram", {name: array[:, :-1] for name, array in arrays.items()})
    with pytest.raises(InputError, match="impossible progress"):
        job_of(corpus, "skipgram").advance(EmbeddingProgress(within=7), 0.01)


def test_vectors_larger_than_the_memory_are_refused_before_it_is_taken(corpus: Corpus):
    with pytest.raises(UsageError, match="more than this machine has: lower --dim"):
        job_of(corpus, "subword", dim=1 << 16, ngram_rows=1 << 24)
