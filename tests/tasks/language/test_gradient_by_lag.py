"""The gradient by lag against the Jacobians of the lecture's equations, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtool.tasks.language.gradient_by_lag import gradient_by_lag
from tests.zoo import V, zoo_model

IDS = np.random.default_rng(0).integers(2, V, 12).astype(np.uint16)


def test_gradients_by_lag_are_products_of_jacobians():
    """For a tanh RNN d loss / d h_{t-k} is the gradient by h_t times diag(1 - h^2) W_hh, once for each step."""
    model = zoo_model("rnn tanh")
    found = gradient_by_lag(model, IDS, 10)
    W_ih, W_hh, b_ih, b_hh = (weight.detach().double() for weight in model.core.layers[0].weights)
    embedded = model.inputs.embedding.weight.detach().double()[IDS.astype(np.int64)]
    h, states = torch.zeros(16, dtype=torch.float64), []
    for x in embedded[:11]:
        h = torch.tanh(W_ih @ x + b_ih + W_hh @ h + b_hh)
        states.append(h)
    logits = model.head.weight.detach().double() @ h + model.head.bias.detach().double()
    error = logits.softmax(0) - torch.eye(V, dtype=torch.float64)[int(IDS[11])]
    gradient = error @ model.head.weight.detach().double()
    expected = []
    for k in range(10):
        gradient = (gradient * (1 - states[10 - k] ** 2)) @ W_hh
        expected.append(float(gradient.norm()))
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "rnn relu identity",
        "rnn one-hot",
        "gru",
        "lstm",
        "lstm tied",
        "mingru",
        pytest.param("gdn", marks=pytest.mark.slow),
    ],
)
def test_gradients_by_lag_are_those_of_a_small_change(name: str):
    """Finite differences: carry a state that is a little off for k tokens, and see what the loss does."""
    model = zoo_model(name).double()
    ids = torch.from_numpy(IDS[:6].astype(np.int64)).unsqueeze(0)
    found = gradient_by_lag(model, IDS[:6], 4)

    def loss(lag: int, layer: int, unit: int, change: float) -> float:
        _, state = model(ids[:, : 5 - lag])
        moved = [list(parts) for parts in state]
        moved[layer][0] = moved[layer][0].clone()
        moved[layer][0].view(-1)[unit] += change
        logits, _ = model(ids[:, 5 - lag : 5], tuple(tuple(parts) for parts in moved))
        return float(torch.nn.functional.cross_entropy(logits[:, -1], ids[:, 5]).detach())

    layers, units = len(model.core.layers), model.features(ids)[1][0][0].numel()
    for lag in (1, 4):
        slopes = [
            (loss(lag, layer, unit, 1e-5) - loss(lag, layer, unit, -1e-5)) / 2e-5 for layer in range(layers) for unit in range(units)
        ]  # fmt: skip
        assert found[lag - 1] == pytest.approx(float(np.linalg.norm(slopes)), rel=1e-3)


def test_the_probe_leaves_the_model_as_it_was():
    model = zoo_model("lstm", dropout=0.5).train()
    before = torch.get_rng_state()
    gradient_by_lag(model, IDS, 5)
    assert model.training
    assert torch.equal(before, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert gradient_by_lag(model, IDS, 50) == []
