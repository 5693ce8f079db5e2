"""What a machine can do at most: products of matrices by precision, and bytes to and from memory.

A model's speed is a share of these. A training step is mostly products; a token of one stream is mostly reading
weights.
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
BUFFER_BYTES, LEAST_BUFFER_BYTES = 1 << 29, 1 << 26  # much larger than a cache: half a gigabyte where there is room
CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """A device by name, and its limits."""

    device: str
    name: str
    """Of the processor or the GPU."""
    threads: int
    """That torch computes with on the CPU."""
    torch: str
    matrix_size: int
    matrix_gflops_per_s: dict[str, float]
    """Of the product of two square matrices of `matrix_size`, by precision."""
    buffer_bytes: int
    read_gb_per_s: float
    """Of a sum over a buffer."""
    copy_gb_per_s: float
    """Of a copy of a buffer: the bytes read and those written."""
    parts: dict[str, PartReport]
    """What is written in C."""


def native_precisions(device: torch.device) -> list[str]:
    """The precisions that the device has instructions to multiply in: fp32 first."""
    return ["fp32", *["bf16"] * multiplies_bf16(device), *["fp16"] * (device.type == "cuda")]


def device_name(device: torch.device) -> str:
    """What the maker calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def matrix_size(device: torch.device) -> int:
    """Rows of the matrices whose product is measured: enough of them to keep the device busy."""
    return MATRIX_SIZE_CUDA if device.type == "cuda" else MATRIX_SIZE


def matrix_gflops_per_s(size: int, precision: str, device: torch.device, seconds: float) -> float:
    """GFLOP/s of the product of two square matrices, 2 size^3 operations."""
    dtype = MATRIX_DTYPES[precision]
    require(3 * size**2 * dtype.itemsize, device, "the product of two matrices", "end other programs")
    draws = torch.Generator().manual_seed(0)
    A, B = (torch.randn(size, size, generator=draws).to(device, dtype) for _ in range(2))
    C = torch.empty_like(A)
    return 2 * size**3 / median_s(lambda: torch.mm(A, B, out=C), seconds, device) / 1e9


def buffer_bytes(device: torch.device) -> int:
    """Bytes of the buffer that is read and copied; SeqtoolError when two would not leave as much free again."""
    size = BUFFER_BYTES
    while size > LEAST_BUFFER_BYTES and not fits(4 * size, device):
        size //= 2
    require(4 * size, device, "measuring the memory", "end other programs")
    return size


def read_gb_per_s(size_bytes: int, device: torch.device, seconds: float) -> float:
    """GB/s at which a sum reads a buffer."""
    buffer = torch.ones(size_bytes // 4, device=device)
    return size_bytes / median_s(buffer.sum, seconds, device) / 1e9


def copy_gb_per_s(size_bytes: int, device: torch.device, seconds: float) -> float:
    """GB/s at which a buffer is read and written to another."""
    source = torch.ones(size_bytes // 4, device=device)
    target = torch.zeros_like(source)
    return 2 * size_bytes / median_s(lambda: target.copy_(source), seconds, device) / 1e9
