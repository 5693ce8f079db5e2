"""The processes that train together: one that dies ends the job, and torchrun's restart resumes."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from seqtool.errors import UsageError
from seqtool.training.world import (
    World,
    alone,
    joined_world,
    may_restart,
    own_device,
    rank,
    restarts,
    under_torchrun,
)
from tests.conftest import Start
from tests.training.torchrun import SETTINGS, torchrun, two_of

CPU = torch.device("cpu")
FROM_TORCHRUN = (
    "TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_MAX_RESTARTS"
)  # fmt: skip


def started(monkeypatch: pytest.MonkeyPatch, **environment: int) -> None:
    """As torchrun starts a process, or nobody where nothing is given."""
    for name in FROM_TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))


def test_without_torchrun_a_process_is_the_only_one_and_the_first(monkeypatch: pytest.MonkeyPatch):
    started(monkeypatch, RANK=3, WORLD_SIZE=4, TORCHELASTIC_RESTART_COUNT=2)  # another program's variables
    assert (under_torchrun(), rank(), restarts(), may_restart()) == (False, 0, 0, False)
    assert own_device(torch.device("cuda")) == torch.device("cuda")
    with joined_world(CPU) as world:
        assert (world, world.main) == (alone(CPU), True)


def test_under_torchrun_a_process_has_its_number_and_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch):
    started(monkeypatch, TORCHELASTIC_RUN_ID=7, RANK=3, LOCAL_RANK=1, WORLD_SIZE=1)
    assert (under_torchrun(), rank(), restarts(), may_restart()) == (True, 3, 0, False)
    assert own_device(torch.device("cuda")) == torch.device("cuda", 1)
    assert own_device(torch.device("cuda", 0)) == torch.device("cuda", 0)
    assert own_device(CPU) == CPU
    started(monkeypatch, TORCHELASTIC_RUN_ID=7, RANK=0, TORCHELASTIC_RESTART_COUNT=2, TORCHELASTIC_MAX_RESTARTS=5)
    assert (restarts(), may_restart()) == (2, True)


def test_the_rows_of_all_processes_are_the_batch():
    rows = list(range(12))
    for size in (1, 2, 3):
        shared = [rows[World(number, size, CPU).rows(12)] for number in range(size)]
        assert [row for part in shared for row in part] == rows
        assert {len(part) for part in shared} == {12 // size}
    with pytest.raises(UsageError, match="--batch-size 12 does not divide by 5 processes: choose a multiple"):
        World(0, 5, CPU).rows(12)


def test_one_process_needs_nobody_to_agree_with():
    world, tensor = alone(CPU), torch.ones(3)
    assert world.sum([1.0, 2.5]) == [1.0, 2.5]
    assert world.from_main({"steps": 3}) == {"steps": 3}
    assert world.gather(tensor) == [tensor]
    world.wait()


def workers(pid: int) -> list[int]:
    """The processes that a process started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 20])
def test_a_killed_worker_ends_the_job_and_the_restart_resumes(text: Path, tmp_path: Path, count: int):
    """`count` times one of the two is killed; torchrun starts both again, and the weights are those of an uninterrupted job."""
    steps = 120 if count == 1 else 3000
    settings = [*SETTINGS, "--steps", steps, "--checkpoint-every", 10, "--eval-every", steps // 4]
    whole = torchrun("train", text, "-o", tmp_path / "whole", *settings, folder=tmp_path)
    assert whole.wait(400) == 0
    job = torchrun("train", text, "-o", tmp_path / "run", *settings, restarts=count, folder=tmp_path)
    draw, seen = random.Random(0), set()
    for _ in range(count):
        deadline = time.monotonic() + 90
        while not (
            len(found := [pid for pid in workers(job.pid) if pid not in seen]) >= 2
            and newer(tmp_path / "run", seen_at(seen))
        ):
            assert job.poll() is None, job.stderr.read().decode() if job.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(draw.random() * 0.1)
        seen |= set(found)
        KILLED_AT[frozenset(seen)] = time.time()
        os.kill(draw.choice(found), signal.SIGKILL)
    _, err = job.communicate(timeout=400)
    assert job.returncode == 0, err.decode()
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()


KILLED_AT: dict[frozenset[int], float] = {}


def seen_at(seen: set[int]) -> float:
    return KILLED_AT.get(frozenset(seen), 0.0)


def newer(run: Path, moment: float) -> bool:
    """Whether the run has a checkpoint that was written after a moment."""
    file = run / "checkpoint" / "state.safetensors"
    return file.exists() and file.stat().st_mtime > moment + 0.2


def test_a_job_that_cannot_be_fails_in_a_sentence(start: Start, text: Path, tmp_path: Path):
    both = two_of(start, "train", text, "-o", tmp_path / "run", *SETTINGS, "--batch-size", 7, "--steps", 5)
    err = b"".join(process.stderr.read() for process in both)
    assert [process.wait() for process in both] == [2, 2]
    assert b"--batch-size 7 does not divide by 2 processes" in err
    assert err.count(b"seqtool: error") == 1
    assert not (tmp_path / "run").exists()
