"""What a run may be gone on with, through the real command: the same data and settings, but for what may change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.cli.test_resume import SMALL
from tests.cli.test_train import BASE, lines_of
from tests.conftest import Command


@pytest.mark.parametrize(("changed", "named"), [
    (["--vocab", "bpe.model"], "--vocab"),
    (["--valid", "text.txt"], "--valid"),
    (["--valid", "0.1"], "--valid"),
    (["--config", "other.toml"], "--lr"),
    (["other.txt"], "DATA"),
    (["exchanged.txt"], "DATA"),
])  # fmt: skip
def test_other_data_and_settings_are_refused_by_name(
    seqtool: Command, text: Path, tmp_path: Path, changed: list[str], named: str
):
    (tmp_path / "valid.txt").write_text(text.read_text()[:3000])
    (tmp_path / "other.txt").write_text(text.read_text()[:9000])
    (tmp_path / "exchanged.txt").write_text("".join(reversed(text.read_text())))
    (tmp_path / "other.toml").write_text("lr = 0.5\n")
    assert seqtool("vocab", text, "--type", "bpe", "-o", tmp_path / "bpe.model", "-q").returncode == 0
    begin = [*SMALL, "--steps", 4, "--vocab-type", "char", "--valid", "valid.txt", "-o", "run"]
    assert seqtool("train", "text.txt", *begin, cwd=tmp_path).returncode == 0
    data = [] if named == "DATA" else ["text.txt"]
    refused = seqtool("train", *data, *changed, "-o", "run", "--resume", cwd=tmp_path)
    assert refused.returncode in (2, 3)
    assert named in error_of(refused, refused.returncode)


def test_validation_text_that_is_gone_is_asked_for(seqtool: Command, text: Path, tmp_path: Path):
    shutil.copy(text, valid := tmp_path / "valid.txt")
    run = tmp_path / "run"
    assert seqtool("train", text, "--valid", valid, *SMALL, "--steps", 4, "-o", run).returncode == 0
    valid.rename(elsewhere := tmp_path / "moved.txt")
    assert "--valid" in error_of(seqtool("train", text, "-o", run, "--resume", "--steps", 5), 3)
    assert seqtool("train", text, "--valid", elsewhere, "-o", run, "--resume", "--steps", 5, "-q").returncode == 0


def test_the_rate_may_be_changed_by_a_flag_and_only_by_one(seqtool: Command, text: Path, tmp_path: Path):
    run = tmp_path / "run"
    assert seqtool("train", text, "-o", run, *SMALL, "--steps", 10, "--schedule", "constant").returncode == 0
    changed = seqtool("train", text, "-o", run, "--resume", "--steps", 30, "--lr", 0.001, "--schedule", "constant")
    assert changed.returncode == 0, changed.stderr.decode()
    assert "--lr 0.001 (was " in changed.stderr.decode()
    rates = [json.loads(line)["lr"] for line in (run / "metrics.jsonl").open() if '"lr"' in line]
    assert rates[-1] == 0.001
    assert rates[0] != 0.001
    (tmp_path / "rate.toml").write_text("lr = 0.5\n")
    refused = seqtool("train", text, "-o", run, "--resume", "--config", tmp_path / "rate.toml")
    assert "--lr 0.5" in error_of(refused, 2)


def test_what_may_change_on_resume_does_and_the_rest_is_refused_by_name(seqtool: Command, text: Path, tmp_path: Path):
    run = tmp_path / "run"
    assert seqtool("train", text, "-o", run, *BASE).returncode == 0
    go_on = ["train", text, "-o", run, "--resume", "-q"]
    refused = error_of(seqtool(*go_on, "--momentum", 0.5, "--batch-size", 3), 2)
    assert "--momentum 0.5" in refused
    assert "--batch-size 3" in refused
    assert "--steps" in refused
    assert "--hidden 64" in error_of(seqtool(*go_on, "--hidden", 64), 2)
    assert "--vocab-type" in error_of(seqtool(*go_on, "--vocab-type", "bpe"), 2)
    assert "--vocab-size" in error_of(seqtool(*go_on, "--vocab-size", 99), 2)
    assert "--document" in error_of(seqtool(*go_on, "--document", "line"), 2)
    assert "--valid" in error_of(seqtool(*go_on, "--valid", 0.2), 2)
    assert "--steps 12 is over" in error_of(seqtool(*go_on, "--steps", 12), 2)
    assert seqtool(*go_on, "--hidden", 24, "--steps", 45, "--eval-every", 5, "--device", "cpu").returncode == 0
    config = json.loads((run / "config.json").read_text())
    assert (config["training"]["steps"], config["training"]["eval_every"]) == (45, 5)
    assert [line["step"] for line in lines_of(run) if "valid_loss" in line][-3:] == [35, 40, 45]
    assert seqtool("eval", run, "-", stdin=b"text").returncode == 0
