"""Learning vectors: stopped and resumed it gives the same bytes, no text makes it diverge, and the vectors are better
than the initial ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seqtool.embeddings import glove, jobs, skipgram
from seqtool.embeddings.jobs import EmbeddingProgress
from seqtool.embeddings.learning import learn_vectors, refuse_checkpoint, resolved
from seqtool.embeddings.words import read_corpus
from seqtool.errors import DivergedError, InputError, UsageError
from seqtool.settings.embedding import EmbedConfig
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.vectors.vectors import Vectors

WAYS = {
    "skipgram": {"method": "skipgram"},
    "cbow": {"method": "cbow"},
    "skipgram of n-grams": {"method": "skipgram", "subword": True},
    "cbow of n-grams": {"method": "cbow", "subword": True},
    "glove": {"method": "glove"},
}


def plain() -> list[str]:
    """Lines of eight words, half of them of the line's subject, the others from a list of which some are frequent."""
    rng = np.random.default_rng(0)
    others = np.minimum(rng.zipf(1.3, (800, 4)), 200)
    return [
        " ".join([*(f"topic{subject}-{word}" for word in rng.integers(0, 6, 4)), *(f"word{word}" for word in row)])
        for subject, row in zip(rng.integers(0, 20, 800), others, strict=True)
    ]


def repeating() -> list[str]:
    """The same with dotted and ruled lines before it, and one word thousands of times in its midst."""
    dotted = [f"chapter {i} {'. ' * 26}{i * 7}" for i in range(24)]
    lines = plain()
    return [*dotted, *["= = = = = = = = = ="] * 300, *lines[:400], "again " * 4000, *lines[400:]]


HOSTILE = {
    "two groups in a line": " ".join(["a", "b", "c", "d"] * 1000 + ["o", "p", "q", "r"] * 1000),
    "many groups in a line": " ".join(f"g{i // 200}-{i % 4}" for i in range(6000)),
    "runs of words that look alike": " ".join(f"word{i // 30}" for i in range(6000)),
    "two symbols": "a b " * 2000,
}


def learning(
    folder: Path,
    lines: list[str],
    parts: int = 1 << 60,
    resume: bool = False,
    vocabulary_type: str = "word",
    stopped: Callable[[], bool] = lambda: False,
    **settings: object,
) -> tuple[Vectors | None, EmbeddingProgress]:
    """Learn until so many parts are done, or `stopped` says so."""
    text = folder / "text"
    text.write_text("\n".join(lines))
    kind = VocabularyConfig(type=vocabulary_type)
    vocabulary, corpus, sha256 = read_corpus([str(text)], None, kind, 1, "strict", None, 0)
    config = resolved(EmbedConfig(**{"dim": 16, "epochs": 6.0, **settings}), len(corpus.ids))
    reports: list[float] = []
    return learn_vectors(
        *(corpus, vocabulary, sha256, config, "cpu", folder / "checkpoint"),
        resume=resume,
        report=lambda progress, lr: reports.append(lr),
        stopped=lambda: len(reports) >= parts or stopped(),
    )


def learned(folder: Path, lines: list[str], **settings: object) -> tuple[Vectors, float]:
    """Vectors, and the mean loss in the last pass."""
    vectors, progress = learning(folder, lines, **settings)
    assert vectors is not None
    assert progress.mean_loss is not None
    return vectors, progress.mean_loss


@pytest.mark.parametrize("way", WAYS)
def test_lines_that_repeat_a_word_leave_the_loss_near_that_of_the_text_without_them(tmp_path, way):
    _, without = learned(tmp_path, plain(), **WAYS[way])
    vectors, loss = learned(tmp_path, repeating(), **WAYS[way])
    assert loss < 1.15 * without
    assert np.linalg.norm(vectors.matrix_VD, axis=1).max() < 30


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("way", [way for way in WAYS if way != "glove"])
def test_no_text_diverges(tmp_path, text, way):
    for settings in ({}, {"lr": 0.5, "window": 20}):
        vectors, _ = learned(tmp_path, [HOSTILE[text]], **{**WAYS[way], **settings})
        assert np.linalg.norm(vectors.matrix_VD, axis=1).max() < 50, settings


@pytest.mark.parametrize("cbow", [False, True])
def test_torch_learns_from_repeated_words_as_the_compiled_part_does(tmp_path, cbow, monkeypatch):
    if skipgram.skipgram_library() is None:
        pytest.skip("skipgram.c was not compiled")
    settings = {"method": "cbow" if cbow else "skipgram", "epochs": 1.0}
    found, loss = learned(tmp_path, repeating(), **settings)
    monkeypatch.setattr("seqtool.embeddings.jobs.skipgram_library", lambda: None)
    again, torchs = learned(tmp_path, repeating(), **settings)
    assert torchs == pytest.approx(loss, rel=1e-4)
    np.testing.assert_allclose(found.matrix_VD, again.matrix_VD, atol=1e-3)


def test_vectors_no_better_than_their_beginning_are_refused(tmp_path):
    with pytest.raises(DivergedError, match="lower --lr"):
        learned(tmp_path, plain(), method="glove", lr=500.0)
    with pytest.raises(DivergedError, match="passes"):
        learned(tmp_path, plain(), method="skipgram", lr=1e-30)


@pytest.fixture
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts in a pass, although the text is short."""
    monkeypatch.setattr(jobs, "SPAN_CENTRES", 512)
    monkeypatch.setattr(glove, "PART_ENTRIES", 2000)
    monkeypatch.setattr(glove, "BLOCK_ENTRIES", 128)


@pytest.mark.usefixtures("many_parts")
@pytest.mark.parametrize("way", WAYS)
def test_a_stopped_learning_goes_on_exactly(tmp_path, way):
    settings = {"epochs": 2.0, **WAYS[way]}
    whole, progress = learning(tmp_path, plain(), **settings)
    assert whole is not None
    for resume in (False, True):
        stopped, before = learning(tmp_path, plain(), parts=3, resume=resume, **settings)
        assert stopped is None
    assert 0 < before.position < progress.position
    vectors, after = learning(tmp_path, plain(), resume=True, **settings)
    assert vectors is not None
    assert vectors.matrix_VD.tobytes() == whole.matrix_VD.tobytes()
    assert vectors.ngrams_BD.tobytes() == whole.ngrams_BD.tobytes()
    assert vectors.metadata == whole.metadata
    assert dataclasses.replace(after, elapsed_s=0) == dataclasses.replace(progress, elapsed_s=0)


@pytest.mark.usefixtures("many_parts")
def test_a_checkpoint_goes_with_its_settings_text_and_vocabulary(tmp_path):
    learning(tmp_path, plain(), parts=1)
    for changed, other in (
        (lambda: learning(tmp_path, plain(), resume=True, negative=6), "settings"),
        (lambda: learning(tmp_path, plain()[1:], resume=True), "text and vocabulary"),
        (lambda: learning(tmp_path, plain(), resume=True, vocabulary_type="char"), "text and vocabulary"),
    ):
        with pytest.raises(InputError, match=f"belongs to other {other}: give --resume the same"):
            changed()
    vectors, _ = learning(tmp_path, plain(), resume=True, checkpoint_every=7.0)  # which changes nothing
    assert vectors is not None
    with pytest.raises(UsageError, match="or start over with --force"):
        refuse_checkpoint(tmp_path / "checkpoint", force=False)
    refuse_checkpoint(tmp_path / "checkpoint", force=True)
    with pytest.raises(UsageError, match="in the way"):
        refuse_checkpoint(tmp_path / "text", force=True)


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_a_learning_that_is_stopped_while_it_counts_leaves_nothing(tmp_path, monkeypatch, chunks):
    monkeypatch.setattr("seqtool.embeddings.corpus.CHUNK_TOKENS", 1000)
    answers = iter([False] * chunks)
    vectors, progress = learning(tmp_path, plain(), method="glove", stopped=lambda: next(answers, True))
    assert (vectors, progress.position) == (None, 0)
    assert not (tmp_path / "checkpoint").exists()
    with pytest.raises(InputError, match="there is nothing that --resume could go on from"):
        learning(tmp_path, plain(), resume=True)


def test_settings_that_nobody_gave_follow_from_the_text():
    def found(tokens: int, **settings: object) -> tuple[float, float, float]:
        config = resolved(EmbedConfig(**settings), tokens)
        return config.epochs, config.lr, round(config.x_max, 2)

    assert found(1000) == (40, 0.025, 1)
    assert found(1_000_000, method="cbow") == (10, 0.05, 2.5)
    assert found(10**9) == (5, 0.025, 79.06)
    assert found(10**11, method="glove") == (25, 0.05, 100)
    assert found(1000, time=60.0)[0] == 0
    assert found(1000, epochs=3.0, lr=0.5, x_max=7.0) == (3, 0.5, 7)
