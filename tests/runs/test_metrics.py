"""Metrics read back: what training logged, whole or while it still grows, and whatever else lies in the file."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from seqtool.errors import InputError
from seqtool.runs.config import METRICS
from seqtool.runs.metrics import read_metrics


def test_metrics_of_a_training_come_back_as_logged(small_run: Path):
    lines = [json.loads(line) for line in (small_run / METRICS).read_text().splitlines()]
    metrics = read_metrics(small_run / METRICS)
    steps = [line for line in lines if "loss" in line]
    validations = [line for line in lines if "valid_loss" in line]
    for name in ("step", "tokens", "loss", "lr", "grad_norm", "elapsed_s"):
        assert metrics.steps[name].tolist() == [line[name] for line in steps]
    assert metrics.validations["valid_loss"].tolist() == [line["valid_loss"] for line in validations]
    assert metrics.validations["step"][metrics.best] == validations[-1]["best_step"]
    losses = [line["valid_loss"] for line in validations]
    assert metrics.best == losses.index(min(losses))


def test_what_is_cut_short_or_no_number_is_left_out(tmp_path: Path):
    hostile = [
        '{"step": 1, "loss": 2.5, "lr": "0.1", "grad_norm": null, "tokens": true, "skipped": 0}',
        '{"step": 2, "loss": NaN, "lr": 1e999, "grad_norm": ' + "9" * 400 + "}",
        "[1, 2]",
        '{"step": "3", "loss": 1}',
        '{"loss": 1}',
        "[" * 100_000,
        '{"step": 4, "gradient_by_lag": [1.0, null, 0.5], "watched_loss": 3.0}',
        '{"step": 5, "valid_loss": 2.0, "best_step": 7}',
        '{"step": 6, "lo',
    ]
    (tmp_path / "m").write_bytes("\n".join(hostile).encode() + b"\xff")
    metrics = read_metrics(tmp_path / "m")
    assert metrics.steps["step"].tolist() == [1, 2]
    assert metrics.steps["loss"][0] == 2.5
    assert np.isnan([metrics.steps[name][1] for name in ("loss", "lr", "grad_norm")]).all()
    assert math.isnan(metrics.steps["lr"][0])
    assert math.isnan(metrics.steps["tokens"][0])
    ((step, norms),) = metrics.gradient_by_lag
    assert (step, norms[0], norms[2]) == (4, 1.0, 0.5)
    assert math.isnan(norms[1])
    assert metrics.watched == [(4, 3.0)]
    assert metrics.best is None  # no validation was logged at step 7
    (tmp_path / "m").write_text('{"step": 7, "valid_loss": null, "best_step": 7}')
    assert read_metrics(tmp_path / "m").best is None


def test_a_file_that_is_not_there_yet_has_no_metrics(tmp_path: Path):
    metrics = read_metrics(tmp_path / "none")
    assert metrics.best is None
    assert not len(metrics.steps["step"])
    with pytest.raises(InputError, match="cannot read"):
        read_metrics(tmp_path)
