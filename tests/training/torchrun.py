"""Starts two processes of the real command, as torchrun does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

SETTINGS = [
    "--vocab-type", "char", "--hidden", "32", "--batch-size", "8", "--dropout", "0", "--seed", "3", "--early-stop", "0", "-q",
]  # fmt: skip


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
