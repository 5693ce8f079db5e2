"""What the metrics share."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from seqtool.errors import InputError
from seqtool.scoring.metrics.values import for_json, mean, mean_of_defined, ratio, require_finite, table


def test_what_is_undefined_is_none_in_json():
    report = {
        "a": math.nan,
        "b": [np.float32(0.5), np.inf],
        "c": np.array([[1.0, np.nan]]),
        "d": np.int64(3),
        "e": "nan",
    }
    shown = for_json({"deep": [report]})
    assert shown == {"deep": [{"a": None, "b": [0.5, None], "c": [[1.0, None]], "d": 3, "e": "nan"}]}
    json.dumps(shown, allow_nan=False)


def test_ratios_and_means_of_nothing_are_undefined():
    np.testing.assert_equal(ratio([1, 0, 3], [2, 0, 0]), [0.5, np.nan, np.nan])
    assert math.isnan(mean(np.array([])))
    assert math.isnan(mean_of_defined(np.array([np.nan])))
    assert mean_of_defined(np.array([np.nan, 1, 2])) == 1.5


def test_means_of_float32_are_exact():
    assert mean(np.full(10_000_000, 0.1, np.float32)) == pytest.approx(float(np.float32(0.1)), rel=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_with_its_row(bad: float):
    values = np.zeros((4, 2))
    require_finite("forecasts", values)
    values[2, 1] = bad
    with pytest.raises(
        InputError, match=r"the forecasts hold 1 values that are not finite numbers, the first in row 3"
    ):
        require_finite("forecasts", values)


def test_a_table_has_a_row_for_each_place():
    assert table(a=[1, 2], b="xy") == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert table(a=[]) == []
