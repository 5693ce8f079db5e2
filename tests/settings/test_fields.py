"""How settings are declared: what holds of every one of them."""

from __future__ import annotations

import dataclasses

import pytest

from seqtool.settings.checking import check, check_each
from seqtool.settings.embedding import EmbedConfig
from seqtool.settings.fields import Panel, flag_of, setting
from seqtool.settings.generation import GenerateConfig
from seqtool.settings.model import ModelConfig
from seqtool.settings.scoring import EvalConfig
from seqtool.settings.training import TrainConfig
from seqtool.settings.vocabulary import VocabularyConfig

KINDS = [ModelConfig, TrainConfig, VocabularyConfig, EmbedConfig, GenerateConfig, EvalConfig]
EVERY = pytest.mark.parametrize("kind", KINDS)


@dataclasses.dataclass(frozen=True)
class Oven:
    """How a cake is baked."""

    bake_time: int = setting(30, "Minutes.", panel=Panel.FIRST, low=1, high=90)
    fan: bool = setting(False, "Turn the fan on.", panel=Panel.MACHINE, flag="--fan/--no-fan")
    heat: str = setting("top", "Where heat comes from.", panel=Panel.MACHINE, choices=["top", "below"])
    share: float = setting(0.5, "Share of sugar.", panel=Panel.DATA, low=0, below=1)


def test_a_setting_is_a_field_with_a_default_a_flag_and_limits():
    fields = {item.name: item for item in dataclasses.fields(Oven)}
    assert Oven() == Oven(30, False, "top", 0.5)
    assert [flag_of(item) for item in fields.values()] == ["--bake-time", "--fan/--no-fan", "--heat", "--share"]
    assert fields["heat"].metadata["choices"] == ("top", "below")
    assert fields["bake_time"].metadata["panel"] == "Most used"
    assert check_each(Oven()) == check_each(Oven(90, True, "below", 0.0)) == []
    assert check_each(Oven(91, 1, "side", 1.0)) == [  # type: ignore[arg-type]
        "--bake-time 91: at most 90",
        "--fan is 1, where bool is expected",
        "--heat 'side': choose from top, below",
        "--share 1.0: less than 1",
    ]


@EVERY
def test_every_default_may_be_given_and_goes_with_the_others(kind: type):
    assert check(kind()) == []


@EVERY
def test_no_two_settings_of_a_command_have_one_flag(kind: type):
    together = [ModelConfig, TrainConfig] if kind in (ModelConfig, TrainConfig) else [kind]
    flags = [flag for one in together for item in dataclasses.fields(one) for flag in flag_of(item).split("/")]
    assert len(set(flags)) == len(flags)


@EVERY
def test_settings_do_not_change_once_they_are_made(kind: type):
    config = kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(kind)[0].name, None)
