"""Vectors by singular value decomposition: against the dense computation of numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.embeddings import svd
from seqtool.embeddings.cooccurrence import Cooccurrences, count_pairs
from seqtool.embeddings.svd import learn_svd
from seqtool.errors import UsageError


def counts_of(size: int, tokens: int = 6000, seed: int = 0) -> Cooccurrences:
    """Of a text whose tokens come in topics, so that some singular values stand out; the last token never occurs."""
    generator = np.random.default_rng(seed)
    topics = generator.integers(0, 5, tokens // 20).repeat(20)
    rows = (np.minimum(generator.geometric(8 / size, tokens), size // 5 - 1) * 5 + topics).astype(np.int32)
    rows[rows == size - 1] = 0
    return count_pairs([(rows, np.arange(tokens) // 100)], size, 4, "linear")


def dense(counts: Cooccurrences) -> np.ndarray:
    matrix = np.zeros((counts.vocab_size, counts.vocab_size))
    matrix[counts.rows(0, len(counts)), counts.columns] = counts.values
    return matrix


def ppmi_of(matrix: np.ndarray, power: float) -> np.ndarray:
    """Levy, Goldberg & Dagan 2015, written out: log(P(w, c) / (P(w) P_power(c)))."""
    total = matrix.sum()
    contexts = matrix.sum(0)
    smoothed = np.where(contexts > 0, np.maximum(contexts, 1e-300) ** power, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log((matrix / total) / np.outer(matrix.sum(1) / total, smoothed / smoothed.sum()))
    return np.where(matrix > 0, np.maximum(np.nan_to_num(pmi, neginf=0), 0), 0)


@pytest.mark.parametrize("power", [0, 0.75, 1])
def test_ppmi_and_its_transpose_are_those_of_the_definition(power, monkeypatch):
    monkeypatch.setattr(svd, "ENTRIES_AT_ONCE", 1000)
    counts = counts_of(60)
    expected = ppmi_of(dense(counts), power)
    for sparse, matrix in zip(svd._ppmi(counts, power), (expected, expected.T), strict=True):
        starts, columns, values = (part.numpy() for part in sparse)
        found = np.zeros_like(matrix)
        found[np.repeat(np.arange(60), np.diff(starts, append=len(columns))), columns] = values
        np.testing.assert_allclose(found, matrix, atol=1e-5)


def test_vectors_are_those_of_a_dense_decomposition():
    counts = counts_of(150)
    left, singular, _ = np.linalg.svd(ppmi_of(dense(counts), 0.75))
    vectors = learn_svd(counts, 12, 0.75, seed=3)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=0) ** 2, singular[:12], rtol=1e-3)
    expected = (left * np.sqrt(singular))[:, :4]  # those that lie apart from the next, so that they are determined
    signs = np.sign(expected[np.abs(expected).argmax(0), range(4)])
    np.testing.assert_allclose(vectors[:, :4], expected * signs, atol=1e-3)


def test_as_many_dimensions_as_tokens_give_the_whole_matrix():
    counts = counts_of(40)
    left, singular, _ = np.linalg.svd(ppmi_of(dense(counts), 0.75))
    vectors = learn_svd(counts, 40, 0.75, seed=0)
    np.testing.assert_allclose(vectors @ vectors.T, left * singular @ left.T, atol=1e-4)
    with pytest.raises(UsageError, match=r"--dim 41: .* 40 tokens .* take --dim 40"):
        learn_svd(counts, 41, 0.75, seed=0)


def test_a_token_without_neighbours_is_zero_and_all_else_is_decided():
    counts = counts_of(100)
    vectors = learn_svd(counts, 10, 0.75, seed=1)
    assert np.abs(vectors[-1]).max() < 1e-5
    assert np.array_equal(vectors, learn_svd(counts, 10, 0.75, seed=1))
    assert (vectors[np.abs(vectors).argmax(0), range(10)] > 0).all()


def test_a_text_without_surprises_has_vectors_of_zero():
    counts = count_pairs([(np.zeros(9, np.int32), np.zeros(9, np.int64))], 1, 2, "linear")
    assert np.abs(learn_svd(counts, 1, 1.0, seed=0)).max() < 1e-6
