"""The program around its commands: streams, errors and the environment, by the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(("asked", "shown"), [
    ({}, "GOMP_SPINCOUNT = '1000'"),
    ({"GOMP_SPINCOUNT": "7"}, "GOMP_SPINCOUNT = '7'"),
    ({"OMP_WAIT_POLICY": "ACTIVE"}, "OMP_WAIT_POLICY = 'ACTIVE'"),
])  # fmt: skip
def test_idle_threads_soon_sleep_unless_the_user_says_otherwise(small_run: Path, asked: dict[str, str], shown: str):
    """OpenMP, which reads its environment when torch loads it, is asked what it has read."""
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment = {**kept, **asked, "PYTHONPATH": str(ROOT), "OMP_DISPLAY_ENV": "verbose"}
    words = [sys.executable, "-m", "seqtool", "eval", small_run, "-"]
    result = subprocess.run(words, input=b"the", capture_output=True, env=environment)
    told = result.stderr.decode()
    if "GOMP_SPINCOUNT" not in told:
        pytest.skip("torch uses another OpenMP than GNU's")
    assert shown in told
    assert ("GOMP_SPINCOUNT = '1000'" in told) == (not asked)
