"""Two processes of the real command: by torchrun, or as it starts them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.client import Started
from tests.conftest import ROOT, Start

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


def two_of(start: Start, *arguments: object) -> list[Started]:
    """Two processes of the real command that are told of each other as torchrun tells its own, without its seconds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [start(*arguments, env={**shared, "RANK": rank, "LOCAL_RANK": rank}) for rank in "01"]
