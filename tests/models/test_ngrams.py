from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from seqtool.models.ngrams import MODULUS, MULTIPLIER, NONE, WIDTH, WideNgrams, ngram_rows


def row_by_hand(ids: list[int], buckets: int) -> int:
    """The row of one n-gram, by Python's own integers."""
    value = ids[0] % MODULUS
    for number in ids[1:]:
        value = (value * MULTIPLIER + number + 1) % MODULUS
    return value % buckets + 1


def test_rows_of_ngrams_are_those_of_the_formula():
    ids, buckets = [[5, 0, 999_999, 3, 5], [1, 2, 3, 4, 5]], 1009
    found = ngram_rows(torch.tensor(ids), 4, buckets)
    assert found.shape == (2, 5, 3)
    for row, place, length in itertools.product(range(2), range(5), (2, 3, 4)):
        begin = place + 1 - length
        expected = row_by_hand(ids[row][begin : place + 1], buckets) if begin >= 0 else NONE
        assert found[row, place, length - 2] == expected


def test_a_product_never_overflows():
    largest = (1 << 31) - 2
    found = ngram_rows(torch.tensor([[largest, largest, largest]]), 3, 1 << 26)
    assert found[0, 2].tolist() == [row_by_hand([largest] * length, 1 << 26) for length in (2, 3)]


def test_ngrams_hash_by_order_and_length():
    ngrams = [(1, 2), (2, 1), (0, 1, 2), (1, 2, 0), (1, 0, 2), (1,)]
    assert len({row_by_hand(list(ids), 1 << 26) for ids in ngrams}) == len(ngrams)


@pytest.mark.parametrize("time", [1, 2, 3])
def test_a_sequence_shorter_than_the_longest_ngram_has_only_shorter_ones(time: int):
    rows = ngram_rows(torch.ones(1, time, dtype=torch.long), 4, 64)
    assert (rows != NONE).sum(1).tolist() == [[max(0, time - 1), max(0, time - 2), max(0, time - 3)]]


@pytest.mark.parametrize("longest", [1, 3])
def test_features_of_a_sequence_are_the_sum_of_all_vectors_over_the_root_of_their_number(longest: int):
    torch.manual_seed(1)
    wide = WideNgrams(9, longest, 64)
    wide.initialize()
    if wide.table is not None:
        assert not wide.table.weight.any()
        nn.init.normal_(wide.table.weight)  # that of no n-gram as well, which is never added
    rows, lengths = [[4, 8, 8, 1], [2, 3, 7, 7]], [4, 2]
    found = wide(torch.tensor(rows), torch.tensor(lengths))
    assert found.shape == (2, WIDTH)
    for row, length in enumerate(lengths):
        ids = rows[row][:length]
        total = wide.tokens.weight[ids].sum(0)
        for end, size in itertools.product(range(1, length + 1), range(2, longest + 1)):
            if size <= end:
                assert wide.table is not None
                total = total + wide.table.weight[row_by_hand(ids[end - size : end], 64)]
        torch.testing.assert_close(found[row], total / (longest * length) ** 0.5)
