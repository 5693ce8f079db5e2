"""Where a model runs and in which arithmetic."""

from __future__ import annotations

import torch

from seqtool.errors import UsageError
from seqtool.settings.checking import check_device_name


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is CUDA when there is one, else Apple's, else the CPU. UsageError when absent."""
    if problems := check_device_name(name):
        raise UsageError(problems[0])
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    count = torch.cuda.device_count()
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= count):
        raise UsageError(f"--device {name}: this machine has {count} CUDA devices; use --device cpu or auto")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps: this machine has no Apple GPU; use --device cpu or auto")
    return device


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bf16 products (a CPU: AMX or AVX512-BF16); others are slow."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    tests = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return device.type == "cpu" and any(test() for test in tests if test is not None)


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context in which matrix products run in that precision."""
    kind = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype=kind, enabled=precision != "fp32")
