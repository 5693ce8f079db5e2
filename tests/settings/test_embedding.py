"""The settings of learning vectors, and the methods that use each."""

from __future__ import annotations

import dataclasses
import re

import pytest

from seqtool.settings.checking import check
from seqtool.settings.embedding import EMBED_METHODS, EMBED_USES, METHODS_WITHOUT_STEPS, EmbedConfig

FIELDS = {item.name: item.metadata for item in dataclasses.fields(EmbedConfig)}


def test_uses_name_settings_and_methods():
    assert EMBED_USES.keys() <= FIELDS.keys()
    assert all({*methods} < {*EMBED_METHODS} for methods in EMBED_USES.values())


def test_help_names_the_methods_that_a_setting_is_for():
    named = {
        name: tuple(match[1].split(", "))
        for name, about in FIELDS.items()
        if (match := re.match(r"((?:[\w-]+, )*[\w-]+): ", about["help"])) and match[1].split(", ")[0] in EMBED_METHODS
    }
    assert named == {name: EMBED_USES[name] for name in ("negative", "subsample", "subword", "x_max")}


def test_methods_that_learn_at_once_have_no_length_nor_checkpoints():
    for name in ("epochs", "time", "lr", "checkpoint_every"):
        assert {*EMBED_METHODS} - {*EMBED_USES[name]} == {*METHODS_WITHOUT_STEPS}


@pytest.mark.parametrize(("changes", "told"), [
    ({"shortest_ngram": 7, "subword": True}, "--shortest-ngram 7"),
    ({"method": "glov"}, "did you mean glove?"),
    ({"window": 0}, "--window 0: at least 1"),
])  # fmt: skip
def test_settings_that_cannot_be_are_told(changes: dict[str, object], told: str):
    (problem,) = check(EmbedConfig(**changes))
    assert told in problem
