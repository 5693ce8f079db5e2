"""Sizes of a model of examples that come from a file are checked before anything is made of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from seqtool.errors import InputError
from seqtool.settings.examples import ExampleShape, listed, shape_from


def test_a_shape_comes_back_as_it_was():
    shape = ExampleShape(tables=(5, 7), begin_id=1, categories=(3,), numbers=2, outputs=4, each=True, fitted=5)
    assert shape_from({**asdict(shape), "tables": [5, 7], "categories": [3]}, "x") == shape


@pytest.mark.parametrize(
    "edited",
    [
        {"tables": [1 << 40]}, {"outputs": 0}, {"outputs": 1 << 30}, {"tables": [2], "begin_id": 2}, {"numbers": -1},
        {"each": 3}, {"tables": "ab"}, {"unknown": 1}, {"categories": [0]}, {"numbers": 1.5}, {"tables": [2] * 100},
        {"categories": [[1]]}, {"steps": None}, {"target_symbols": 3, "target_begin_id": 3}, {"target_begin_id": 1},
        {"tables": [5], "target_symbols": 6, "one_table": True}, {"one_table": True},
    ],
)  # fmt: skip
def test_an_edited_one_is_refused(edited: dict[str, Any]):
    with pytest.raises(InputError, match="edited"):
        shape_from(edited, "config.json: shape")


def test_lists_with_commas():
    assert listed("a, b,,c d ") == ("a", "b", "c d")
    assert listed("") == ()


def test_sizes_that_older_runs_have_not_are_told_where_they_say_something():
    assert "target_symbols" not in ExampleShape(numbers=2).told()
    writes = ExampleShape(tables=(9,), target_symbols=9, target_begin_id=1, one_table=True)
    assert shape_from({**writes.told(), "tables": [9]}, "x") == writes
