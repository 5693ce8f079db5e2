"""Charts and tables of cells as data: numbers as they were, and names that are text."""

from __future__ import annotations

import json
import math

from seqtool.reports.pictures import LONGEST, Chart, Heat, Line
from tests.browser import HOSTILE


def test_numbers_have_six_digits_and_what_is_not_finite_is_none():
    lines = [Line("a", [1, 2, 3, 4], [2 / 3, math.nan, -math.inf, 123456789.0], "dots", 3)]
    told = Chart("t" * 999, "steps", lines, log_y=True, rings=[(1, 2, 3, "here")]).described()
    assert told["lines"] == [
        {"name": "a", "x": [1, 2, 3, 4], "y": [0.666667, None, None, 123457000.0], "kind": "dots", "colour": 3}
    ]
    assert (len(told["title"]), told["x_label"], told["log_y"], told["rings"]) == (
        LONGEST,
        "steps",
        True,
        [(1, 2, 3, "here")],
    )
    json.dumps(told, allow_nan=False)


def test_cells_keep_their_shares_and_counts():
    told = Heat(HOSTILE[-3], HOSTILE, ["b"], [[0.98765]] * len(HOSTILE), [[1200]] * len(HOSTILE)).described()
    assert told["shares"][0] == [0.988]
    assert told["counts"][0] == [1200]
    assert "\\u202eback" in told["rows"]
    assert Heat("t", ["a"], ["b"], [[1]]).described()["counts"] == []
