"""Token stores: the ids of a text on disk, memory-mapped, so that training on 1 GB takes the memory of one batch.

A token store is a directory of `vocab.model`, shards `ids-00000.safetensors`, and `store.json`, which has the counts,
each shard's number of tokens and checksum, how each input was encoded, and a checksum of all that. A shard is a
safetensors file with one tensor `ids` of uint16 or uint32. Its header, padded to HEADER_BYTES, holds the format and
version, the vocabulary's hash, and the number and SHA-256 of the ids. It is computed from `store.json` and compared
byte by byte, so that damage to any byte is found.

Appending writes further shards beside the old ones and then replaces `store.json`. Until that moment the store is the
old one, and shards that `store.json` does not name are ignored.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqtool.errors import InputError
from seqtool.files.tensors import DTYPES, TensorEntry, spelled_header
from seqtool.files.writing import (
    atomic_directory,
    canonical_sha256,
    file_sha256,
    locked,
    provenance,
    read_json,
    remove_strays,
    write_json,
)
from seqtool.text.blocks import encode_blocks
from seqtool.text.documents import TextCounts, TextSource, counted_blocks
from seqtool.text.encoding import Ids
from seqtool.text.sequences import IdSequence, JoinedIds
from seqtool.text.vocabulary import Vocabulary, load_vocabulary

STORE_FORMAT = "seqtool token store 2"
SHARD_FORMAT, SHARD_VERSION = "seqtool token shard", "2"
DESCRIPTION, VOCABULARY = "store.json", "vocab.model"
SHARD, SHARDS = "ids-{:05d}.safetensors", "ids-*.safetensors"
COUNTS = ("tokens", "documents", "words", "characters", "bytes")
SHARD_TOKENS = 32 << 20
HEADER_BYTES = 512
MAX_LISTED_FILES = 10_000  # of one input; beyond that its documents are not counted by file


@dataclass(frozen=True)
class TokenStore:
    """An opened and verified token store."""

    path: Path
    ids: IdSequence
    vocabulary: Vocabulary
    description: dict[str, Any]

    @property
    def file_documents(self) -> list[int]:
        """The number of documents in each encoded file; an input without counts by file is taken as one file."""
        return [
            count
            for one in self.description["inputs"]
            for count in (one["files"] if _are_parts(one) else [one["documents"]])
        ]

    @property
    def counts(self) -> TextCounts:
        """How much text was encoded."""
        return TextCounts(**{name: self.description[name] for name in COUNTS if name != "tokens"})

    @property
    def sha256(self) -> str:
        """The hash of the text that was encoded."""
        return str(self.description["input_sha256"])

    def check_vocabulary(self, vocabulary: Vocabulary, mend: str) -> None:
        """InputError, ending with `mend`, unless the store was encoded with this vocabulary."""
        if self.vocabulary.sha256 != vocabulary.sha256:
            raise InputError(f"{self.path} was encoded with another vocabulary than {vocabulary.name}: {mend}")


def write_store(path: Path, vocabulary: Vocabulary, source: TextSource) -> dict[str, Any]:
    """Encode a source into a token store at `path`, atomically, and return its description."""
    with atomic_directory(path) as aside:
        (aside / VOCABULARY).write_bytes(vocabulary.model)
        return _add(aside, vocabulary, source, shards=[], inputs=[])


def append_to_store(path: Path, vocabulary: Vocabulary, source: TextSource) -> dict[str, Any]:
    """Encode a source into further shards of the store at `path`, atomically, and return its description.

    InputError if the store has another vocabulary, SeqtoolError while another process appends to it.
    """
    if not is_store(path):
        raise InputError(f"{path} is not a token store to append to: leave --append out to make one")
    with locked(path):
        remove_strays(path)
        store = open_store(path, verify=False)
        store.check_vocabulary(vocabulary, "give --vocab its own")
        try:
            return _add(path, vocabulary, source, store.description["shards"], store.description["inputs"])
        finally:
            count = len(read_json(path / DESCRIPTION)["shards"])
            named = {SHARD.format(number) for number in range(count)}  # never a path from store.json
            for file in path.glob(SHARDS):
                if file.name not in named:
                    file.unlink()


def _add(
    path: Path, vocabulary: Vocabulary, source: TextSource, shards: list[dict[str, Any]], inputs: list[dict[str, Any]]
) -> dict[str, Any]:
    """Write the shards of one more input, and then the description that names them."""
    counts = TextCounts()
    added = _write_shards(path, len(shards), vocabulary, encode_blocks(vocabulary, counted_blocks(source, counts)))
    if not counts.characters:
        raise InputError(f"{source.name} is empty: there is no text to read")
    tokens = sum(shard["tokens"] for shard in added)
    counted = {name: getattr(counts, name) for name in COUNTS if name != "tokens"}
    files = source.file_documents if len(source.file_documents) <= MAX_LISTED_FILES else [counts.documents]
    made = {"files": files, "made_by": provenance()}
    inputs = [*inputs, {"sha256": source.sha256, "tokens": tokens, **counted, **made}]
    hashes = [item["sha256"] for item in inputs]
    description = {
        "format": STORE_FORMAT,
        **{name: sum(item[name] for item in inputs) for name in COUNTS},
        "dtype": vocabulary.dtype.name,
        "shards": [*shards, *added],
        "vocabulary_sha256": vocabulary.sha256,
        "input_sha256": hashes[0] if len(hashes) == 1 else canonical_sha256(hashes),
        "inputs": inputs,
        "made_by": provenance(),
    }
    description["sha256"] = canonical_sha256(description)
    write_json(path / DESCRIPTION, description)
    return description


def _write_shards(path: Path, first: int, vocabulary: Vocabulary, arrays: Iterable[Ids]) -> list[dict[str, Any]]:
    """Write ids, as they come, to shards from number `first` on, flushed to disk, and describe these."""
    shards: list[dict[str, Any]] = []
    shard = _ShardWriter(path, first, vocabulary)
    for array in arrays:
        while len(array):
            taken = array[: SHARD_TOKENS - shard.tokens]
            shard.write(taken)
            array = array[len(taken) :]
            if shard.tokens == SHARD_TOKENS:
                shards.append(shard.close())
                shard = _ShardWriter(path, first + len(shards), vocabulary)
    return [*shards, shard.close()]


class _ShardWriter:
    """Writes one shard: ids as they come, and the header last, so that an incomplete shard is not valid.

    A thread hashes and writes ids while the next are encoded.
    """

    def __init__(self, path: Path, number: int, vocabulary: Vocabulary) -> None:
        self.tokens = 0
        self._vocabulary = vocabulary
        self._digest = hashlib.sha256()
        self._stream = open(path / SHARD.format(number), "wb")
        self._stream.write(bytes(HEADER_BYTES))
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending = self._thread.submit(lambda: None)

    def write(self, ids: Ids) -> None:
        self._pending.result()
        self._pending = self._thread.submit(self._write, np.ascontiguousarray(ids))
        self.tokens += len(ids)

    def _write(self, ids: Ids) -> None:
        self._digest.update(ids.data)
        self._stream.write(ids.data)

    def close(self) -> dict[str, Any]:
        """Write the header, flush all to disk, and describe the shard."""
        self._pending.result()
        self._thread.shutdown()
        with self._stream as stream:
            stream.seek(0)
            stream.write(_shard_header(self._vocabulary, self.tokens, self._digest.hexdigest()))
            stream.flush()
            os.fsync(stream.fileno())
        return {"file": Path(stream.name).name, "tokens": self.tokens, "sha256": self._digest.hexdigest()}


def _shard_header(vocabulary: Vocabulary, tokens: int, sha256: str) -> bytes:
    """The safetensors header of a shard, of HEADER_BYTES, with our metadata."""
    metadata = {
        "format": SHARD_FORMAT,
        "version": SHARD_VERSION,
        "vocabulary_sha256": vocabulary.sha256,
        "tokens": str(tokens),
        "sha256": sha256,
    }
    ids = TensorEntry("ids", DTYPES[vocabulary.dtype.name], (tokens,), 0, tokens * vocabulary.dtype.itemsize)
    return spelled_header([ids], metadata, HEADER_BYTES)


def is_store(path: Path) -> bool:
    """Whether a path looks like a token store."""
    return (path / DESCRIPTION).is_file()


def open_store(path: Path, verify: bool = True) -> TokenStore:
    """Map a token store; InputError if a part is missing, cut short, edited, or of another store.

    With `verify` every shard is read once to check its checksum; without, another process has done that.
    """
    description = read_json(path / DESCRIPTION)
    if description.get("format") != STORE_FORMAT:
        raise InputError(f"{path} is not a token store of this version of seqtool: encode the text again")
    said = description.get("sha256")
    if said != canonical_sha256({name: value for name, value in description.items() if name != "sha256"}):
        raise InputError(f"{path / DESCRIPTION} was edited or damaged: encode the text again")
    vocabulary = load_vocabulary(path / VOCABULARY)
    if vocabulary.sha256 != description.get("vocabulary_sha256"):
        raise InputError(f"{path / VOCABULARY} is not the vocabulary this store was encoded with")
    shards, inputs = (_objects(description.get(name)) for name in ("shards", "inputs"))
    if not shards or not inputs:
        raise InputError(f"{path / DESCRIPTION} lists no shards or no inputs: it was edited")
    if (
        not all(_are_counts(entry) for entry in (description, *inputs))
        or type(description.get("input_sha256")) is not str
    ):
        raise InputError(f"{path / DESCRIPTION} lacks a count of what the store holds: it was edited")
    parts = [_open_shard(path, number, shard, vocabulary, verify) for number, shard in enumerate(shards)]
    if sum(map(len, parts)) != description["tokens"]:
        raise InputError(f"{path / DESCRIPTION} counts other tokens than the shards hold: it was edited")
    return TokenStore(path, JoinedIds(parts), vocabulary, description)


def _objects(value: Any) -> list[dict[str, Any]]:
    """A list of JSON objects; empty for anything else."""
    return value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else []


def _are_counts(entry: dict[str, Any]) -> bool:
    return all(type(entry.get(name)) is int and entry[name] >= 0 for name in COUNTS)


def _are_parts(entry: dict[str, Any]) -> bool:
    """Whether an input has consistent counts of documents by file."""
    files = entry.get("files")
    whole = isinstance(files, list) and all(type(count) is int and count >= 0 for count in files)
    return whole and sum(files) == entry["documents"]  # type: ignore[arg-type]


def _open_shard(path: Path, number: int, shard: dict[str, Any], vocabulary: Vocabulary, verify: bool) -> Ids:
    file = path / SHARD.format(number)  # never a path from store.json
    tokens, sha256 = shard.get("tokens"), shard.get("sha256")
    if type(tokens) is not int or tokens < 0 or type(sha256) is not str or shard.get("file") != file.name:
        raise InputError(f"{path / DESCRIPTION} does not describe {file.name}: it was edited")
    try:
        with open(file, "rb") as stream:
            header = stream.read(HEADER_BYTES)
            if SHARD_FORMAT.encode() not in header:
                raise InputError(f"{file} is not a shard of ids")
            size = HEADER_BYTES + tokens * vocabulary.dtype.itemsize
            if (
                header != _shard_header(vocabulary, tokens, sha256)
                or os.fstat(stream.fileno()).st_size != size
                or (verify and file_sha256(file, HEADER_BYTES) != sha256)
            ):
                raise InputError(f"{file} was cut short or changed since it was written: encode the text again")
        if not tokens:
            return np.empty(0, vocabulary.dtype)
        ids = np.memmap(file, dtype=vocabulary.dtype, mode="r", offset=HEADER_BYTES, shape=(tokens,))
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    if verify and int(ids.max()) >= vocabulary.size:
        raise InputError(f"{file} holds ids that its vocabulary lacks: encode the text again")
    return ids
