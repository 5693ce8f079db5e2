"""Pooling: what fills up a batch never counts."""

from __future__ import annotations

import math

import pytest
import torch

from seqtool.models.pooling import PLAIN, Attention

FEATURES = torch.tensor([[[1.0, -5.0], [3.0, -1.0], [math.inf, 9.0]], [[2.0, 2.0], [4.0, 0.0], [6.0, 1.0]]])
LENGTHS = torch.tensor([2, 3])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("last", [[3, -1], [6, 1]]), ("mean", [[2, -3], [4, 1]]), ("max", [[3, -1], [6, 2]])],
)
def test_by_hand(name: str, expected: list[list[float]]):
    assert PLAIN[name](FEATURES, LENGTHS).tolist() == expected


def test_attention_is_a_mean_by_softmax_weights():
    torch.manual_seed(0)
    pool = Attention(2)
    with torch.no_grad():
        scores = pool.query(torch.tanh(pool.hidden(FEATURES[0, :2])))
        expected = (scores.softmax(0) * FEATURES[0, :2]).sum(0)
        assert torch.allclose(pool(FEATURES, LENGTHS)[0], expected, atol=1e-6)
