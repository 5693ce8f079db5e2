"""Runs a program of corpora/ as README shows it."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.conftest import ROOT


def ran(name: str, *flags: object) -> subprocess.CompletedProcess[str]:
    """`python -m corpora.NAME`, whatever its exit code."""
    command = [sys.executable, "-m", f"corpora.{name}", *map(str, flags)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)


def made(name: str, *flags: object) -> tuple[list[str], dict[str, list[float]]]:
    """The lines that it writes, and the numbers of each figure on stderr."""
    done = ran(name, *flags)
    assert done.returncode == 0, done.stderr
    rows = [re.split(r"  +", line, maxsplit=1) for line in done.stderr.splitlines()]
    return done.stdout.splitlines(), {name: [float(n) for n in re.findall(r"\d+\.\d+", told)] for name, told in rows}
