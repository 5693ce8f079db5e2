"""Trackers get every line of metrics, those from before the run had its name too. Extras are tried where installed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from seqtool.training.tracking import Tracker, Tracking, scalars
from tests.conftest import Command


def test_lines_from_before_the_run_has_its_name_are_held(tmp_path: Path):
    heard: list[Any] = []
    tracking = Tracking([lambda run, step: Tracker(heard.append, lambda: heard.append((run, step)))])
    tracking({"step": 1})
    assert heard == []
    tracking.start(tmp_path, 5)
    tracking({"step": 2})
    tracking.finish()
    assert heard == [{"step": 1}, {"step": 2}, (tmp_path, 5)]


def test_only_numbers_are_tracked():
    record = {"step": 1, "loss": None, "lr": 0.1, "share": 0.5, "valid_loss": 2.0, "gradient_by_lag": [1.0]}
    assert scalars(record) == {"train/lr": 0.1, "valid/loss": 2.0}


def trained(seqtool: Command, prose_file: Path, folder: Path, *flags: object) -> subprocess.CompletedProcess[bytes]:
    settings = ["--vocab-type", "char", "--hidden", 16, "--steps", 20, "-q", "--json"]
    return seqtool("train", prose_file, "-o", folder / "run", *settings, *flags, env={"TRACKIO_DIR": str(folder)})


def test_tensorboard_reads_what_is_written(seqtool: Command, prose_file: Path, tmp_path: Path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert trained(seqtool, prose_file, tmp_path, "--tensorboard").returncode == 0
    read = events.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    read.Reload()
    assert len(read.Scalars("valid/loss")) == 10
    assert [scalar.step for scalar in read.Scalars("train/loss")] == [1, 10, 20]


def test_trackio_keeps_its_talk_off_stdout(seqtool: Command, prose_file: Path, tmp_path: Path):
    pytest.importorskip("trackio")
    result = trained(seqtool, prose_file, tmp_path, "--trackio", "project")
    assert result.returncode == 0
    assert result.stdout.count(b"\n") == 1
    assert (tmp_path / "project.db").exists()
