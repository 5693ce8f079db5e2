"""What a model's settings come to where they are left open."""

from __future__ import annotations

import pytest

from seqtool.settings.architectures import ARCHITECTURES
from seqtool.settings.model import ModelConfig


def test_widths_are_those_of_the_hidden_layers_unless_set():
    plain, set_apart = ModelConfig(hidden=64), ModelConfig(hidden=64, embed=16, last_hidden=32)
    assert (plain.embed_width, plain.feature_width) == (64, 64)
    assert (set_apart.embed_width, set_apart.feature_width) == (16, 32)


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_dropout_is_that_of_a_place_or_else_of_all(model: str):
    config = ModelConfig(model=model, dropout=0.3)
    assert config.architecture is ARCHITECTURES[model]
    assert [config.dropout_at(place) for place in ("input", "hidden")] == [0.3, 0.3]
    assert config.dropout_at("output") == (0.3 if config.architecture.drops_output else 0.0)
    own = ModelConfig(model=model, dropout=0.3, dropout_input=0.0, dropout_hidden=0.1, dropout_output=0.2)
    assert [own.dropout_at(place) for place in ("input", "hidden", "output")] == [0.0, 0.1, 0.2]
