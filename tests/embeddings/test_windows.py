"""Random draws have the probabilities that the papers give, and windows end where documents do."""

from __future__ import annotations

import numpy as np

from seqtool.embeddings.corpus import Chunk
from seqtool.embeddings.windows import alias_table, keep_probability, make_window_sampler


def test_alias_table_gives_the_wanted_probabilities_exactly():
    for weights in ([1.0], [1, 1], [5, 1, 3, 1e-9], np.arange(1, 1000) ** 0.75):
        weights = np.asarray(weights, float)
        stay, alias = alias_table(weights)
        found = stay.astype(float).copy()
        np.add.at(found, alias, 1 - stay.astype(float))
        np.testing.assert_allclose(found / len(weights), weights / weights.sum(), rtol=1e-4, atol=1e-7)


def test_frequent_words_are_left_out_as_word2vec_does():
    counts = np.array([9000, 900, 90, 10])
    frequency = counts / counts.sum()
    expected = np.minimum(1, (np.sqrt(frequency / 1e-3) + 1) * 1e-3 / frequency)
    np.testing.assert_allclose(keep_probability(counts, 1e-3), expected)
    assert (keep_probability(counts, 0.0) == 1).all()


def test_windows_end_where_documents_do_and_reach_every_width_equally_often():
    rng = np.random.default_rng(0)
    documents = np.sort(rng.integers(0, 300, 20_000))
    chunk = Chunk(rng.integers(0, 50, 20_000).astype(np.int32), documents)
    sampler = make_window_sampler(np.full(50, 400), 5, 0.0, 0.75)
    drawn, noise = sampler.windows(chunk, [3]), sampler.noise(625, 16, [3])
    for at in range(len(drawn.words)):
        begin, end = at - int(drawn.left[at]), at + int(drawn.right[at])
        assert begin >= 0
        assert end < len(documents)
        assert documents[begin] == documents[at] == documents[end]
    widths = np.bincount(np.maximum(drawn.left, drawn.right), minlength=6)[1:]
    assert abs(widths / widths.sum() - 0.2).max() < 0.02
    assert noise.shape == (625, 16)
    assert (np.bincount(noise.ravel(), minlength=50) > 0).all()


def test_draws_depend_on_the_seed_alone():
    chunk = Chunk(np.zeros(100, np.int32), np.zeros(100, np.int64))
    sampler = make_window_sampler(np.array([60, 40]), 4, 1e-2, 0.75)
    first, again, other = (sampler.windows(chunk, seed) for seed in ([1, 0], [1, 0], [2, 0]))
    assert first.left.tolist() == again.left.tolist()
    assert first.left.tolist() != other.left.tolist()
    assert (sampler.noise(9, 8, [1, 0]) == sampler.noise(9, 8, [1, 0])).all()
    assert (sampler.noise(9, 8, [1, 0]) != sampler.noise(9, 8, [1, 1])).any()


def test_an_empty_chunk_gives_no_centres():
    sampler = make_window_sampler(np.array([5, 4]), 4, 0.0, 0.75)
    assert len(sampler.windows(Chunk(np.empty(0, np.int32), np.empty(0, np.int64)), [1]).words) == 0
    assert sampler.noise(0, 8, [1]).shape == (0, 8)
