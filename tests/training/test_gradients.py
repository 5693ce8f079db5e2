"""Clipping against hand computations."""

from __future__ import annotations

import torch

from seqtool.settings.training import TrainConfig
from seqtool.training.gradients import clip_adaptively


def test_adaptive_clipping_is_by_row_and_relative_to_the_weights():
    weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]]))
    weight.grad = torch.tensor([[5.0, 0.0], [1.0, 0.0], [0.0, 0.05]])
    clip_adaptively([weight], 0.1)
    expected = torch.tensor([[0.5, 0.0], [1e-4, 0.0], [0.0, 0.05]])
    torch.testing.assert_close(weight.grad, expected)
    bias = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    bias.grad = torch.tensor([0.0, 10.0])
    clip_adaptively([bias], 0.1)
    torch.testing.assert_close(bias.grad, torch.tensor([0.0, 0.5]))
    assert TrainConfig().clip_agc == 0.0
