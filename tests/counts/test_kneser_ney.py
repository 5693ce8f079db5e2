"""The model is what the equations say, by dictionaries; and KenLM's discounts."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.counts import columns
from seqtool.counts.counting import NgramCounts
from seqtool.counts.kneser_ney import FALLBACK, discounts, estimate
from seqtool.counts.model import NgramModel
from seqtool.counts.stored import arrays_of
from tests.counts.oracle import Oracle, hostile_documents, joined

V, BEGIN = 12, 1


def estimated(documents: list[list[int]], order: int, prune: tuple[int, ...] = ()) -> NgramModel:
    counts = NgramCounts(joined(documents, BEGIN), V, BEGIN)
    for _ in range(order - 1):
        counts.grow()
    return estimate(counts, order, prune)


@pytest.mark.parametrize("prune", [(), (0, 0, 1), (0, 1, 2, 2, 3)])
@pytest.mark.parametrize("order", range(1, 8))
@pytest.mark.parametrize("seed", range(2))
def test_every_probability_is_that_of_the_equations(seed: int, order: int, prune: tuple[int, ...]):
    documents = hostile_documents(seed, V, BEGIN)
    model, oracle = estimated(documents, order, prune), Oracle(documents, V, BEGIN, order, prune)
    for text in [*documents[:5], [0, 2, V - 1, 3, 3, V - 2, 0]]:
        contexts_1K, read = model.no_contexts(1), []
        for token in [BEGIN, *text]:
            contexts_1K = model.advance(contexts_1K, np.array([token]))
            read.append(token)
            p_V = np.exp(model.next_log_p(contexts_1K)[0])
            assert p_V == pytest.approx([oracle.p(read, v) for v in range(V)], rel=1e-9, abs=1e-15)
            assert abs(p_V.sum() - 1) < 1e-9


def test_one_document_has_no_end_to_predict():
    model = estimated([[2, 3, 4, 2, 3]], 3)
    assert model.next_log_p(model.advance(model.no_contexts(1), np.array([3])))[0, BEGIN] == -np.inf
    ended = estimated([[2, 3], [2, 3], [2, 3]], 3)
    assert np.exp(ended.next_log_p(ended.advance(ended.no_contexts(1), np.array([3])))[0, BEGIN]) > 0.5


def test_discounts_follow_from_counts_of_counts():
    y = 40 / 80
    assert discounts(40, 20, 10, 6) == pytest.approx((1 - 2 * y * 20 / 40, 2 - 3 * y * 10 / 20, 3 - 4 * y * 6 / 10))


@pytest.mark.parametrize("numbers", [[0, 20, 10, 6], [40, 0, 10, 6], [40, 20, 0, 6], [5, 3, 40, 6], [40, 2, 9, 90]])
def test_the_fallback_is_for_counts_of_counts_that_are_missing_or_out_of_range(numbers: list[int]):
    assert discounts(*numbers) == FALLBACK == (0.5, 1.0, 1.5)


def test_a_vocabulary_of_which_the_text_has_all_has_no_unknown():
    counts = NgramCounts(np.array([0, 1, 2, 2, 1, 2]), 3, 0)
    counts.grow()
    model = estimate(counts, 2)
    assert np.exp(model.next_log_p(np.array([[1]]))[0]).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("prune", [(), (0, 0, 1)])
@pytest.mark.parametrize("block", [pytest.param(1, marks=pytest.mark.slow), 3, 50])
def test_numbers_do_not_depend_on_memory(monkeypatch: pytest.MonkeyPatch, block: int, prune: tuple[int, ...]):
    """Bit by bit, whatever is worked on at once and whatever waits on disk."""
    expected = estimated(hostile_documents(2, V, BEGIN), 5, prune)
    monkeypatch.setattr(columns, "LEAST_BLOCK", block)
    for memory in (0, 4000, 1 << 20):
        monkeypatch.setattr(columns, "BLOCK_NUMBERS", block)
        storage = columns.Storage(memory)
        assert storage.block == block
        counts = NgramCounts(joined(hostile_documents(2, V, BEGIN), BEGIN), V, BEGIN, storage)
        for _ in range(4):
            counts.grow()
        found = arrays_of(estimate(counts, 5, prune))
        for name, array in arrays_of(expected).items():
            assert (found[name].dtype, found[name].tolist()) == (array.dtype, array.tolist()), name
