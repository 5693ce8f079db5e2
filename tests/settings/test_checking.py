from __future__ import annotations

import pytest

from seqtool.errors import InputError, UsageError
from seqtool.settings.checking import check, from_mapping, parse_duration, settings_from_file
from seqtool.settings.defaults import Facts, resolve
from seqtool.settings.generation import GenerateConfig
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import TrainConfig

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


def test_greedy_and_beam_contradict_sampling_settings():
    (problem,) = check(GenerateConfig(greedy=True, top_k=3, min_p=0.1))
    assert problem == "--greedy takes the likeliest and draws nothing: leave out --top-k and --min-p"
    assert check(GenerateConfig(beam=2, typical=0.5, greedy=True))


def test_a_beam_until_the_end_has_a_limit_that_min_tokens_keeps():
    assert check(GenerateConfig(beam=2, until_end=True, min_tokens=4096)) == []
    assert check(GenerateConfig(until_end=True, min_tokens=4097)) == []
    (problem,) = check(GenerateConfig(beam=2, until_end=True, min_tokens=4097))
    assert problem == "--min-tokens 4097 is more than the 4,096 tokens that --beam --until-end writes at most: lower it"
