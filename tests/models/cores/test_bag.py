"""The bag: each token's vector and those of the n-grams that end there."""

from __future__ import annotations

import torch

from seqtool.models.cores.bag import MODULUS, MULTIPLIER, Bag, ngram_rows
from seqtool.models.inputs import InputVectors
from seqtool.settings.model import ModelConfig


def test_ngrams_are_hashed_in_order():
    ids = torch.tensor([[5, 7, 5, 7]])
    pairs, triples = ngram_rows(ids, 3, 1000)
    hashed = [(a * MULTIPLIER + b + 1) % MODULUS for a, b in ((5, 7), (7, 5), (5, 7))]
    assert pairs.tolist() == [[one % 1000 for one in hashed]]
    assert triples.tolist() == [
        [(one * MULTIPLIER + b + 1) % MODULUS % 1000 for one, b in zip(hashed, (5, 7), strict=False)]
    ]
    assert ngram_rows(ids[:, :1], 3, 1000) == []


def test_features_are_sums_of_rows():
    config = ModelConfig(model="bag", hidden=3, ngrams=2, buckets=11)
    bag = Bag(config, 3).eval()
    ids, words = torch.tensor([[1, 2, 3]]), torch.randn(4, 3)
    features, state = bag(InputVectors(ids, words), None)
    assert bag.table is not None
    (pairs,) = ngram_rows(ids, 2, 11)
    assert torch.allclose(features[0, 0], words[1])
    assert torch.allclose(features[0, 2], words[3] + bag.table(pairs[0, 1]))
    assert state == ()
    assert sum(weight.numel() for weight in bag.parameters()) == Bag.size(config, 3).parameters
