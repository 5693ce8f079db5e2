from __future__ import annotations

import torch

from seqtool.models.cores.bag import Bag
from seqtool.models.inputs import InputVectors
from seqtool.settings.model import ModelConfig
from tests.models.test_ngrams import row_by_hand


def bag_of(ngrams: int, buckets: int = 64, width: int = 6) -> Bag:
    torch.manual_seed(1)
    bag = Bag(ModelConfig(model="bag", ngrams=ngrams, buckets=buckets, hidden=width), width)
    if bag.table is not None:
        torch.nn.init.normal_(bag.table.weight)  # that of no n-gram as well, which is never added
    return bag.eval()


def test_features_are_the_sum_of_a_token_and_of_the_ngrams_that_end_there():
    bag, table, ids = bag_of(3), torch.randn(9, 6), [4, 8, 8, 1]
    assert bag.table is not None
    features, state = bag(InputVectors(torch.tensor([ids]), table), None)
    expected = []
    for place in range(len(ids)):
        y = table[ids[place]].clone()
        for length in range(2, min(3, place + 1) + 1):
            y += bag.table.weight[row_by_hand(ids[place - length + 1 : place + 1], 64)]
        expected.append(y)
    torch.testing.assert_close(features[0], torch.stack(expected))
    assert state == ()


def test_a_mean_of_features_is_the_sum_of_all_vectors_over_the_root_of_their_number():
    bag, table = bag_of(3), torch.randn(9, 6)
    ids, lengths = torch.tensor([[4, 8, 8, 1], [2, 3, 0, 0]]), torch.tensor([4, 2])
    plain, _ = bag(InputVectors(ids, table), None)
    found, _ = bag(InputVectors(ids, table, lengths_B=lengths), None)
    for row, length in enumerate(lengths.tolist()):
        vectors = (
            3 * length
        )  # a token, a 2-gram and a 3-gram at each place, those that begin before the text among them
        torch.testing.assert_close(found[row, :length].mean(0), plain[row, :length].sum(0) / vectors**0.5)


def test_without_ngrams_there_is_no_table():
    bag, table = bag_of(1), torch.randn(9, 6)
    assert bag.table is None
    torch.testing.assert_close(bag(InputVectors(torch.tensor([[3, 2]]), table), None)[0][0], table[[3, 2]])


def test_numbers_have_no_ngrams():
    x = torch.randn(2, 3, 6)
    assert torch.equal(bag_of(2)(InputVectors(None, None, x), None)[0], x)


def test_ngrams_begin_at_zero_and_size_is_what_is_built():
    config = ModelConfig(model="bag", ngrams=2, buckets=100, hidden=6)
    bag = Bag(config, 6)
    bag.initialize(config)
    assert bag.table is not None
    assert not bag.table.weight.any()
    assert Bag.size(config, 6).parameters == sum(weight.numel() for weight in bag.parameters()) == 606
