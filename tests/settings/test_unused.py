"""Settings without effect: those of other models, mixers, optimizers and schedules, and none that is used."""

from __future__ import annotations

import dataclasses

import pytest

from seqtool.settings.architectures import MIXER_SETTINGS, MIXERS
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import TrainConfig
from seqtool.settings.unused import unused


@pytest.mark.parametrize(
    ("model", "without", "used"),
    [
        (ModelConfig(model="lstm"), {"heads", "context", "position", "activation", "order"}, {"embed", "forget_bias"}),
        (
            ModelConfig(model="mingru", layers=2),
            {"heads", "context", "convolution", "mirrors", "embed"},
            {"signed", "stem"},
        ),
        (ModelConfig(model="gdn", layers=2), {"context", "embed"}, {"heads", "signed", "convolution", "mirrors"}),
        (ModelConfig(model="mingru", layers=2, mixers="mingru,attention"), {"convolution"}, {"heads", "context"}),
        (ModelConfig(model="transformer"), {"forget_bias", "signed", "embed"}, {"heads", "context", "position"}),
    ],
)
def test_settings_of_other_models_and_mixers_have_no_effect(model: ModelConfig, without: set[str], used: set[str]):
    found = unused(model, TrainConfig())
    assert without <= found
    assert not used & found
    names = {field.name for config in (model, TrainConfig()) for field in dataclasses.fields(config)}
    assert found <= names


def test_settings_of_other_optimizers_and_schedules_have_none():
    found = unused(ModelConfig(), TrainConfig(optimizer="sgd", schedule="step"))
    assert {"beta1", "beta2", "nonmonotone", "decay"} <= found
    assert not {"momentum", "decay_every", "final_lr"} & found


def test_what_a_mixer_is_said_to_use_names_mixers():
    assert {mixer for users in MIXER_SETTINGS.values() for mixer in users} == set(MIXERS)
