"""n-grams are counted as a dictionary counts them."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.counts.counting import NgramCounts
from tests.counts.oracle import Gram, Oracle, hostile_documents, joined

V, BEGIN, ORDER = 12, 1, 6


def grams_of(counts: NgramCounts, k: int) -> list[Gram]:
    """The n-grams of an order, spelled out."""
    if k == 1:
        return [(token,) for token in range(counts.vocab_size)]
    shorter, own = grams_of(counts, k - 1), counts.orders[k - 1]
    return [
        (*shorter[parent], token) for parent, token in zip(own.parents[:].tolist(), own.tokens[:].tolist(), strict=True)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_dictionaries(seed: int):
    documents = hostile_documents(seed, V, BEGIN)
    oracle, counts = Oracle(documents, V, BEGIN, ORDER), NgramCounts(joined(documents, BEGIN), V, BEGIN)
    for _ in range(ORDER - 1):
        counts.grow()
    for k in range(1, ORDER + 1):
        grams, own = grams_of(counts, k), counts.orders[k - 1]
        adjusted = counts.adjusted(k) if k < ORDER else own.counts
        found = dict(zip(grams, own.counts[:].tolist(), strict=True))
        assert {gram: count for gram, count in found.items() if count} == dict(oracle.raw[k])
        told = dict(zip(grams, adjusted[:].tolist(), strict=True))
        assert {gram: count for gram, count in told.items() if count} == {
            g: c for g, c in oracle.adjusted[k].items() if c
        }
        assert grams == sorted(grams)
        if k > 1:
            shorter = grams_of(counts, k - 1)
            assert [shorter[suffix] for suffix in own.suffixes[:]] == [gram[1:] for gram in grams]


def test_a_text_without_its_beginning_has_one():
    whole, without = (NgramCounts(np.array(ids), V, BEGIN) for ids in ([BEGIN, 3, 4], [3, 4]))
    whole.grow(), without.grow()
    assert whole.orders[1].tokens[:].tolist() == without.orders[1].tokens[:].tolist() == [3, 4]
    assert whole.tokens == without.tokens == 2


def test_a_text_shorter_than_the_order_has_no_n_grams_of_it():
    counts = NgramCounts(np.array([BEGIN, 3]), V, BEGIN)
    for _ in range(4):
        counts.grow()
    assert [len(order) for order in counts.orders] == [V, 1, 0, 0, 0]
