"""A core stepped by its own module: what is remembered of each row."""

from __future__ import annotations

import pytest
import torch

from seqtool.models.decoding.steps import ModuleSteps
from seqtool.models.state import rows_of
from tests.zoo import ZOO, V, zoo_model

IDS = torch.randint(V, (3, 9), generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
@pytest.mark.parametrize("name", ZOO)
def test_rows_are_put_kept_and_stepped(name: str):
    """Of every architecture: also of those whose inputs look back to tokens before."""
    model = zoo_model(name)
    steps = ModuleSteps(model.inputs, model.core)
    whole, _ = model.features(IDS)
    _, state = model.features(IDS[:, :4])
    steps.restart(3, 4)
    steps.put([2, 0], rows_of(state, slice(0, 2)))  # not all at once, and in other places
    steps.put([1], rows_of(state, slice(2, 3)))
    steps.keep(torch.tensor([2, 1, 0, 2]))
    for place in range(4, 9):
        features = steps.step(IDS[[0, 2, 1, 0], place])
        torch.testing.assert_close(features, whole[[0, 2, 1, 0], place], rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_restarting_forgets():
    model = zoo_model("gru")
    steps = ModuleSteps(model.inputs, model.core)
    found = []
    for _ in range(2):
        steps.restart(1, 1)
        steps.put([0], model.features(IDS[:1, :1])[1])
        found.append(steps.step(IDS[:1, 1]))
    torch.testing.assert_close(*found)
