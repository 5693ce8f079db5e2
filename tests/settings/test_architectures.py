from __future__ import annotations

import dataclasses

import pytest

from seqtool.settings.architectures import ARCHITECTURES, DEFAULT, having, using
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import TrainConfig

EVERY = pytest.mark.parametrize("name", ARCHITECTURES)


@EVERY
def test_its_own_settings_and_choices_are_those_of_the_dataclasses(name: str):
    known = {item.name: item for kind in (ModelConfig, TrainConfig) for item in dataclasses.fields(kind)}
    traits = ARCHITECTURES[name]
    assert set(traits.settings) <= known.keys()
    assert set(traits.inputs) <= set(known["input"].metadata["choices"])
    assert set(traits.inits) <= set(known["init"].metadata["choices"])


def test_what_is_asked_of_the_table():
    assert DEFAULT in ARCHITECTURES
    assert using("heads") == ("transformer",)
    assert having("compiles") == ("ffn", "transformer")


def test_what_has_a_decoder_translates():
    assert {name for name, traits in ARCHITECTURES.items() if traits.learns("translate")} == {
        name for name, traits in ARCHITECTURES.items() if traits.decoder
    }
    assert "translate" not in {task for task in ("classify", "translate") if ARCHITECTURES["bag"].learns(task)}
