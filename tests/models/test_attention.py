from __future__ import annotations

import math

import pytest
import torch

from seqtool.models.attention import (
    additive_scores,
    attention,
    attention_reference,
    attention_to_all,
    attention_weights,
    multiplicative_scores,
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


def test_attention_to_all_in_bf16_on_a_cpu_is_the_same_as_in_fp32():
    draw = torch.Generator().manual_seed(0)
    Q, K, V = (torch.randn(2, 3, size, 8, generator=draw) for size in (4, 6, 6))
    lengths = torch.tensor([6, 2])
    plain = attention_to_all(Q, K, V, lengths)
    short = attention_to_all(Q.bfloat16(), K.bfloat16(), V.bfloat16(), lengths)
    torch.testing.assert_close(short.float(), plain, rtol=0, atol=0.05)
    torch.testing.assert_close(plain, attention_weights(Q, K, lengths) @ V)
    torch.testing.assert_close(plain[1], attention_to_all(Q[1:], K[1:, :, :2], V[1:, :, :2], None)[0])


def test_scores_are_their_equations():
    draw = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(1, 2, 3, generator=draw), torch.randn(1, 4, 3, generator=draw), torch.randn(3, generator=draw)
    for t in range(2):
        for s in range(4):
            torch.testing.assert_close(multiplicative_scores(q, k)[0, t, s], q[0, t] @ k[0, s])
            torch.testing.assert_close(additive_scores(q, k, v)[0, t, s], v @ torch.tanh(q[0, t] + k[0, s]))
