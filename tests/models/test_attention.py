from __future__ import annotations

import math

import pytest
import torch

from seqtool.models.attention import (
    attention,
    attention_reference,
    rotary_positions,
    rotate,
    sinusoidal_positions,
)


@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (1, 6), (3, 6)])
def test_fused_equals_reference_in_values_and_gradients(queries: int, keys: int):
    torch.manual_seed(0)
    results = []
    for function in (attention, attention_reference):
        torch.manual_seed(1)
        Q, K, V = (torch.randn(2, 3, size, 8, requires_grad=True) for size in (queries, keys, keys))
        y = function(Q, K, V)
        y.square().sum().backward()
        results.append([y, Q.grad, K.grad, V.grad])
    for fused, reference in zip(*results, strict=True):
        torch.testing.assert_close(fused, reference, rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("tokens", [1, 7, 64, 1025])
def test_bf16_is_the_reference_rounded(tokens: int):
    """Short windows take products on a CPU, long ones torch's kernel: both near the same in fp32, gradients too."""
    torch.manual_seed(0)
    whole = [torch.randn(1, 2, tokens, 8) for _ in range(3)]
    results = []
    for function, dtype in ((attention, torch.bfloat16), (attention_reference, torch.float32)):
        given = [part.to(dtype).requires_grad_() for part in whole]
        y = function(*given)
        gradients = torch.autograd.grad(y.float().square().sum(), given)
        results.append([tensor.float() for tensor in (y, *gradients)])
    for ours, reference in zip(*results, strict=True):
        assert (ours - reference).norm().item() < 0.03 * reference.norm().item() + 1e-6


def test_attention_by_hand():
    """Two tokens, width 1: the first sees itself; the second weighs both by softmax(q k)."""
    Q = torch.tensor([[[[1.0], [2.0]]]])
    K = torch.tensor([[[[0.5], [-1.0]]]])
    V = torch.tensor([[[[10.0], [20.0]]]])
    a, b = math.exp(2 * 0.5), math.exp(2 * -1.0)
    expected = torch.tensor([10.0, (a * 10 + b * 20) / (a + b)])
    torch.testing.assert_close(attention_reference(Q, K, V).flatten(), expected)


def test_rotation_depends_on_the_distance_alone():
    torch.manual_seed(0)
    q, k = torch.randn(8), torch.randn(8)
    rotation = rotary_positions(50, 8)

    def score(at: int, to: int) -> torch.Tensor:
        return (
            rotate(q.view(1, 1, 1, 8), rotation[:, at : at + 1]).flatten()
            @ rotate(k.view(1, 1, 1, 8), rotation[:, to : to + 1]).flatten()
        )

    torch.testing.assert_close(score(7, 3), score(44, 40))
    assert not torch.isclose(score(7, 3), score(7, 5))


def test_sinusoidal_positions_by_the_papers_formula():
    table = sinusoidal_positions(5, 6)
    for position in range(5):
        for i in range(3):
            angle = position / 10000 ** (2 * i / 6)
            assert table[position, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)
