"""How texts are written for what is read: greedily, unless something is asked for that draws."""

from __future__ import annotations

import pytest

from seqtool.errors import UsageError
from seqtool.settings.checking import checked
from seqtool.settings.writing import WritingConfig


def test_nothing_is_drawn_unless_it_is_asked_for():
    assert not WritingConfig(beam=5).draws
    for name, value in {"temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.1}.items():
        assert WritingConfig(**{name: value}).draws


def test_limits_are_told():
    with pytest.raises(UsageError, match="--beam 0: at least 1"):
        checked(WritingConfig(beam=0))
