"""How much memory is free, and refusing what does not fit before it is allocated."""

from __future__ import annotations

import torch

from seqtool.errors import SeqtoolError
from seqtool.files.memory import free_bytes


def available_bytes(device: torch.device) -> int | None:
    """Bytes that can still be allocated on the device; for a CPU, in this machine or container. None: not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_bytes()


def fits(needed_bytes: int, device: torch.device) -> bool:
    """Whether so many bytes can be allocated; True where that is not known."""
    available = available_bytes(device)
    return available is None or needed_bytes <= available


def require(needed_bytes: int, device: torch.device, what: str, mend: str) -> None:
    """SeqtoolError when the device has too little memory for `what`; `mend` says what to do about it."""
    if not fits(needed_bytes, device):
        gb, left = needed_bytes / 1e9, (available_bytes(device) or 0) / 1e9
        raise SeqtoolError(f"not enough memory: {what} takes {gb:,.1f} GB, and {left:,.1f} GB are left; {mend}")
