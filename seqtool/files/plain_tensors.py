"""Tensors that other programs wrote as safetensors. A file is refused unless it is as long as its header says."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from seqtool.errors import InputError
from seqtool.files.tensors import MAX_HEADER_BYTES, NAMES, WIDTHS, TensorEntry, entry_of, no_name_twice

Check = Callable[[list[TensorEntry]], None]


def read_plain_tensors(path: Path, check: Check) -> dict[str, Tensor]:
    """The tensors of a file, mapped; InputError where it is none, cut short or damaged.

    `check` sees names, types and shapes before any value is read, and raises what is wrong with them.
    """
    try:
        with open(path, "rb") as stream:
            begin, entries = _header(path, stream)
            check(entries)
            if not entries:
                return {}
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    return {entry.name: _tensor(entry, begin, content) for entry in entries}


def _header(path: Path, stream: IO[bytes]) -> tuple[int, list[TensorEntry]]:
    """Where the data begin, and the tensors in their order."""
    size = os.fstat(stream.fileno()).st_size
    length = int.from_bytes(stream.read(8), "little")
    if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
        raise InputError(f"{path} is no whole safetensors file: get it anew")
    try:
        said = json.loads(stream.read(length), object_pairs_hook=no_name_twice)
        if not isinstance(said, dict):
            raise ValueError("no object")
        said.pop("__metadata__", None)
        entries = sorted(
            (entry_of(name, value) for name, value in said.items()), key=lambda entry: (entry.start, entry.end)
        )
        if any(entry.start != end for entry, end in zip(entries, [0, *(one.end for one in entries)], strict=False)):
            raise ValueError("tensors that overlap or leave a gap")
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: its header is not that of a safetensors file; get it anew") from error
    if 8 + length + (entries[-1].end if entries else 0) != size:
        raise InputError(f"{path} was cut short or added to: get it anew")
    return 8 + length, entries


def _tensor(entry: TensorEntry, begin: int, content: mmap.mmap) -> Tensor:
    dtype = getattr(torch, NAMES[entry.dtype])
    if entry.start == entry.end:
        return torch.empty(entry.shape, dtype=dtype)
    at = begin + entry.start
    values = torch.frombuffer(content, dtype=torch.uint8, count=entry.end - entry.start, offset=at)
    return (values.clone() if at % WIDTHS[entry.dtype] else values).view(dtype).reshape(entry.shape)
