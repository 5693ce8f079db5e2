"""What a core has without saying anything itself, and how one is found."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqtool.models.cores.core import Core, CoreSize, build_core, core_class
from seqtool.models.decoding.steps import ModuleSteps
from seqtool.models.inputs import Inputs, InputVectors
from seqtool.models.state import State
from seqtool.settings.architectures import ARCHITECTURES
from seqtool.settings.model import ModelConfig, Symbols

NETS = [name for name, traits in ARCHITECTURES.items() if not traits.counted]


class RunningSum(Core):
    """The sum of all vectors so far: the least that a core must define."""

    def __init__(self, config: ModelConfig, input_width: int) -> None:
        super().__init__()

    def forward(self, x: InputVectors, state: State | None) -> tuple[Tensor, State]:
        sums = x.dense().cumsum(1)
        features = sums if state is None else sums + state[0][0].unsqueeze(1)
        return features, ((features[:, -1],),)

    @staticmethod
    def size(config: ModelConfig, input_width: int) -> CoreSize:
        return CoreSize(parameters=0, product_weights=0)


@pytest.mark.parametrize("name", NETS)
def test_every_core_is_there_and_tells_its_size(name: str):
    found = core_class(ModelConfig(model=name))
    assert issubclass(found, Core)
    assert found.size(ModelConfig(model=name), 8).parameters > 0
    assert "initialize" in vars(found)


@pytest.mark.parametrize("name", NETS)
def test_the_size_is_that_of_what_is_built(name: str):
    config = ModelConfig(model=name, hidden=12, heads=2, context=5, layers=2)
    core = build_core(config, 12)
    assert sum(weight.numel() for weight in core.parameters()) == core_class(config).size(config, 12).parameters


def test_rows_that_restart_have_zeros_and_the_others_their_state():
    core, state = RunningSum(ModelConfig(), 2), ((torch.ones(3, 2), torch.ones(3, 2, 4)), (torch.ones(3, 1),))
    for part in (part for layer in core.restarted(state, torch.tensor([True, False, True])) for part in layer):
        assert part.flatten(1).sum(1).tolist() == [0, part[1].numel(), 0]


@torch.inference_mode()
def test_a_core_is_stepped_by_itself_unless_it_says_how():
    config = ModelConfig(embed=4)
    core, inputs = RunningSum(config, 4), Inputs(config, Symbols(7, 1, 7, 100), None)
    steps, ids = core.steps(inputs, "int8"), torch.tensor([[3, 5, 2, 5]])
    assert type(steps) is ModuleSteps
    whole, _ = core(inputs(ids, None)[0], None)
    steps.restart(1, 2)
    steps.put([0], core(inputs(ids[:, :2], None)[0], None)[1])
    for place in (2, 3):
        torch.testing.assert_close(steps.step(ids[:, place]), whole[:, place])
    assert list(core.shards()) == []
    assert core.window(config) is None


def test_a_tied_embedding_begins_with_logits_of_deviation_one():
    config = ModelConfig(embed=64, tied=True)
    features, rows = (torch.randn(1000, 64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert (features @ (rows * Core.embedding_deviation(config)).t()).std().item() == pytest.approx(1.0, abs=0.02)
    assert Core.embedding_deviation(ModelConfig(embed=64)) == 1.0
