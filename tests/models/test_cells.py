"""The written-out cells against torch's fused kernels: the same outputs, states and gradients."""

from __future__ import annotations

import pytest
import torch

from seqtool.models.cells import STATES, run_cell
from seqtool.models.cores.recurrent import RecurrentLayer

CASES = [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")]
B, T, E, H = 3, 7, 5, 4


def run(layer: RecurrentLayer, method: str) -> list[torch.Tensor]:
    torch.manual_seed(1)
    x = torch.randn(B, T, E, requires_grad=True)
    state = tuple(torch.randn(B, H, requires_grad=True) for _ in range(STATES[layer.kind]))
    y, after = getattr(layer, method)(x, state)
    (y.square().sum() + sum(part.sin().sum() for part in after)).backward()
    gradients = [x.grad, *(part.grad for part in state), *(p.grad for p in layer.parameters())]
    layer.zero_grad()
    return [y, *after, *gradients]


@pytest.mark.parametrize(("kind", "activation"), CASES)
def test_reference_equals_fused(kind: str, activation: str):
    torch.manual_seed(0)
    layer = RecurrentLayer(kind, E, H, activation)
    for reference, fused in zip(run(layer, "reference"), run(layer, "forward"), strict=True):
        torch.testing.assert_close(reference, fused, rtol=1e-5, atol=1e-6)


def test_sigmoid_rnn_by_hand():
    layer = RecurrentLayer("rnn", 2, 1, "sigmoid")
    with torch.no_grad():
        layer.kernel.weight_ih_l0.copy_(torch.tensor([[0.5, -1.0]]))
        layer.kernel.weight_hh_l0.fill_(2.0)
        layer.kernel.bias_ih_l0.fill_(0.1)
        layer.kernel.bias_hh_l0.fill_(0.2)
    y, _ = layer(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), (torch.zeros(1, 1),))
    first = torch.sigmoid(torch.tensor(0.5 + 0.3))
    second = torch.sigmoid(-1.0 + 0.3 + 2.0 * first)
    torch.testing.assert_close(y.flatten(), torch.stack([first, second]))


@pytest.mark.parametrize(("kind", "activation"), [*CASES, ("rnn", "sigmoid")])
def test_one_hot_look_up_equals_the_product_with_one_hot_vectors(kind: str, activation: str):
    torch.manual_seed(0)
    layer = RecurrentLayer(kind, E, H, activation)
    ids = torch.randint(E, (B, T))
    state = tuple(torch.zeros(B, H) for _ in range(STATES[kind]))
    looked_up, _ = layer.one_hot(ids, state)
    multiplied, _ = layer(torch.nn.functional.one_hot(ids, E).float(), state)
    torch.testing.assert_close(looked_up, multiplied)


def test_unrolling_in_parts_is_unrolling_at_once():
    torch.manual_seed(0)
    x, W, b = torch.randn(B, T, 4 * H), torch.randn(4 * H, H), torch.randn(4 * H)
    state = (torch.zeros(B, H), torch.zeros(B, H))
    whole, _ = run_cell("lstm", x, state, W, b)
    first, between = run_cell("lstm", x[:, :3], state, W, b)
    second, _ = run_cell("lstm", x[:, 3:], between, W, b)
    torch.testing.assert_close(whole, torch.cat([first, second], dim=1))
