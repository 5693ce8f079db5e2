"""ffn against its equation, a place of the window at a time."""

from __future__ import annotations

import pytest
import torch

from seqtool.models.cores.window import DenseWindow
from seqtool.models.inputs import InputVectors
from seqtool.settings.model import ModelConfig

K, E, H, V, T = 3, 4, 6, 7, 5
DRAWS = torch.Generator().manual_seed(0)
IDS = torch.randint(V, (2, K - 1 + T), generator=DRAWS)
TABLE = torch.randn(V, E, generator=DRAWS)


def window(**settings: object) -> DenseWindow:
    config = ModelConfig(**{"model": "ffn", "context": K, "hidden": H, "embed": E, **settings})
    core = DenseWindow(config, V if config.input == "one-hot" else E)
    torch.manual_seed(0)
    core.initialize(config)
    return core


@pytest.mark.parametrize(("activation", "function"), [("tanh", torch.tanh), ("relu", torch.relu)])
def test_features_are_dense_layers_of_the_last_tokens_side_by_side(activation: str, function):
    core = window(layers=2, activation=activation)
    features, state = core(InputVectors(IDS, TABLE), None)
    assert (features.shape, state) == ((2, T, H), ())
    (W, b), (U, d) = ((layer.weight, layer.bias) for layer in core.layers)
    for time in range(T):
        first = b + sum(
            TABLE[IDS[:, time + place]] @ W[:, place * E : (place + 1) * E].t() for place in range(K)
        )  # the oldest token first
        torch.testing.assert_close(features[:, time], function(function(first) @ U.t() + d))


def test_one_hot_vectors_are_columns_of_the_first_weights():
    core = window(input="one-hot")
    found, _ = core(InputVectors(IDS), None)
    made, _ = core(InputVectors(None, None, torch.nn.functional.one_hot(IDS, V).float()), None)
    torch.testing.assert_close(found, made)
    columns = core.one_hot_columns()
    assert columns.shape == (V, K * H)
    assert torch.equal(columns[4, H : 2 * H], core.layers[0].weight[:, V + 4])


@pytest.mark.parametrize("init", ["orthogonal", "xavier"])
def test_first_weights_are_as_asked_and_biases_zero(init: str):
    for layer in window(layers=2, init=init).layers:
        W, most = layer.weight, (6 / sum(layer.weight.shape)) ** 0.5
        assert not layer.bias.any()
        if init == "orthogonal":
            torch.testing.assert_close(W @ W.t(), torch.eye(H), rtol=1e-5, atol=1e-5)
        else:
            assert 0.8 * most < W.abs().max() <= most


def test_what_is_looked_up_is_no_product():
    sizes = [
        DenseWindow.size(ModelConfig(model="ffn", context=K, hidden=H, layers=2, input=given), width)
        for given, width in (("learned", E), ("one-hot", V))
    ]
    assert [size.product_weights for size in sizes] == [K * E * H + H * H, H * H]
    assert [size.parameters for size in sizes] == [(K * width + 1) * H + (H + 1) * H for width in (E, V)]
    assert DenseWindow.window(ModelConfig(context=K)) == K - 1
