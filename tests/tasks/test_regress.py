"""Telling numbers through the real command, in the data's units."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.tasks.tables import done, pupils, report


def test_a_number_is_told_and_judged_as_scikit_learn_does(seqtool: Command, tmp_path: Path):
    train, test, run = pupils(tmp_path / "a.csv"), pupils(tmp_path / "b.csv", seed=1), tmp_path / "run"
    result = seqtool("train", train, "--target", "mark", "--ignore", "pass", "-o", run, "--steps", 600)
    assert result.returncode == 0
    assert b"squared deviations/example" in result.stderr
    found = report(seqtool, "eval", run, test)
    with open(test) as stream:
        truth = [float(row["mark"]) for row in csv.DictReader(stream)]
    told = [float(line) for line in done(seqtool, "predict", run, test).split()]
    assert found["mse"] == pytest.approx(metrics.mean_squared_error(truth, told), rel=1e-3)
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, told), abs=1e-4)
    assert found["mse"] < 2.0  # 1 is the variance of the noise
    assert found["baseline_mse"] == pytest.approx(np.var(truth), rel=0.05)


def test_a_target_that_is_no_number_is_named(seqtool: Command, tmp_path: Path):
    result = seqtool(
        "train", pupils(tmp_path / "a.csv"), "--target", "school", "--task", "regress", "-o", tmp_path / "run"
    )
    assert "in column school is no number" in error_of(result, 3)


def test_a_weight_column_decides_what_counts(seqtool: Command, tmp_path: Path):
    path = tmp_path / "weighed.csv"
    rows = [(x / 50, 1.0 if x % 2 else 5.0, 1 if x % 2 else 0) for x in range(200)]
    path.write_text("x,y,w\n" + "".join(f"{x},{y},{w}\n" for x, y, w in rows))
    done(
        seqtool,
        "train",
        path,
        "--target",
        "y",
        "--task",
        "regress",
        "--weight",
        "w",
        "-o",
        tmp_path / "run",
        "--steps",
        400,
        "-q",
    )
    told = [float(line) for line in done(seqtool, "predict", tmp_path / "run", path).split()]
    assert np.mean(told) == pytest.approx(1.0, abs=0.3)
