"""A model says the same of symbols that have other numbers; what comes behind an end is known."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.counts.counting import NgramCounts
from seqtool.counts.kneser_ney import estimate
from seqtool.counts.model import NgramModel
from seqtool.counts.renumbering import renumbered, with_ends
from seqtool.counts.stored import arrays_of, model_of
from tests.counts.oracle import hostile_documents, joined

V, BEGIN = 12, 1
TEXT = np.array([3, 4, 5, 3, 4, 5, 0, V - 1, 3, 3, 2, 4])


def model(order: int) -> NgramModel:
    counts = NgramCounts(joined(hostile_documents(0, V, BEGIN), BEGIN), V, BEGIN)
    for _ in range(order - 1):
        counts.grow()
    return estimate(counts, order)


def after(ngrams: NgramModel, text: np.ndarray) -> np.ndarray:
    contexts = ngrams.no_contexts(1)
    for token in text:
        contexts = ngrams.advance(contexts, np.array([token]))
    return ngrams.next_log_p(contexts)[0]


@pytest.mark.parametrize("order", [1, 2, 5])
def test_symbols_with_other_numbers_have_the_same_probabilities(order: int):
    ngrams, ids = model(order), np.random.default_rng(3).permutation(V + 4)[:V]
    log_p, backoffs = np.full(V + 4, -np.inf), np.zeros(V + 4)
    log_p[ids] = ngrams.log_p[0]
    if order > 1:
        backoffs[ids] = ngrams.backoffs[0]
    other = renumbered(ngrams, ids, int(ids[BEGIN]), log_p, backoffs)
    assert other.sizes == (V + 4, *ngrams.sizes[1:])
    for end in range(len(TEXT)):
        text = np.array([BEGIN, *TEXT[:end]])
        assert np.array_equal(after(other, ids[text])[ids], after(ngrams, text))


def test_two_n_grams_never_become_one():
    ids = np.arange(V)
    ids[4] = 3
    with pytest.raises(ValueError, match="an n-gram is there twice"):
        renumbered(model(3), ids, BEGIN, np.zeros(V), np.zeros(V))


def without(ngrams: NgramModel, symbol: int) -> NgramModel:
    """The model without what goes on from a symbol: another one's, which nothing goes on from, in its place."""
    ids = np.arange(V)
    ids[[symbol, V - 1]] = ids[[V - 1, symbol]]
    return renumbered(ngrams, ids, BEGIN, ngrams.log_p[0], (ngrams.backoffs or [np.zeros(V)])[0])


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_behind_an_end_comes_the_next_document(order: int):
    """Here symbol V - 1 never occurs, so nothing is known to follow it."""
    end, ngrams = V - 1, model(order)
    ended = model_of(arrays_of(with_ends(ngrams, end)), order, BEGIN)
    for text in ([BEGIN, end], [BEGIN, 3, 4, end], [3, end]):
        p = np.exp(after(ended, np.array(text)))
        assert p.sum() == pytest.approx(1, abs=1e-9)
        assert order == 1 or p[BEGIN] > 0.99999
    for text in ([BEGIN], [BEGIN, 3, 4, 5], [3, end, 4, 5]):
        assert np.array_equal(after(ended, np.array(text)), after(ngrams, np.array(text)))
    assert with_ends(ended, end) is ended
    for middle in (0, 2):  # a symbol before others, which an n-gram more moves
        moved = with_ends(without(ngrams, middle), middle)
        assert moved.sizes == (V, *(size + (k == 0) for k, size in enumerate(without(ngrams, middle).sizes[1:])))
        for text in ([BEGIN, 3, 4, 5], [5, 3, 4], [3, V - 1, 4]):
            found = after(model_of(arrays_of(moved), order, BEGIN), np.array(text))
            assert np.array_equal(found, after(without(ngrams, middle), np.array(text)))
