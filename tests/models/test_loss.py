"""The loss at the output layer, with its gradient, against torch's cross-entropy."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from seqtool.models import loss
from seqtool.models.loss import IGNORE, output_nats, token_nats, total_nats


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("symbols", [1, 7, 16, 66, 1000])
@pytest.mark.parametrize("most_logits", [1 << 24, 2500], ids=["at once", "in parts"])
def test_nats_and_gradients_are_torchs(
    symbols: int, dtype: torch.dtype, most_logits: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loss, "MOST_LOGITS", most_logits)
    torch.manual_seed(1)
    features = torch.randn(3, 5, 12, requires_grad=True)
    W, b = torch.randn(symbols, 12, requires_grad=True), torch.randn(symbols, requires_grad=True)
    targets = torch.randint(symbols, (3, 5))
    targets[1, 2] = IGNORE
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        ours = output_nats(features, W, b, targets) / 7
    logits = F.linear(features, W, b).flatten(0, 1)
    theirs = F.cross_entropy(logits, targets.flatten(), ignore_index=IGNORE, reduction="sum") / 7
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    for one, other in zip(
        torch.autograd.grad(ours, [features, W, b]), torch.autograd.grad(theirs, [features, W, b]), strict=True
    ):
        assert float((one - other).norm()) <= tolerance * float(other.norm()) + 1e-6


def test_large_logits_do_not_overflow():
    W = torch.tensor([[100.0], [-100.0]], requires_grad=True)
    nats = output_nats(torch.ones(1, 1, 1) * 10, W, torch.zeros(2), torch.tensor([[1]]))
    assert nats.item() == pytest.approx(2000.0)
    assert torch.isfinite(torch.autograd.grad(nats, W)[0]).all()


def test_a_target_beyond_the_symbols_is_an_error():
    with pytest.raises(IndexError):
        output_nats(torch.ones(1, 1, 2), torch.ones(3, 2), torch.zeros(3), torch.tensor([[3]]))


def test_the_loss_is_minus_the_logarithm_of_the_probability():
    logits = torch.tensor([[[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]]])
    targets = torch.tensor([[1, IGNORE]])
    expected = -math.log(math.exp(2) / (math.exp(1) + math.exp(2) + math.exp(0.5)))
    assert token_nats(logits, targets).tolist() == [[pytest.approx(expected), 0.0]]
    assert total_nats(logits, targets).item() == pytest.approx(expected)
