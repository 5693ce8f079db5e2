from __future__ import annotations

import pytest
import torch

from seqtool.models.dropout import Dropout, dropped, kept
from tests.zoo import zoo_model


def test_dropout_acts_in_training_only():
    model = zoo_model("lstm", dropout=0.5)
    ids = torch.zeros(1, 4, dtype=torch.long)
    assert torch.equal(model(ids)[0], model(ids)[0])
    model.train()
    assert not torch.equal(model(ids)[0], model(ids)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.93])
def test_numbers_are_left_out_at_the_rate_and_the_rest_makes_up_for_them(rate, dtype):
    torch.manual_seed(3)
    n = 400_000
    mask = kept(torch.empty(0, dtype=dtype), (n,), rate)
    assert mask.dtype == dtype
    assert len(mask.unique()) == 2
    left_out = (mask == 0).double().mean().item()
    assert abs(left_out - rate) < 5 * (rate * (1 - rate) / n) ** 0.5
    assert abs(mask[mask > 0].double().mean().item() * (1 - rate) - 1) < (1e-2 if dtype == torch.bfloat16 else 1e-3)


def test_neighbours_are_left_out_independently():
    torch.manual_seed(4)
    gone = (kept(torch.empty(0), (400_000,), 0.5) == 0).double() - 0.5
    for distance in range(1, 9):
        assert abs((gone[distance:] * gone[:-distance]).mean().item()) < 5 * 0.25 / 400_000**0.5


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5, 7), (2, 0, 4)])
def test_any_shape(shape):
    x = torch.ones(shape)
    assert dropped(x, 0.5).shape == shape
    assert dropped(x, 0.5, training=False) is x
    assert dropped(x, 0.0) is x


def test_a_rate_next_to_one_stays_finite():
    assert kept(torch.empty(0), (100_000,), 1 - 1e-7).isfinite().all()


def test_the_gradient_is_the_mask_and_the_seed_the_mask():
    x = torch.randn(4, 6, 8, requires_grad=True)
    torch.manual_seed(5)
    y = dropped(x, 0.4)
    y.sum().backward()
    torch.manual_seed(5)
    assert torch.equal(x.grad, kept(x, x.shape, 0.4))


def test_a_variational_mask_is_the_same_for_all_tokens_of_a_sequence():
    layer = Dropout(0.5, variational=True)
    y = layer(torch.ones(3, 5, 16))
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert not torch.equal(y[0], y[1])
