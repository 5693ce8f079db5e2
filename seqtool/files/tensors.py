"""The signed tensor file: named tensors, and metadata with a hash, in one safetensors file.

Weights, checkpoints and vectors are such files. Any reader of safetensors reads them; ours reads the header first and
compares every type, shape and offset in it with the size of the file, so that memory is taken only for what is there.

The metadata are one JSON object in the entry METADATA, with the SHA-256 in its `sha256`. Two layouts are written, and
the reader tells them apart: BY_WIDTH, that of the safetensors library, whose hash covers names, types, shapes, values
and metadata; and AS_GIVEN, of vectors, which may be large and are mapped: their values are hashed in pieces on all
cores, and the header follows byte by byte from the metadata and from names, types and shapes that the reader expects.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import mmap
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError
from seqtool.files.writing import atomic_writer, canonical_sha256

if TYPE_CHECKING:
    from torch import Tensor

METADATA = "seqtool"
MARK = b"seqtool "  # begins the name of each of our formats, which is among the metadata
MAX_HEADER_BYTES = 16 << 20
MAX_RANK, MAX_BYTES = 32, 1 << 62  # of a tensor, were each empty dimension 1
HASHED_BYTES = 4 << 20  # hashed by themselves, so that several cores can
NOT_OURS = (
    "not a whole tensor file of seqtool: it was cut short or damaged, or another program made it; put its own back or "
    "train again"
)

WIDTHS = {
    "BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "C64": 8,
    "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip
"""Bytes of a number of each type of safetensors, in the order in which its library sorts them."""
NAMES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "F16": "float16", "BF16": "bfloat16",
    "I32": "int32", "U32": "uint32", "F32": "float32", "C64": "complex64", "F64": "float64", "I64": "int64",
    "U64": "uint64",
}  # fmt: skip
"""What torch calls them, and numpy all but BF16."""
DTYPES = {name: dtype for dtype, name in NAMES.items()}


class TensorEntry(NamedTuple):
    """What the header says of one tensor; `dtype` as safetensors calls it, `start` and `end` in bytes of the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class TensorBytes(NamedTuple):
    """A tensor's entry and the bytes of its values, and the file that these are mapped from, where one is only read."""

    entry: TensorEntry
    data: memoryview
    mapped: mmap.mmap | None = None

    def pieces(self) -> Iterator[memoryview]:
        """All bytes, HASHED_BYTES at a time; what was mapped for a piece is in memory only while it is looked at."""
        for start in range(0, len(self.data), HASHED_BYTES):
            yield self.data[start : start + HASHED_BYTES]
            if self.mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
                self.mapped.madvise(mmap.MADV_DONTNEED)


def _digest_of_all(parts: Sequence[TensorBytes], metadata: Mapping[str, Any]) -> str:
    """SHA-256 of the metadata, and of the name, type, shape and values of each tensor, sorted by name."""
    digest = hashlib.sha256(canonical_sha256(metadata).encode())
    for part in sorted(parts, key=lambda part: part.entry.name):
        digest.update(f"{part.entry.name} torch.{NAMES[part.entry.dtype]} {part.entry.shape}\n".encode())
        for piece in part.pieces():
            digest.update(piece)
    return digest.hexdigest()


def _digest_in_pieces(parts: Sequence[TensorBytes], metadata: Mapping[str, Any]) -> str:
    """SHA-256 of the metadata and of the hashes of HASHED_BYTES each of all values joined."""
    digest = hashlib.sha256(canonical_sha256(metadata).encode())
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for hashed in pool.map(_hashed, _pieces([part.data for part in parts])):
            digest.update(hashed)
    return digest.hexdigest()


def _pieces(views: Sequence[memoryview]) -> Iterator[list[memoryview]]:
    """Views that together are HASHED_BYTES long, the last ones shorter."""
    group: list[memoryview] = []
    room = HASHED_BYTES
    for view in views:
        while len(view):
            group.append(view[:room])
            view = view[room:]
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


@dataclass(frozen=True)
class TensorLayout:
    """In which order tensors lie in a file, how its header is spelled, and what the hash is of."""

    sort_key: Callable[[TensorEntry], Any] | None
    alignment: int  # of the data, in bytes
    separators: tuple[str, str]  # of the header's JSON
    sort_metadata: bool
    digest: Callable[[Sequence[TensorBytes], Mapping[str, Any]], str]

    def header(self, entries: Sequence[TensorEntry], metadata: Mapping[str, Any]) -> bytes:
        """The header of a file of this layout."""
        said = {METADATA: json.dumps(metadata, sort_keys=self.sort_metadata)}
        return spelled_header(entries, said, self.alignment, self.separators)


def spelled_header(
    entries: Sequence[TensorEntry],
    metadata: Mapping[str, str],
    alignment: int,
    separators: tuple[str, str] = (", ", ": "),
) -> bytes:
    """A header of safetensors, with its length before it and spaces after it up to the alignment."""
    content: dict[str, Any] = {"__metadata__": metadata}
    for name, dtype, shape, start, end in entries:
        content[name] = {"dtype": dtype, "shape": shape, "data_offsets": (start, end)}
    spelled = json.dumps(content, separators=separators).encode()
    length = -(-(8 + len(spelled)) // alignment) * alignment - 8
    return length.to_bytes(8, "little") + spelled.ljust(length)


def _by_width(entry: TensorEntry) -> tuple[int, str]:
    return -list(WIDTHS).index(entry.dtype), entry.name


BY_WIDTH = TensorLayout(_by_width, 8, (",", ":"), sort_metadata=False, digest=_digest_of_all)
AS_GIVEN = TensorLayout(None, 64, (", ", ": "), sort_metadata=True, digest=_digest_in_pieces)


def write_tensors(
    path: Path,
    tensors: Mapping[str, Tensor | npt.NDArray[Any]],
    metadata: Mapping[str, Any],
    layout: TensorLayout = BY_WIDTH,
) -> None:
    """Write torch's or numpy's tensors, atomically. The same content gives the same bytes."""
    parts = _placed([_part(name, values) for name, values in tensors.items()], layout)
    header = layout.header([part.entry for part in parts], {**metadata, "sha256": layout.digest(parts, metadata)})
    assert len(header) <= MAX_HEADER_BYTES
    _write_parts(path, header, parts)


def write_plain_tensors(path: Path, tensors: Mapping[str, Tensor | npt.NDArray[Any]], said: Mapping[str, str]) -> None:
    """Write tensors for other programs, atomically: without our metadata, but with what these want `said`."""
    parts = _placed([_part(name, values) for name, values in tensors.items()], BY_WIDTH)
    header = spelled_header([part.entry for part in parts], said, BY_WIDTH.alignment, BY_WIDTH.separators)
    _write_parts(path, header, parts)


def _write_parts(path: Path, header: bytes, parts: Sequence[TensorBytes]) -> None:
    with atomic_writer(path, len(header) + sum(len(part.data) for part in parts)) as stream:
        stream.write(header)
        for part in parts:
            for piece in part.pieces():
                stream.write(piece)


def _part(name: str, values: Tensor | npt.NDArray[Any]) -> TensorBytes:
    """A tensor's values as bytes on the CPU; its place in the file is not known yet."""
    mapped = None
    if isinstance(values, np.ndarray):
        base = getattr(values, "base", None)
        if getattr(values, "mode", "") == "r" and isinstance(base, mmap.mmap):  # a memmap
            mapped = base
        array = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        dtype, flat = DTYPES[array.dtype.name], array.reshape(-1).view(np.uint8)
    else:
        import torch

        tensor = values.detach().cpu().contiguous()
        dtype, flat = DTYPES[str(tensor.dtype).removeprefix("torch.")], tensor.reshape(-1).view(torch.uint8).numpy()
    return TensorBytes(TensorEntry(name, dtype, tuple(values.shape), 0, len(flat)), flat.data, mapped)


def _placed(parts: list[TensorBytes], layout: TensorLayout) -> list[TensorBytes]:
    """The parts in the layout's order, one after the other."""
    sort_key = layout.sort_key
    if sort_key:
        parts = sorted(parts, key=lambda part: sort_key(part.entry))
    placed, start = [], 0
    for part in parts:
        placed.append(part._replace(entry=part.entry._replace(start=start, end=start + len(part.data))))
        start += len(part.data)
    return placed


@dataclass(frozen=True)
class TensorFile:
    """An open tensor file, whose header was found to fit its size. The values are not read yet."""

    path: Path
    entries: list[TensorEntry]
    metadata: dict[str, Any]
    _sha256: Any
    _layout: TensorLayout
    _begin: int  # of the data, in bytes from the beginning of the file
    _stream: IO[bytes]

    @property
    def numbers(self) -> int:
        """How many numbers the tensors have in all."""
        return sum(math.prod(entry.shape) for entry in self.entries)

    def tensors(self) -> dict[str, Tensor]:
        """The values as torch tensors, in memory that is copied from the file page by page when written to.

        InputError when they are others than were written.
        """
        content = self._checked(mmap.ACCESS_COPY)
        return {entry.name: self._tensor(entry, content) for entry in self.entries}

    def _tensor(self, entry: TensorEntry, content: mmap.mmap) -> Tensor:
        """A tensor with its own storage, as torch's random generators need, at an address that fits its type."""
        import torch

        dtype, begin = getattr(torch, NAMES[entry.dtype]), self._begin + entry.start
        if entry.start == entry.end:
            return torch.empty(entry.shape, dtype=dtype)
        values = torch.frombuffer(content, dtype=torch.uint8, count=entry.end - entry.start, offset=begin)
        return (values.clone() if begin % WIDTHS[entry.dtype] else values).view(dtype).reshape(entry.shape)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The values as arrays that cannot be written to, mapped from the file; none may be BF16.

        InputError when they are others than were written.
        """
        values = np.frombuffer(self._checked(mmap.ACCESS_READ), np.uint8)
        return {
            entry.name: values[self._begin + entry.start : self._begin + entry.end]
            .view(np.dtype(NAMES[entry.dtype]).newbyteorder("<"))
            .reshape(entry.shape)
            for entry in self.entries
        }

    def _checked(self, access: int) -> mmap.mmap:
        """The whole file, mapped, once its values and metadata are found to have the hash they were written with."""
        try:
            content = mmap.mmap(self._stream.fileno(), 0, access=access)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot map {self.path}: {error}") from error
        data = memoryview(content)[self._begin :]
        parts = [TensorBytes(entry, data[entry.start : entry.end]) for entry in self.entries]
        if self._sha256 != self._layout.digest(parts, self.metadata):
            raise _damaged(self.path)
        return content


@contextlib.contextmanager
def open_tensors(path: Path, not_ours: str = NOT_OURS) -> Iterator[TensorFile]:
    """Open a tensor file and check its header; the values are read by the methods of what is given.

    InputError when it cannot be read, is no file of ours (the message says it is `not_ours`), was cut short, damaged
    or edited.
    """
    try:
        stream = open(path, "rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    with stream:
        yield _opened(path, stream, not_ours)


def _opened(path: Path, stream: IO[bytes], not_ours: str) -> TensorFile:
    try:
        size = os.fstat(stream.fileno()).st_size
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise InputError(f"{path} is {not_ours}")
        header = stream.read(length)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    begin = 8 + length
    try:
        entries, metadata = parse_header(header)
    except (ValueError, RecursionError) as error:
        raise (_damaged(path) if MARK in header else InputError(f"{path} is {not_ours}")) from error
    if begin + (entries[-1].end if entries else 0) != size:
        raise InputError(f"{path} was cut short or added to: put a whole copy back, or make it again")
    layout = AS_GIVEN if header == AS_GIVEN.header(entries, metadata)[8:] else BY_WIDTH
    sha256 = metadata.pop("sha256", None)
    return TensorFile(path, entries, metadata, sha256, layout, begin, stream)


def parse_header(header: bytes) -> tuple[list[TensorEntry], dict[str, Any]]:
    """What a header says: the tensors in the order of their data, and our metadata.

    ValueError or RecursionError unless it is JSON of tensors that lie one after the other, none named twice, each as
    long as its type and shape say; and of metadata of ours.
    """
    said = json.loads(header, object_pairs_hook=no_name_twice)
    ours = said.pop("__metadata__", None) if isinstance(said, dict) else None
    if not isinstance(ours, dict) or not isinstance(ours.get(METADATA), str):
        raise ValueError("no metadata of ours")
    metadata = json.loads(ours[METADATA])
    if not isinstance(metadata, dict):
        raise ValueError("metadata that are no object")
    entries = sorted(
        (entry_of(name, value) for name, value in said.items()), key=lambda entry: (entry.start, entry.end)
    )
    if any(entry.start != end for entry, end in zip(entries, [0, *(entry.end for entry in entries)], strict=False)):
        raise ValueError("tensors that overlap or leave a gap")
    return entries, metadata


def entry_of(name: str, said: Any) -> TensorEntry:
    """A tensor as a header says it; ValueError unless it is as long as its type and shape say."""
    if not isinstance(said, dict) or said.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name} lacks a type, a shape or a place")
    dtype, shape, offsets = said["dtype"], said["shape"], said["data_offsets"]
    if not (isinstance(dtype, str) and dtype in WIDTHS and _are_counts(shape) and _are_counts(offsets)):
        raise ValueError(f"{name} has a type, a shape or a place that there is not")
    if len(shape) > MAX_RANK or len(offsets) != 2:
        raise ValueError(f"{name} has too many dimensions or places")
    width, (start, end) = WIDTHS[dtype], offsets
    if width * math.prod(max(count, 1) for count in shape) > MAX_BYTES or end - start != width * math.prod(shape):
        raise ValueError(f"{name} is not as long as its shape")
    return TensorEntry(name, dtype, tuple(shape), start, end)


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of these members; ValueError for a name that is there twice."""
    said = dict(pairs)
    if len(said) != len(pairs):
        raise ValueError("a name twice")
    return said


def map_arrays(
    path: Path, expected: Mapping[str, tuple[str, int]], format: str, not_ours: str
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """The arrays, mapped, and the metadata of a file whose metadata's `format` is this one.

    `expected` gives each array's type and rank, in the file's order. InputError when the file is of another kind (the
    message says it is `not_ours`), was cut short, damaged or edited.
    """
    with open_tensors(path, not_ours) as content:
        if content.metadata.get("format") != format:
            raise InputError(f"{path} is {not_ours}")
        if [(entry.name, (entry.dtype, len(entry.shape))) for entry in content.entries] != list(expected.items()):
            raise _damaged(path)
        return content.arrays(), content.metadata


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} holds other bytes than were written: it was damaged or edited; make it again")
