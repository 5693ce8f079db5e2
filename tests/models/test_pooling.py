from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqtool.models import pooling

B, T, H = 3, 5, 4
LENGTHS = torch.tensor([5, 1, 3])
FEATURES = torch.randn(B, T, H, generator=torch.Generator().manual_seed(0))


def inside(row: int) -> Tensor:
    return FEATURES[row, : int(LENGTHS[row])]


def test_last_mean_and_maximum_by_hand():
    for row in range(B):
        assert torch.equal(pooling.last(FEATURES, LENGTHS)[row], inside(row)[-1])
        torch.testing.assert_close(pooling.mean(FEATURES, LENGTHS)[row], inside(row).mean(0))
        assert torch.equal(pooling.maximum(FEATURES, LENGTHS)[row], inside(row).amax(0))


def test_attention_by_its_equation():
    torch.manual_seed(2)
    attention = pooling.Attention(H)
    found = attention(FEATURES, LENGTHS)
    for row in range(B):
        h = inside(row)
        u = torch.tanh(h @ attention.hidden.weight.t() + attention.hidden.bias)
        weights = torch.softmax(u @ attention.query.weight[0], dim=0)
        torch.testing.assert_close(found[row], (weights[:, None] * h).sum(0))


def test_attention_to_equal_scores_is_the_mean():
    attention = pooling.Attention(H)
    torch.nn.init.zeros_(attention.query.weight)
    torch.testing.assert_close(attention(FEATURES, LENGTHS), pooling.mean(FEATURES, LENGTHS))


@pytest.mark.parametrize("garbage", [1e30, float("inf"), float("nan")])
@pytest.mark.parametrize("name", [*pooling.PLAIN, "attention"])
def test_what_fills_up_a_batch_never_counts(name: str, garbage: float):
    torch.manual_seed(2)
    pool = pooling.Attention(H) if name == "attention" else pooling.PLAIN[name]
    behind = torch.arange(T) >= LENGTHS[:, None]
    spoilt = FEATURES.masked_fill(behind[..., None], garbage)
    assert torch.equal(pool(spoilt, LENGTHS), pool(FEATURES, LENGTHS))


@pytest.mark.parametrize("name", [*pooling.PLAIN, "attention"])
def test_gradients_of_what_fills_up_are_zero(name: str):
    torch.manual_seed(2)
    pool = pooling.Attention(H) if name == "attention" else pooling.PLAIN[name]
    features = FEATURES.clone().requires_grad_()
    pool(features, LENGTHS).square().sum().backward()
    behind = torch.arange(T) >= LENGTHS[:, None]
    assert features.grad is not None
    assert not features.grad[behind].any()
    assert features.grad[~behind].any()
