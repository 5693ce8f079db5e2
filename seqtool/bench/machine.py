"""The limits of a machine: its rate of matrix products by precision, and its memory bandwidth.

The speed of a model is a share of these. A training step is mostly matrix products; writing a token in one stream is
mostly reading weights.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from seqtool.bench.memory import fits, require
from seqtool.bench.timing import median_s
from seqtool.models.device import multiplies_bf16
from seqtool.native.loading import PartReport

MATRIX_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MATRIX_SIZE, MATRIX_SIZE_CUDA = 2048, 8192
BUFFER_BYTES, LEAST_BUFFER_BYTES = 1 << 29, 1 << 26  # much larger than any cache; the first if there is room
CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """A device and its limits."""

    device: str
    name: str
    """The maker's, of the processor or GPU."""
    threads: int
    """With which torch computes on the CPU."""
    torch: str
    matrix_size: int
    matrix_gflops_per_s: dict[str, float]
    """By precision, of the product of two square matrices of `matrix_size`."""
    buffer_bytes: int
    read_gb_per_s: float
    """While a buffer is summed."""
    copy_gb_per_s: float
    """While a buffer is copied: bytes read plus bytes written."""
    parts: dict[str, PartReport]
    """What is written in C."""


def native_precisions(device: torch.device) -> list[str]:
    """The precisions that the device has instructions to multiply in: fp32 first."""
    return ["fp32", *["bf16"] * multiplies_bf16(device), *["fp16"] * (device.type == "cuda")]


def device_name(device: torch.device) -> str:
    """The maker's name of the processor or GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def matrix_size(device: torch.device) -> int:
    """Rows of the square matrices whose product is timed: enough to keep the device busy."""
    return MATRIX_SIZE_CUDA if device.type == "cuda" else MATRIX_SIZE


def matrix_gflops_per_s(size: int, precision: str, device: torch.device, seconds: float) -> float:
    """GFLOP/s of the product of two square matrices, 2 size^3 operations; SeqtoolError without memory for them."""
    dtype = MATRIX_DTYPES[precision]
    require(3 * size**2 * dtype.itemsize, device, "the product of two matrices", "end other programs")
    draws = torch.Generator().manual_seed(0)
    A, B = (torch.randn(size, size, generator=draws).to(device, dtype) for _ in range(2))
    C = torch.empty_like(A)
    return 2 * size**3 / median_s(lambda: torch.mm(A, B, out=C), seconds, device) / 1e9


def buffer_bytes(device: torch.device) -> int:
    """Bytes of the buffer to read and copy; SeqtoolError when four of the smallest do not fit in memory."""
    size = BUFFER_BYTES
    while size > LEAST_BUFFER_BYTES and not fits(4 * size, device):
        size //= 2
    require(4 * size, device, "measuring the memory", "end other programs")
    return size


def read_gb_per_s(size_bytes: int, device: torch.device, seconds: float) -> float:
    """GB/s at which summing reads a buffer."""
    buffer = torch.ones(size_bytes // 4, device=device)
    return size_bytes / median_s(buffer.sum, seconds, device) / 1e9


def copy_gb_per_s(size_bytes: int, device: torch.device, seconds: float) -> float:
    """GB/s of copying a buffer to another: bytes read plus bytes written."""
    source = torch.ones(size_bytes // 4, device=device)
    target = torch.zeros_like(source)
    return 2 * size_bytes / median_s(lambda: target.copy_(source), seconds, device) / 1e9
