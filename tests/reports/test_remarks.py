"""What a page says of runs in sentences: where each is best, and once what holds for several."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtool.reports.curves import read_record
from seqtool.reports.remarks import remark, remarks
from seqtool.runs.config import METRICS
from tests.reports.test_curves import copy_of


@pytest.mark.parametrize(
    "valid, train, said",
    [
        ([3.0, 2.0, 1.5], [3.0, 2.0, 1.5], "is the best: a longer training may be better"),
        (
            [3.0, 2.0, 2.5, 3.0],
            [3.0, 2.0, 1.5, 1.0],
            "rose by 1.000 while the training loss fell by 1.000: it overfits",
        ),
        ([3.0, 2.0, 2.5, 3.0], [3.0, 2.0, 2.5, 3.0], "rose by 1.000."),
        ([3.0, 2.0, 2.001], [3.0, 2.0, 1.9], "stayed about the same"),
    ],
)
def test_a_remark_says_what_the_curves_show(
    valid: list[float], train: list[float], said: str, small_run: Path, tmp_path: Path
):
    record = read_record(copy_of(small_run, tmp_path / "run", valid, train))
    assert said in remark(record)
    (tmp_path / "run" / METRICS).unlink()
    assert remark(read_record(tmp_path / "run")) == "No metrics yet."


def test_what_holds_for_several_runs_is_said_once(small_run: Path, tmp_path: Path):
    one = read_record(copy_of(small_run, tmp_path / "one", [3.0, 2.0], [3.0, 2.5]))
    other = read_record(copy_of(small_run, tmp_path / "other", [3.0, 1.9], [3.0, 2.5]))
    worse = read_record(copy_of(small_run, tmp_path / "worse", [1.9, 3.0], [3.0, 2.5]))
    (said,) = remarks([one, other])
    assert said["runs"] == [0, 1]
    assert said["text"].startswith("No run overfits: each run's last validation is its best")
    together, alone = remarks([one, worse, other])
    assert (together["runs"], alone["runs"]) == ([0, 2], [1])
    assert together["text"].startswith("The last validation of each is its best")
    assert "rose by 1.100" in alone["text"]
    assert remarks([one]) == [{"runs": [0], "text": remark(one)}]


def test_unequal_times_of_training_are_said_of_runs_that_compare(small_run: Path, tmp_path: Path):
    short = read_record(copy_of(small_run, tmp_path / "short", [3.0] * 10, [3.0] * 10))
    equal = read_record(copy_of(small_run, tmp_path / "equal", [3.0] * 11, [3.0] * 11))
    long = read_record(copy_of(small_run, tmp_path / "long", [3.0] * 12, [3.0] * 12))
    assert not any("times" in said["text"] for said in remarks([short, equal]))
    said = remarks([short, equal, long])[-1]
    assert said["runs"] == [0, 1, 2]
    assert "5.0 s of short, 6.0 s of long, 1.2 times as long" in said["text"]
