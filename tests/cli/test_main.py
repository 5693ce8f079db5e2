"""The program around its commands: streams, errors and the environment, by the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqtool.cli.main import let_idle_threads_sleep
from tests.conftest import ROOT, Command


def test_debug_shows_the_traceback(seqtool: Command):
    assert b"Traceback" in seqtool("info", "/nowhere", env={"SEQTOOL_DEBUG": "1"}).stderr


@pytest.mark.parametrize(("line", "code"), [
    ("seqtool eval {run} - <&-", 3),
    ("seqtool info {run} >&-", 1),
    ("seqtool info /nowhere 2>&-", 3),
    ("seqtool info {run} > /dev/full", 1),
])  # fmt: skip
def test_closed_and_full_streams(shell: Command, small_run: Path, line: str, code: int):
    result = shell(line.format(run=small_run))
    assert result.returncode == code
    assert result.stdout == b""
    assert b"Traceback" not in result.stderr
    assert b"bug" not in result.stderr
    assert result.stderr.count(b"\n") <= 1
    if "/dev/full" in line:
        assert (
            result.stderr
            == b"seqtool: error: cannot write to standard output: No space left on device; write elsewhere\n"
        )


@pytest.mark.slow
def test_idle_threads_soon_sleep(small_run: Path):
    """OpenMP, which reads its environment when torch loads it, is asked what it has read."""
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment = {**kept, "PYTHONPATH": str(ROOT), "OMP_DISPLAY_ENV": "verbose"}
    words = [sys.executable, "-m", "seqtool", "eval", small_run, "-"]
    result = subprocess.run(words, input=b"the", capture_output=True, env=environment)
    assert result.returncode == 0
    told = result.stderr.decode()
    if "GOMP_SPINCOUNT" not in told:
        pytest.skip("torch uses another OpenMP than GNU's")
    assert "GOMP_SPINCOUNT = '1000'" in told


@pytest.mark.parametrize("asked", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_how_long_idle_threads_spin_is_the_users_to_say(asked: dict[str, str]):
    let_idle_threads_sleep(environment := dict(asked))
    assert environment == asked
