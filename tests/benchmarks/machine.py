"""What the benchmarks share: the machine's name, medians with their spread, and commands with their time and memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
MB = 1_000_000


def machine(gpu: str = "") -> str:
    """What this is measured on, without loading torch."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    told = [processor, f"{os.cpu_count()} cores", gpu, f"torch {importlib.metadata.version('torch')}"]
    return ", ".join([*filter(None, told), f"Python {platform.python_version()}"])


def spread(values: Sequence[float], form: str) -> str:
    """The median, and the least and the most."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


class Ran(NamedTuple):
    """A command that has run: seconds of the whole process, peak memory, and its lines, each with when it came."""

    wall_s: float
    peak_mb: float
    lines: list[tuple[float, str]]

    @property
    def last(self) -> str:
        """The last line."""
        return self.lines[-1][1] if self.lines else ""


def run(
    command: Sequence[str | Path], cwd: Path = ROOT, environment: Mapping[str, str] | None = None, until: str = ""
) -> Ran:
    """Run a command with stdout and stderr as one; with `until`, end it at the first line that begins so.

    The peak is that of the process alone where this one is small: a child's counts what its parent held when it began.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines: list[tuple[float, str]] = []
    found = False
    assert process.stdout is not None
    for line in process.stdout:
        lines.append((time.perf_counter() - began, line.rstrip("\n")))
        if until and line.startswith(until):
            found = True
            process.kill()
            break
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = lines[-1][0] if found else time.perf_counter() - began
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if not found and (process.returncode or until):
        tail = "\n".join(text for _, text in lines[-20:])
        sys.exit(f"{' '.join(map(str, command))}\nended with {process.returncode}:\n{tail}")
    return Ran(wall_s, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MB, lines)
