from __future__ import annotations

import dataclasses

import pytest

from seqtool.settings.architectures import ARCHITECTURES, DEFAULT, having, using
from seqtool.settings.checking import check
from seqtool.settings.defaults import Facts, resolve
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
    assert using("heads") == ("transformer", "mingru", "gdn")
    assert having("compiles") == ("ffn", "transformer")


def test_what_has_a_decoder_translates():
    assert {name for name, traits in ARCHITECTURES.items() if traits.learns("translate")} == {
        name for name, traits in ARCHITECTURES.items() if traits.decoder
    }
    assert "translate" not in {task for task in ("classify", "translate") if ARCHITECTURES["bag"].learns(task)}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"mixers": "gdn,lstm", "layers": 2}, "'lstm' is none of them; choose from mingru, gdn, attention"),
        ({"mixers": "gdn,gdn,attention", "layers": 2}, "names 3 of --layers 2: give more layers"),
        ({"hidden": 100, "heads": 3}, "--hidden 100 does not divide by --heads 3"),
        ({"mixers": "gdn,attention", "layers": 2, "hidden": 12, "heads": 4}, "attention needs an even"),
    ],
)
def test_mixers_that_cannot_be_are_refused(settings: dict, told: str):
    (problem,) = check(ModelConfig(model="gdn", **settings))
    assert told in problem


def test_heads_are_no_matter_to_mingru_alone():
    assert not check(ModelConfig(model="mingru", hidden=100, heads=3))


@pytest.mark.parametrize(("asked", "layers"), [({}, 3), ({"layers": 5}, 5)])
def test_there_are_as_many_layers_as_mixers_unless_more_are_asked_for(asked: dict, layers: int):
    facts = Facts(train_tokens=1_000_000, vocab_size=320, accelerator=False)
    config, _ = resolve({"model": "gdn", "mixers": "gdn,gdn,attention", **asked}, facts)
    assert config.mixer_of_layers == ("gdn", "gdn", "attention", "gdn", "gdn")[:layers]
