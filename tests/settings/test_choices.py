"""The choice that was meant."""

from __future__ import annotations

import pytest

from seqtool.settings.choices import choose_from, nearest


@pytest.mark.parametrize(("value", "meant"), [
    ("adm", "adam"), ("adam-w", "adamw"), ("SGD", ""), ("", ""), ("quasi-newton", ""), ("nt_asgd", "nt-asgd"),
])  # fmt: skip
def test_the_nearest_choice(value: str, meant: str):
    choices = ("sgd", "adam", "adamw", "nt-asgd")
    assert nearest(value, choices) == meant
    said = choose_from(value, choices)
    assert said == (f"did you mean {meant}? " if meant else "") + "choose from sgd, adam, adamw, nt-asgd"
