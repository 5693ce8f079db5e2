from __future__ import annotations

from dataclasses import fields

import pytest

from seqtool.settings.architectures import ARCHITECTURES
from seqtool.settings.checking import check
from seqtool.settings.defaults import LENGTHS_UNTIL_S, Facts, resolve, suited_settings
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import OPTIMIZER_NAMES, TrainConfig

RULES = {"adam_lr", "sgd_lr", "dropout_under", "small_under"}  # what defaults.toml has beside settings

SOME = Facts(train_tokens=1_000_000, vocab_size=320, accelerator=False)


@pytest.mark.parametrize("model", ARCHITECTURES)
@pytest.mark.parametrize("tokens", [150, 3_000, 1_000_000, 300_000_000])
@pytest.mark.parametrize("accelerator", [False, True])
def test_defaults_fit_every_text(model: str, tokens: int, accelerator: bool):
    model_config, training = resolve({"model": model}, Facts(tokens, 320, accelerator))
    assert not check(model_config)
    assert not check(training)
    assert training.steps > 0
    assert training.batch_size * training.bptt <= max(tokens, training.bptt)


def test_what_was_asked_beats_what_suits():
    model, training = resolve({"model": "lstm", "hidden": 77, "lr": 0.5, "batch_size": 3}, SOME)
    assert (model.hidden, training.lr, training.batch_size) == (77, 0.5, 3)


@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
def test_only_decoupled_decay_comes_unasked(optimizer: str):
    _, training = resolve({"optimizer": optimizer}, SOME)
    assert (training.weight_decay > 0) == (optimizer in ("adamw", "muon"))
    assert training.lr > 0
    assert resolve({"optimizer": optimizer, "weight_decay": 0.5}, SOME)[1].weight_decay == 0.5


@pytest.mark.parametrize("model", ARCHITECTURES)
@pytest.mark.parametrize("time", [1.0, 60.0, 600.0, 3600.0, 1e6])
@pytest.mark.parametrize("vocab_size", [70, 320, 8000, 200_000])
def test_defaults_fit_every_time_and_vocabulary(model: str, time: float, vocab_size: int):
    model_config, training = resolve({"model": model, "time": time}, Facts(1_000_000, vocab_size, False))
    assert not check(model_config)
    assert not check(training)


def test_a_longer_training_is_of_a_larger_model():
    sizes = [model.layers * model.hidden for model, _ in (resolve({"time": time}, SOME) for time in (5.0, 60.0, 600.0))]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_wider_layer_than_suits_learns_more_slowly():
    (_, usual), (_, wide) = resolve({}, SOME), resolve({"hidden": 1536}, SOME)
    model, _ = resolve({}, SOME)
    assert wide.lr == pytest.approx(usual.lr * model.hidden / 1536)
    assert resolve({"hidden": 64}, SOME)[1].lr == usual.lr
    assert resolve({"hidden": 1536, "lr": 0.3}, SOME)[1].lr == 0.3


def test_every_suited_setting_has_a_name():
    """A misspelt name in defaults.toml would change nothing."""
    names = {item.name for kind in (ModelConfig, TrainConfig) for item in fields(kind)} | RULES
    for model, settings in suited_settings().items():
        assert model in ARCHITECTURES
        for name, value in settings.items():
            if isinstance(value, dict):
                assert name in {*LENGTHS_UNTIL_S, "accelerator"}
                assert set(value) <= names
            else:
                assert name in names
