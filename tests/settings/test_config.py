from __future__ import annotations

from dataclasses import fields

import pytest

from seqtool.errors import InputError, UsageError
from seqtool.settings.architectures import ARCHITECTURES
from seqtool.settings.checking import check, from_mapping, parse_duration, settings_from_file
from seqtool.settings.defaults import LENGTHS_UNTIL_S, Facts, resolve, suited_settings
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import OPTIMIZER_NAMES, TrainConfig

RULES = {"adam_lr", "sgd_lr", "dropout_under", "small_under"}  # what defaults.toml has beside settings
SOME = Facts(train_tokens=1_000_000, vocab_size=320, accelerator=False)


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("90", 90), ("0.5s", 0.5)]
)
def test_durations(text: str, seconds: float):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "m", "60x", "-5s", "1e3"])
def test_wrong_durations_are_refused(text: str):
    with pytest.raises(UsageError, match="write a duration"):
        parse_duration(text)


def test_a_wrong_choice_lists_the_choices():
    assert check(TrainConfig(optimizer="adm")) == [
        "--optimizer 'adm': did you mean adam? "
        "choose from sgd, adam, adamw, adadelta, adagrad, rmsprop, asgd, nt-asgd, adafactor, muon"
    ]


def test_all_problems_are_told_at_once():
    problems = check(TrainConfig(optimizer="adm", batch_size=0, clip_norm=-1.0, lr=float("nan")))
    assert len(problems) == 4


def test_sizes_that_do_not_divide_name_both_flags():
    (problem,) = check(ModelConfig(model="transformer", hidden=100, heads=3))
    assert "--hidden 100" in problem
    assert "--heads 3" in problem


def test_two_lengths_contradict_each_other():
    with pytest.raises(UsageError, match="--steps and --time"):
        resolve({"steps": 10, "time": 60.0}, SOME)


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


def test_settings_read_back_from_json_are_checked():
    assert from_mapping(ModelConfig, {"hidden": 64}, "file").hidden == 64
    with pytest.raises(InputError, match="unknown setting 'hiden'"):
        from_mapping(ModelConfig, {"hiden": 64}, "file")
    with pytest.raises(InputError, match="int is expected"):
        from_mapping(ModelConfig, {"hidden": "64"}, "file")
    with pytest.raises(InputError, match="at most"):
        from_mapping(ModelConfig, {"hidden": 10**9}, "file")


def test_a_settings_file_takes_durations_and_dashes():
    assert settings_from_file({"time": "2m", "batch-size": 8, "dropout": 0}, "x.toml") == {
        "time": 120.0,
        "batch_size": 8,
        "dropout": 0.0,
    }


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


@pytest.mark.parametrize("kind, changes, told", [
    (ModelConfig, {"model": "transformer", "heads": 0}, "--heads 0: at least 1"),
    (TrainConfig, {"accumulate": 0}, "--accumulate 0: at least 1"),
    (TrainConfig, {"steps": True}, "steps is True, where int"),
    (TrainConfig, {"steps": 10**400}, "a number of more than 64 bits"),
    (TrainConfig, {"steps": 10**12}, "--steps 1000000000000: at most 1000000000"),
    (TrainConfig, {"lr": 10**400}, "a number of more than 64 bits"),
    (TrainConfig, {"lr": float("nan")}, "--lr must be a finite number"),
    (TrainConfig, {"lr": float("inf")}, "--lr must be a finite number"),
    (TrainConfig, {"lr": "1"}, "lr is '1', where float"),
    (ModelConfig, {"hidden": 8.0}, "hidden is 8.0, where int"),
    (ModelConfig, {"model": ["x"] * 10**5}, "model is a list, where str"),
    (ModelConfig, {"model": "x" * 10**5}, "choose from"),
    (ModelConfig, {"x" * 10**5: 1}, "unknown setting"),
])  # fmt: skip
def test_a_number_in_a_file_is_checked_as_a_flag_is(kind: type, changes: dict[str, object], told: str):
    with pytest.raises(InputError) as refused:
        from_mapping(kind, changes, "config.json")
    assert told in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_settings_are_checked_the_same_without_a_file():
    assert check(ModelConfig(model="transformer", heads=0)) == ["--heads 0: at least 1"]
    assert check(TrainConfig(steps=True)) == ["--steps is True, where int is expected"]
