"""Named arrays in one safetensors file with a hash of every byte: written atomically, read by memory map.

The file is what any reader of safetensors reads. Its header also follows from what it says, byte by byte, so that
damage to any byte of the file is found.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError
from seqtool.files.writing import atomic_writer, canonical_sha256
from seqtool.settings.model import MAX_PARAMETERS

METADATA = "seqtool"
MAX_HEADER_BYTES = 1 << 20
ALIGNMENT = 64
HASHED_BYTES = 4 << 20  # hashed by themselves, so that several cores can
DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"), "I64": np.dtype("<i8"), "U32": np.dtype("<u4"), "U8": np.dtype("u1")
}  # fmt: skip
KINDS = {dtype: name for name, dtype in DTYPES.items()}

Shapes = dict[str, tuple[str, tuple[int, ...]]]


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, Any]) -> None:
    """Write arrays, atomically. The same content gives the same bytes."""
    parts = {name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for name, array in arrays.items()}
    shapes: Shapes = {name: (KINDS[part.dtype], part.shape) for name, part in parts.items()}
    views = [part.reshape(-1).view(np.uint8).data for part in parts.values() if part.size]
    header = _header(shapes, {**metadata, "sha256": _digest(views, metadata)})
    with atomic_writer(path, len(header) + sum(map(len, views))) as stream:
        stream.write(header)
        for view in views:
            stream.write(view)


def map_arrays(
    path: Path, kinds: Mapping[str, tuple[str, int]], format: str, foreign: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays and the metadata of a file whose metadata's `format` is this, once all bytes are found to be those
    that were written. `kinds` gives each array's type and rank, in the file's order.

    InputError when it cannot be read, is of another kind (`foreign` says the mend), was cut short, damaged or edited.
    """
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise InputError(f"{path} is {foreign}")
            header = stream.read(length)
            shapes, metadata = _parsed(header, path, format, foreign)
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    expected = list(kinds.items())
    sound = [(name, (kind, len(shape))) for name, (kind, shape) in shapes.items()] == expected and all(
        type(count) is int and 0 <= count <= MAX_PARAMETERS for _, shape in shapes.values() for count in shape
    )
    if not sound or header != _header(shapes, metadata)[8:]:
        raise _damaged(path)
    start = 8 + length
    if start + sum(DTYPES[kind].itemsize * math.prod(shape) for kind, shape in shapes.values()) != size:
        raise InputError(f"{path} was cut short or added to: put a whole copy back, or make it again")
    if metadata.pop("sha256", None) != _digest([memoryview(content)[start:]], metadata):
        raise _damaged(path)
    arrays = {}
    for name, (kind, shape) in shapes.items():
        count = math.prod(shape)
        arrays[name] = np.frombuffer(content, DTYPES[kind], count, start if count else 0).reshape(shape)
        start += count * DTYPES[kind].itemsize
    return arrays, metadata


def _header(shapes: Shapes, metadata: Mapping[str, Any]) -> bytes:
    """A safetensors header, its length before it, padded so that the numbers lie at a multiple of ALIGNMENT."""
    entries: dict[str, Any] = {"__metadata__": {METADATA: json.dumps(metadata, sort_keys=True)}}
    start = 0
    for name, (kind, shape) in shapes.items():
        end = start + math.prod(shape) * DTYPES[kind].itemsize
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    content = json.dumps(entries).encode()
    length = -(-(8 + len(content)) // ALIGNMENT) * ALIGNMENT - 8
    return length.to_bytes(8, "little") + content.ljust(length)


def _parsed(header: bytes, path: Path, format: str, foreign: str) -> tuple[Shapes, dict[str, Any]]:
    """The types and shapes, in the file's order, and the metadata."""
    try:
        entries = json.loads(header)
        metadata = json.loads(entries.pop("__metadata__")[METADATA])
        ours = metadata["format"] == format
        shapes = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise (_damaged(path) if format.encode() in header else InputError(f"{path} is {foreign}")) from error
    if not ours:
        raise InputError(f"{path} is {foreign}")
    return shapes, metadata


def _digest(parts: list[memoryview], metadata: Mapping[str, Any]) -> str:
    """SHA-256 of the metadata and of the hashes of HASHED_BYTES each of all parts joined."""
    digest = hashlib.sha256(canonical_sha256(metadata).encode())
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for hashed in pool.map(_hashed, _pieces(parts)):
            digest.update(hashed)
    return digest.hexdigest()


def _pieces(parts: list[memoryview]) -> Iterator[list[memoryview]]:
    """Views that together are HASHED_BYTES long, the last ones shorter."""
    group: list[memoryview] = []
    room = HASHED_BYTES
    for part in parts:
        while len(part):
            group.append(part[:room])
            part = part[room:]
            room -= len(group[-1])
            if not room:
                yield group
                group, room = [], HASHED_BYTES
    if group:
        yield group


def _hashed(views: list[memoryview]) -> bytes:
    digest = hashlib.sha256()
    for view in views:
        digest.update(view)
    return digest.digest()


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} holds other bytes than were written: it was damaged or edited; make it again")
