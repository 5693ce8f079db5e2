"""Learning vectors from texts that repeat themselves: no text makes it diverge, and what it gives is better than where
it began."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqtool.embeddings import skipgram
from seqtool.embeddings.learning import learn_vectors, resolved
from seqtool.embeddings.words import read_corpus
from seqtool.errors import DivergedError
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


def learned(folder: Path, lines: list[str], **settings: object) -> tuple[Vectors, float]:
    """Vectors, and the mean loss in the last pass."""
    text = folder / "text"
    text.write_text("\n".join(lines))
    vocabulary, corpus, sha256 = read_corpus([str(text)], None, VocabularyConfig(type="word"), 1, "strict", None, 0)
    config = resolved(EmbedConfig(**{"dim": 16, "epochs": 6.0, **settings}), len(corpus.ids))
    vectors, progress = learn_vectors(corpus, vocabulary, sha256, config, "cpu", folder / "checkpoint")
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
