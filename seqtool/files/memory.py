"""How much memory the machine has left, and how much the process holds."""

from __future__ import annotations

import os
import re
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
STATM = Path("/proc/self/statm")


def free_bytes() -> int | None:
    """Bytes that can still be allocated in this machine or container; None where that is not known."""
    known = [left for left in (_machine_bytes(), _container_bytes()) if left is not None]
    return min(known, default=None)


def held_bytes() -> int:
    """Bytes of memory that the process holds; 0 where that is not known."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):  # not Linux
        return 0


def _machine_bytes() -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", MEMINFO.read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else None
    except OSError:  # not Linux
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _container_bytes() -> int | None:
    """The memory that a cgroup (version 2) allows its processes beyond what they hold."""
    try:
        limit, held = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return None if limit == "max" else max(0, int(limit) - int(held))
    except (OSError, ValueError):
        return None
