"""The settings of training: which may change on the way, and what their help says of the code."""

from __future__ import annotations

import dataclasses
import re

import pytest
import torch

from seqtool.settings.architectures import having, nets
from seqtool.settings.training import (
    DECIDED_BY_MACHINE,
    FULL,
    LENGTHS,
    MAY_CHANGE,
    RATE_SETTINGS,
    TrainConfig,
)
from seqtool.training import machine, pace, schedules
from seqtool.training.optimizers import OPTIMIZERS

FIELDS = {item.name: item.metadata for item in dataclasses.fields(TrainConfig)}


def help_of(name: str) -> str:
    return str(FIELDS[name]["help"])


def test_what_may_change_are_settings_and_each_in_one_way():
    assert {*MAY_CHANGE, *RATE_SETTINGS, *DECIDED_BY_MACHINE, *LENGTHS} <= FIELDS.keys()
    assert not {*MAY_CHANGE} & {*RATE_SETTINGS}
    assert {*LENGTHS} <= {*MAY_CHANGE}


def test_what_the_machine_decides_is_auto_at_first():
    assert {getattr(TrainConfig(), name) for name in DECIDED_BY_MACHINE} == {"auto"}


def test_full_is_the_longest_truncation_that_may_be_given():
    assert FIELDS["bptt"]["high"] == FULL


@pytest.mark.parametrize("name", FIELDS["optimizer"]["choices"])
def test_every_optimizer_is_there(name: str):
    assert name in OPTIMIZERS


@pytest.mark.parametrize("name", FIELDS["schedule"]["choices"])
def test_every_schedule_gives_a_rate(name: str):
    config = TrainConfig(schedule=name, warmup=0)
    rates = [schedules.rate_factor(config, share, int(100 * share), 100, 0) for share in (0.0, 0.5, 0.99)]
    assert all(0 <= rate <= 1 for rate in rates)
    assert rates[0] > 0


def test_help_says_when_time_becomes_a_number_of_steps():
    assert (pace.PLAN_SHARE, pace.PLAN_S) == (0.1, 30.0)
    assert "first tenth (30s at most)" in help_of("time")


def test_help_says_which_trainings_are_compiled():
    assert machine.COMPILE_FROM_S == 30 * 60
    assert "half an hour or more" in help_of("compile")
    assert all(name in help_of("compile") for name in having("compiles"))


def test_help_says_from_which_width_on_bf16_is_chosen(monkeypatch: pytest.MonkeyPatch):
    """That of the compiled layers: where nothing is compiled, some models need more."""
    monkeypatch.setattr(machine, "multiplies_bf16", lambda device: True)
    monkeypatch.setattr(machine.recurrence, "multiplies", lambda kind: True)
    usual = int(re.search(r"--hidden of (\d+) or more", help_of("precision"))[1])  # type: ignore[index]
    others = {name: int(width) for name, width in re.findall(r"(\w+) (\d+)[,)]", help_of("precision"))}
    for name in nets("language"):
        for hidden in (usual - 1, usual, 256, 512):
            config = machine.ModelConfig(model=name, hidden=hidden)
            wide = hidden >= others.get(name, usual)
            assert machine._precision(config, torch.device("cpu")) == ("bf16" if wide else "fp32")
