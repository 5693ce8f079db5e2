"""Several processes: the same batch gives the same losses, one that dies ends the job, and torchrun's restart resumes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, Command

SETTINGS = [
    "--vocab-type",
    "char",
    "--hidden",
    "32",
    "--batch-size",
    "8",
    "--dropout",
    "0",
    "--seed",
    "3",
    "--early-stop",
    "0",
    "-q",
]
STEPS = 100


@pytest.fixture(scope="module")
def text(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("processes") / "text.txt"
    path.write_text(prose[:40_000])
    return path


def torchrun(*arguments: object, restarts: int = 0, folder: Path) -> subprocess.Popen[bytes]:
    """Two processes of the real command, as torchrun starts them."""
    program = folder / "seqtool"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m seqtool "$@"\n')
    program.chmod(0o755)
    command = [sys.executable, "-m", "torch.distributed.run", "--no-python", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*command, "--max-restarts", str(restarts), str(program), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    return [line.get("loss", line.get("valid_loss")) for line in lines]


@pytest.mark.parametrize(("model", "more"), [
    ("lstm", ["--accumulate", "4"]),
    pytest.param("transformer", [], marks=pytest.mark.slow),
    pytest.param("transformer", ["--shard"], marks=pytest.mark.slow),
    pytest.param("gru", ["--within-documents", "--document", "blank-line", "--ar", "2"], marks=pytest.mark.slow),
])  # fmt: skip
def test_two_processes_lose_as_one_does(seqtool: Command, text: Path, tmp_path: Path, model: str, more: list[str]):
    settings = [*SETTINGS, "--model", model, "--steps", STEPS, "--lr", "1e-3", *more]
    assert (
        seqtool("train", text, "-o", tmp_path / "one", *[word for word in settings if word != "--shard"]).returncode
        == 0
    )
    both = torchrun("train", text, "-o", tmp_path / "two", *settings, folder=tmp_path)
    out, err = both.communicate(timeout=200)
    assert both.returncode == 0, err.decode()
    assert out.count(b"steps") >= 1
    tolerance = 1e-4 if "--shard" in more else 1e-5  # sums in another order, which adamw makes more of
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=tolerance)
    assert seqtool("eval", tmp_path / "two", "-", stdin=b"text").returncode == 0


def workers(pid: int) -> list[int]:
    """The processes that a process started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
@pytest.mark.parametrize("count", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_worker_ends_the_job_and_the_restart_resumes(seqtool: Command, text: Path, tmp_path: Path, count: int):
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


def test_without_a_restart_the_job_fails_in_a_sentence(text: Path, tmp_path: Path):
    job = torchrun("train", text, "-o", tmp_path / "run", *SETTINGS, "--batch-size", 7, "--steps", 5, folder=tmp_path)
    _, err = job.communicate(timeout=100)
    assert job.returncode
    assert b"--batch-size 7 does not divide by 2 processes" in err
    assert err.count(b"seqtool: error") == 1
    assert not (tmp_path / "run").exists()
