from __future__ import annotations

import pytest
import torch
from torch import nn

from seqtool.models.cores.block import PositionWise, ResidualBlock, beside_mixer, feedforward_width, norm_parameters
from seqtool.settings.model import ModelConfig


class Before(nn.Module):
    """Each token gets the token before it, and the state is the last one."""

    def forward(self, x_BTC: torch.Tensor, state: tuple[torch.Tensor, ...] | None, scale: float = 1.0):
        first = torch.zeros_like(x_BTC[:, 0]) if state is None else state[0]
        return scale * torch.cat([first.unsqueeze(1), x_BTC[:, :-1]], 1), (x_BTC[:, -1],)


def test_a_block_adds_its_mixer_and_then_its_dense_net():
    block, x = ResidualBlock(ModelConfig(hidden=6), Before()), torch.randn(2, 5, 6)
    y, (last,) = block(x, None)
    normed = block.mixer_norm(x)
    mixed = x + torch.cat([torch.zeros(2, 1, 6), normed[:, :-1]], 1)
    torch.testing.assert_close(y, mixed + block.feedforward(block.feedforward_norm(mixed)))
    assert torch.equal(last, normed[:, -1])


def test_what_stands_beside_goes_to_the_mixer():
    block, x = ResidualBlock(ModelConfig(hidden=6), Before(), "other"), torch.randn(1, 3, 6)
    plain, _ = ResidualBlock(ModelConfig(hidden=6), nn.Identity(), "other"), None
    found, _ = block(x, None, 0.0)
    torch.testing.assert_close(found, x + block.feedforward(block.feedforward_norm(x)))
    assert {name.split(".")[0] for name, _ in plain.named_parameters()} == {
        "other_norm",
        "feedforward_norm",
        "feedforward",
    }


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("kind", ["relu", "gelu", "swiglu"])
def test_sizes_are_those_of_what_is_built(kind: str, norm: str):
    config = ModelConfig(hidden=12, feedforward=kind, norm=norm)
    block = ResidualBlock(config, nn.Identity())
    parameters, products = beside_mixer(config)
    assert sum(weight.numel() for weight in block.parameters()) == parameters
    assert products == parameters - 2 * norm_parameters(config)


def test_swiglu_gates_one_half_by_the_other():
    net, x = PositionWise(ModelConfig(hidden=6, feedforward="swiglu")), torch.randn(3, 6)
    assert feedforward_width(ModelConfig(hidden=6, feedforward="swiglu")) == 16
    gate, up = net.up(x).chunk(2, -1)
    torch.testing.assert_close(net(x), (gate * torch.sigmoid(gate) * up) @ net.down.weight.t())
