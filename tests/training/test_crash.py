"""Nothing is lost: killed at any instant, on a full disk, or with numbers that are none, a training goes on from where it was.

A few trials each in the default suite; `make test-crash` runs hundreds.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from seqtool.errors import DivergedError
from seqtool.training.learner import Learner
from tests.conftest import Command
from tests.tasks.tables import texts
from tests.training.trainer import SHORT, SMALL, Trainer

SETTINGS = ["--vocab-type", "char", "--steps", "80", "--hidden", "48", "--dropout", "0.2", "--checkpoint-every", "1", "--eval-every", "10",
            "--ema", "0.9", "--batch-size", "4", "--early-stop", "0", "--seed", "5", "-q"]  # fmt: skip


def trials(few: int, many: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("count", [few, pytest.param(many, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def text(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crash") / "text.txt"
    path.write_text(prose[:20_000])
    return path


@pytest.fixture(scope="module")
def uninterrupted(seqtool: Command, text: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    run = tmp_path_factory.mktemp("whole") / "run"
    assert seqtool("train", text, "-o", run, *SETTINGS).returncode == 0
    return (run / "model.safetensors").read_bytes()


def strays(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.suffix in (".partial", ".replaced")]


TELLING = ["--target", "label", "--model", "gru", "--hidden", "24", "--embed", "12", "--dropout", "0.2", "--steps", "60",
           "--checkpoint-every", "1", "--eval-every", "10", "--batch-size", "4", "--early-stop", "0", "--seed", "5", "-q"]  # fmt: skip


@trials(1, 100)
def test_killed_at_any_instant_a_classifier_resumes_to_the_same_weights(seqtool: Command, tmp_path: Path, count: int):
    """Its temperature, which validation fits, included."""
    table, run, draw, killed = texts(tmp_path / "texts.tsv"), tmp_path / "run", random.Random(count), 0
    assert seqtool("train", table, "-o", tmp_path / "whole", *TELLING).returncode == 0
    while killed < count:
        shutil.rmtree(run, ignore_errors=True)
        waits = [(f"{run}/config.json", draw.random() * 0.5)]
        if killed % 3 != 2:
            waits.append((f"{run}/checkpoint/.*.partial", draw.random() * 0.001))
        if seqtool("train", table, "-o", run, *TELLING, kill=(9, waits)).returncode != -9:
            continue
        killed += 1
        resumed = seqtool("train", table, "-o", run, "--resume", "-q")
        assert resumed.returncode == 0, resumed.stderr.decode()
        assert (run / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes(), (
            killed
        )
        assert not strays(tmp_path)


@trials(2, 200)
def test_killed_at_any_instant_a_run_resumes_to_the_same_weights(
    seqtool: Command, text: Path, uninterrupted: bytes, tmp_path: Path, count: int
):
    """Two of three kills are aimed at the instants in which a file is half written; what is left tells whether it was."""
    draw, killed, while_saving, run = random.Random(count), 0, 0, tmp_path / "run"
    while killed < count:
        shutil.rmtree(run, ignore_errors=True)
        waits = [(f"{run}/config.json", draw.random() * 0.5)]
        if killed % 3 != 2:
            waits.append((f"{run}/checkpoint/.*.partial", draw.random() * 0.001))
        result = seqtool("train", text, "-o", run, *SETTINGS, kill=(9, waits))
        if result.returncode != -9:
            continue
        killed += 1
        while_saving += bool(strays(run))
        safetensors.torch.load_file(run / "checkpoint" / "state.safetensors")  # whole
        resumed = seqtool("train", text, "-o", run, "--resume", "-q")
        assert resumed.returncode == 0, resumed.stderr.decode()
        assert (run / "model.safetensors").read_bytes() == uninterrupted, killed
        assert not strays(tmp_path)
        steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").open()]
        assert steps == sorted(steps)
        assert steps[-1] == 80
    print(f"killed {killed} times, {while_saving} while saving")
    assert while_saving >= count // 2 or count < 100


@trials(2, 100)
def test_sigterm_ends_a_training_with_a_whole_checkpoint(
    seqtool: Command, text: Path, uninterrupted: bytes, tmp_path: Path, count: int
):
    draw, slowest = random.Random(count), 0.0
    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2]
    for trial in range(count):
        run = tmp_path / f"run{trial}"
        number = signal.SIGTERM if count > 4 else numbers[trial]
        began = time.monotonic()
        wait_s = draw.random() * 0.3
        result = seqtool("train", text, "-o", run, *SETTINGS, kill=(number, [(f"{run}/config.json", wait_s)]))
        slowest = max(slowest, time.monotonic() - began)
        assert result.returncode == 128 + number, (result.returncode, result.stderr)
        assert b"--resume" in result.stderr
        assert b"Traceback" not in result.stderr
        safetensors.torch.load_file(run / "checkpoint" / "state.safetensors")
        if trial % 10 == 0:
            assert seqtool("train", text, "-o", run, "--resume", "-q").returncode == 0
            assert (run / "model.safetensors").read_bytes() == uninterrupted
    print(f"{count} signals, the slowest run of all took {slowest:.1f} s")
    assert slowest < 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2.2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2200k", "tmpfs", folder], capture_output=True)
    if made.returncode:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@trials(3, 50)
def test_a_full_disk_leaves_the_checkpoint_before(seqtool: Command, text: Path, small_disk: Path, count: int):
    """The run fits for a while; then something else fills the disk, by a different amount in each trial."""
    draw = random.Random(count)
    run = small_disk / "run"
    begun = seqtool("train", text, "-o", run, *SETTINGS, "--steps", 8, "--eval-every", 4)
    assert begun.returncode == 0, begun.stderr.decode()
    for _ in range(count):
        before = (run / "checkpoint" / "state.safetensors").read_bytes()
        free = shutil.disk_usage(small_disk).free
        (small_disk / "filler").write_bytes(b"x" * max(0, free - draw.randrange(4096, len(before) - 4096)))
        result = seqtool("train", text, "-o", run, "--resume", "--steps", 10**6, "-q")
        error = result.stderr.decode()
        assert result.returncode == 1, (result.returncode, error)
        assert error.count("\n") == 1
        assert str(run) in error
        assert "free" in error
        assert not strays(run)
        safetensors.torch.load_file(run / "checkpoint" / "state.safetensors")
        (small_disk / "filler").unlink()
    assert seqtool("eval", run, "-", stdin=b"text").returncode == 0
    step = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    assert seqtool("train", text, "-o", run, "--resume", "--steps", step + 3, "-q").returncode == 0


def poisoned(monkeypatch: pytest.MonkeyPatch, steps: set[int], how: str) -> None:
    """Training in which the loss, or one gradient, is no finite number at some steps."""
    real, number = Learner.gradients, 0

    def gradients(learner: Learner, *arguments: Any) -> Any:
        nonlocal number
        nats, state = real(learner, *arguments)
        if number in steps:
            if how == "loss":
                nats = float("nan")
            learner.parameters()[0].grad.view(-1)[3] = float("inf" if how == "inf" else "nan")
        number += 1
        return nats, state

    monkeypatch.setattr(Learner, "gradients", gradients)


@pytest.mark.parametrize("how", ["loss", "inf", "nan"])
def test_steps_without_finite_gradients_are_left_out(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, how: str):
    poisoned(monkeypatch, {3, 7, 8, 9, 30}, how)
    progress = trainer("run", SMALL, {**SHORT, "optimizer": "sgd", "lr": 0.5})
    assert (progress.step, progress.skipped) == (40, 5)
    assert progress.best_loss < 3.3
    unlogged = [record for record in trainer.records if "loss" in record and record["loss"] is None]
    assert [record["step"] for record in unlogged] == [4, 8, 9, 10, 31]


@pytest.mark.slow
def test_100_injected_losses_leave_100_finite_checkpoints(trainer: Trainer, monkeypatch: pytest.MonkeyPatch):
    draw = random.Random(0)
    poisoned(monkeypatch, set(draw.sample(range(60, 1190), 100)), "nan")
    checked = 0

    def check(record: dict[str, Any]) -> None:
        nonlocal checked
        file = next(trainer.folder.glob("*run*/checkpoint/state.safetensors"), None)
        if "loss" in record and record["loss"] is None and file is not None:
            tensors = safetensors.torch.load_file(file)
            assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values() if tensor.is_floating_point())
            checked += 1

    progress = trainer(
        "run",
        {"model": "rnn", "hidden": 8},
        {**SHORT, "steps": 1200, "eval_every": 400, "checkpoint_every": 5},
        report=check,
    )
    assert progress.skipped == checked == 100


def test_too_many_in_a_row_end_with_the_last_good_checkpoint(trainer: Trainer, monkeypatch: pytest.MonkeyPatch):
    poisoned(monkeypatch, set(range(20, 40)), "loss")
    with pytest.raises(DivergedError, match="step 29"):
        trainer("run", SMALL, {**SHORT, "checkpoint_every": 4})
    tensors = safetensors.torch.load_file(trainer.folder / "run" / "checkpoint" / "state.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values() if tensor.is_floating_point())


def test_two_trainings_cannot_go_on_with_one_run(seqtool: Command, text: Path, tmp_path: Path):
    import fcntl

    run = tmp_path / "run"
    assert seqtool("train", text, "-o", run, *SETTINGS, "--steps", 5).returncode == 0
    handle = os.open(run, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    result = seqtool("train", text, "-o", run, "--resume", "--steps", 10, "-q")
    os.close(handle)
    assert result.returncode == 1
    assert b"being written by another process" in result.stderr
    assert seqtool("train", text, "-o", run, "--resume", "--steps", 10, "-q").returncode == 0


def test_what_a_kill_left_behind_goes_and_what_it_hid_comes_back(seqtool: Command, text: Path, tmp_path: Path):
    run = tmp_path / "run"
    assert seqtool("train", text, "-o", run, *SETTINGS, "--steps", 5).returncode == 0
    (tmp_path / ".run.abcdefgh.partial").mkdir()
    (tmp_path / ".other.abcdefgh.partial").mkdir()
    run.rename(tmp_path / ".run.abcdefg1.replaced")  # the instant between two renames
    result = seqtool("train", text, "-o", run, *SETTINGS, "--steps", 5)
    assert result.returncode in (1, 2), result.stderr
    assert (run / "model.safetensors").is_file()
    assert not list(tmp_path.glob(".run*"))
    assert (tmp_path / ".other.abcdefgh.partial").is_dir()
