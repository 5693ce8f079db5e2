"""How much memory is free, and refusing what does not fit before it is allocated."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch

from seqtool.errors import SeqtoolError

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def available_bytes(device: torch.device) -> int | None:
    """Bytes that can still be allocated on the device; for a CPU, in this machine or container. None: not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    known = [left for left in (_machine_bytes(), _container_bytes()) if left is not None]
    return min(known, default=None)


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


def fits(needed_bytes: int, device: torch.device) -> bool:
    """Whether so many bytes can be allocated; True where that is not known."""
    available = available_bytes(device)
    return available is None or needed_bytes <= available


def require(needed_bytes: int, device: torch.device, what: str, mend: str) -> None:
    """SeqtoolError when the device has too little memory for `what`; `mend` says what to do about it."""
    if not fits(needed_bytes, device):
        gb, left = needed_bytes / 1e9, (available_bytes(device) or 0) / 1e9
        raise SeqtoolError(f"not enough memory: {what} takes {gb:,.1f} GB, and {left:,.1f} GB are left; {mend}")
