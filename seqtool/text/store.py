"""Sequences of ids on disk: memory-mapped, so that training reads 1 GB of text with the memory of one batch.

A token store is a directory: `store.json` (what it holds and what made it), `vocab.model`, and shards
`ids-00000.safetensors`, each one tensor `ids` of uint16 or uint32.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from seqtool.errors import InputError, SeqtoolError
from seqtool.files import atomic_directory, provenance, read_json, write_json
from seqtool.text.documents import TextCounts, TextSource
from seqtool.text.vocabulary import Ids, Vocabulary, encode_blocks, load_vocabulary

STORE_FORMAT = "seqtool token store 1"
SHARD_TOKENS = 32 << 20
SCANNED_TOKENS = 1 << 20
MAX_HEADER_BYTES = 1 << 16
SAFETENSORS_TYPES = {"U16": np.uint16, "U32": np.uint32}


class IdSequence(Protocol):
    """A long sequence of ids of which parts are taken: `len(ids)`, `ids[start:stop]`."""

    def __len__(self) -> int: ...
    def __getitem__(self, span: slice) -> Ids: ...


class Slice:
    """A part `start:stop` of a sequence, without reading it."""

    def __init__(self, ids: IdSequence, start: int, stop: int) -> None:
        self._ids, self._start, self._stop = ids, start, stop

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, span: slice) -> Ids:
        start, stop, _ = span.indices(len(self))
        return self._ids[self._start + start : self._start + max(start, stop)]


class Joined:
    """Several arrays as one sequence."""

    def __init__(self, parts: list[Ids]) -> None:
        self._parts = parts
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, span: slice) -> Ids:
        start, stop, _ = span.indices(len(self))
        taken = []
        index = bisect.bisect_right(self._ends, start)
        while start < stop:
            begin = self._ends[index] - len(self._parts[index])
            taken.append(self._parts[index][start - begin : stop - begin])
            start, index = self._ends[index], index + 1
        return taken[0] if len(taken) == 1 else np.concatenate([np.empty(0, self._parts[0].dtype), *taken])


@dataclass(frozen=True)
class EncodedText:
    """The ids of a text, `<s>` before each document, with the counts and the hash of the text they came from."""

    ids: IdSequence
    counts: TextCounts
    sha256: str


@dataclass(frozen=True)
class TokenStore:
    """An opened and verified token store."""

    path: Path
    ids: IdSequence
    vocabulary: Vocabulary
    description: dict[str, Any]


def encode_text(vocabulary: Vocabulary, source: TextSource) -> EncodedText:
    """Encode a whole source into an unnamed temporary file and map it: memory stays flat, nothing is left behind."""
    counts = TextCounts()
    ids = spooled(encode_blocks(vocabulary, _counted(source, counts)), vocabulary)
    return EncodedText(ids, counts, source.sha256)


def spooled(arrays: Iterable[Ids], vocabulary: Vocabulary) -> IdSequence:
    """Arrays of ids as one, kept in an unnamed temporary file; SeqtoolError when there is no room for it."""
    spool = tempfile.TemporaryFile(prefix="seqtool-")
    try:
        for ids in arrays:
            spool.write(ids.tobytes())
        spool.flush()
    except OSError as error:
        raise SeqtoolError(f"cannot keep ids in {tempfile.gettempdir()}: {error.strerror}; set TMPDIR") from error
    return np.memmap(spool, dtype=vocabulary.dtype, mode="r")


def document_spans(ids: IdSequence, begin_id: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the documents in a stream of ids begin, after the `<s>` of each, and where they end.

    What stands before the first `<s>` is a document too.
    """
    found = [
        scanned + 1 + np.flatnonzero(ids[scanned : scanned + SCANNED_TOKENS] == begin_id)
        for scanned in range(0, len(ids), SCANNED_TOKENS)
    ]
    starts = np.concatenate([np.empty(0, np.int64), *found]).astype(np.int64)
    if not len(starts) or starts[0] != 1:
        starts = np.concatenate([[0], starts])
    return starts, np.append(starts[1:] - 1, len(ids))


def document_ids(ids: IdSequence, begin_id: int) -> Iterator[IdSequence]:
    """The documents in a stream of ids, each without the `<s>` before it."""
    start = None
    for scanned in range(0, len(ids), SCANNED_TOKENS):
        part = ids[scanned : scanned + SCANNED_TOKENS]
        for begin in np.flatnonzero(part == begin_id).tolist():
            if start is not None:
                yield Slice(ids, start, scanned + begin)
            start = scanned + begin + 1
    if start is not None:
        yield Slice(ids, start, len(ids))


def write_store(path: Path, vocabulary: Vocabulary, source: TextSource) -> dict[str, Any]:
    """Encode a source into a token store at `path`, atomically, and return its description."""
    counts = TextCounts()
    shards: list[dict[str, Any]] = []
    with atomic_directory(path) as aside:
        for number, ids in enumerate(_regrouped(encode_blocks(vocabulary, _counted(source, counts)))):
            name = f"ids-{number:05d}.safetensors"
            content = safetensors.numpy.save({"ids": ids})
            (aside / name).write_bytes(content)
            shards.append({"file": name, "tokens": len(ids), "sha256": hashlib.sha256(content).hexdigest()})
        (aside / "vocab.model").write_bytes(vocabulary.model)
        description = {
            "format": STORE_FORMAT,
            "tokens": sum(shard["tokens"] for shard in shards),
            "documents": counts.documents,
            "words": counts.words,
            "characters": counts.characters,
            "bytes": counts.bytes,
            "shards": shards,
            "vocabulary_sha256": vocabulary.sha256,
            "input_sha256": source.sha256,
            "made_by": provenance(),
        }
        write_json(aside / "store.json", description)
    return description


def is_store(path: Path) -> bool:
    """Whether a path looks like a token store."""
    return (path / "store.json").is_file()


def open_store(path: Path, verify: bool = True) -> TokenStore:
    """Map a token store; InputError when a part is missing, cut short, edited or foreign.

    With `verify` every shard is read once to check it; without, for one who trusts another's check, none is.
    """
    description = read_json(path / "store.json")
    if description.get("format") != STORE_FORMAT:
        raise InputError(f"{path} is not a token store of this version of seqtool: encode the text again")
    vocabulary = load_vocabulary(path / "vocab.model")
    if vocabulary.sha256 != description.get("vocabulary_sha256"):
        raise InputError(f"{path / 'vocab.model'} is not the vocabulary this store was encoded with")
    shards = description.get("shards")
    if not isinstance(shards, list) or not shards or not all(isinstance(shard, dict) for shard in shards):
        raise InputError(f"{path / 'store.json'} lists no shards: it was edited")
    counts = [description.get(name) for name in ("tokens", "documents", "words", "characters", "bytes")]
    if (
        not all(type(count) is int and count >= 0 for count in counts)
        or type(description.get("input_sha256")) is not str
    ):
        raise InputError(f"{path / 'store.json'} lacks a count of what the store holds: it was edited")
    parts = [_open_shard(path, number, shard, vocabulary, verify) for number, shard in enumerate(shards)]
    if sum(map(len, parts)) != description["tokens"]:
        raise InputError(f"{path / 'store.json'} counts other tokens than the shards hold: it was edited")
    return TokenStore(path, Joined(parts), vocabulary, description)


def _open_shard(path: Path, number: int, shard: dict[str, Any], vocabulary: Vocabulary, verify: bool) -> Ids:
    file = path / f"ids-{number:05d}.safetensors"  # never a path from the data
    try:
        with open(file, "rb") as stream:
            if verify and hashlib.file_digest(stream, "sha256").hexdigest() != shard.get("sha256"):
                raise InputError(f"{file} was cut short or changed since it was written: encode the text again")
            stream.seek(0)
            header_bytes = int.from_bytes(stream.read(8), "little")
            if header_bytes > MAX_HEADER_BYTES:
                raise InputError(f"{file} is not a shard of ids")
            header = json.loads(stream.read(header_bytes))["ids"]
            begin, end = header["data_offsets"]
        ids = np.memmap(
            file,
            dtype=SAFETENSORS_TYPES[header["dtype"]],
            mode="r",
            offset=8 + header_bytes + begin,
            shape=((end - begin) // np.dtype(SAFETENSORS_TYPES[header["dtype"]]).itemsize,),
        )
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is not a shard of ids") from error
    if verify and len(ids) and int(ids.max()) >= vocabulary.size:
        raise InputError(f"{file} holds ids that its vocabulary lacks: encode the text again")
    return ids


def _counted(source: TextSource, counts: TextCounts) -> Iterator[Any]:
    for block in source.blocks():
        counts.add(block)
        yield block


def _regrouped(arrays: Iterable[Ids]) -> Iterator[Ids]:
    """The same ids in arrays of SHARD_TOKENS."""
    held: list[Ids] = []
    size = 0
    for array in arrays:
        while size + len(array) >= SHARD_TOKENS:
            taken = SHARD_TOKENS - size
            yield np.concatenate([*held, array[:taken]])
            held, size, array = [], 0, array[taken:]
        held.append(array)
        size += len(array)
    if size:
        yield np.concatenate(held)
