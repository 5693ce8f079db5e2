"""What training asks of a model that says nothing itself, and what the language model answers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqtool.models.net import Net
from tests.zoo import ZOO, zoo_model


class Pair(Net):
    """Two layers, named against the alphabet."""

    def __init__(self) -> None:
        super().__init__()
        self.second, self.first = nn.Linear(2, 3), nn.Linear(3, 1, bias=False)


def test_weights_have_the_order_in_which_they_were_made():
    """By which checkpoints number them."""
    net = Pair()
    assert [name for name, _ in net.weights()] == ["second.weight", "second.bias", "first.weight"]
    assert net.weights()[2][1] is net.first.weight
    assert net.device == torch.device("cpu")
    assert net.to("meta").device == torch.device("meta")


def test_a_net_is_not_split_nor_restarted_unless_it_says_how():
    net = Pair()
    assert list(net.shards()) == []
    assert net.sharded_calls == ()
    with pytest.raises(NotImplementedError):
        net.restarted((), torch.tensor([True]))


@pytest.mark.parametrize("name", ZOO)
def test_a_language_model_numbers_each_weight_once_and_splits_what_it_can(name: str):
    model = zoo_model(name)
    assert isinstance(model, Net)
    numbered = [id(weight) for _, weight in model.weights()]
    assert len(set(numbered)) == len(numbered)
    assert set(numbered) == {id(weight) for weight in model.parameters()}
    assert bool(list(model.shards())) == model.config.architecture.shards
    assert all(callable(getattr(model, call)) for call in model.sharded_calls)
