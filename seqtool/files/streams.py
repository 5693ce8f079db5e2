"""Reading files and standard input as bytes and as UTF-8, as they arrive."""

from __future__ import annotations

import codecs
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from seqtool.errors import InputError
from seqtool.files.columnar import HEAD_BYTES as COLUMNAR_HEAD
from seqtool.files.columnar import columnar_kind, json_lines
from seqtool.files.marks import refuse_marked
from seqtool.files.unpacking import HEAD_BYTES, packed_by, unpacked

READ_BYTES = 1 << 18
BYTE_ORDER_MARK = "\ufeff"


def stream_name(path: str) -> str:
    """The name of a file or of standard input in messages."""
    return "standard input" if path == "-" else path


def open_bytes(path: str) -> IO[bytes]:
    """Open a file, or standard input for `-`, for reading; InputError when that fails."""
    if path == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed: give it some text, or name a file")
        return sys.stdin.buffer
    try:
        stream = open(path, "rb")
        if stat.S_ISDIR(os.fstat(stream.fileno()).st_mode):  # pragma: no cover - open refuses on every system we know
            raise InputError(f"{path} is a directory: name the files in it")
        return stream
    except IsADirectoryError as error:
        raise InputError(f"{path} is a directory: name the files in it") from error
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: check the name") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def chunks_of(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """The bytes of a stream as they arrive; InputError when reading fails."""
    read = getattr(stream, "read1", stream.read)  # returns what has arrived, without waiting for a full buffer
    while True:
        try:
            chunk = read(READ_BYTES)
        except OSError as error:
            raise InputError(f"cannot read {name}: {error.strerror}") from error
        if not chunk:
            return
        yield chunk


def text_chunks(stream: IO[bytes], path: str, columns: Sequence[str] | None = None) -> Iterator[bytes]:
    """The bytes of text in a stream as they arrive, decompressed where they were compressed.

    A Parquet or Arrow file gives its rows as JSON lines, of these `columns`; where they are none, it is no text.
    InputError when they cannot be read, or begin like a file of another kind than text.
    """
    name = stream_name(path)
    if columns is not None and (kind := _columnar(stream)):
        return json_lines(stream, name, kind, columns or None)
    return refuse_marked(unpacked(chunks_of(stream, name), name), name, path)


def _columnar(stream: IO[bytes]) -> str:
    """Whether a file that can be sought in is Parquet or Arrow, and which; it is then at its beginning again."""
    if not stream.seekable() or not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        return ""
    head = stream.read(COLUMNAR_HEAD)
    stream.seek(-len(head), os.SEEK_CUR)
    return columnar_kind(head)


def is_packed(stream: IO[bytes]) -> bool:
    """Whether what a regular file holds is compressed; it is then at its beginning again."""
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    return packed_by(head) is not None


def decode_utf8(chunks: Iterable[bytes], name: str, errors: str = "strict") -> Iterator[str]:
    """Decode UTF-8 as it arrives, without a byte-order mark.

    At the first byte that is not UTF-8 the text before it is yielded, and then InputError names the byte.
    """
    pending, offset, first = b"", 0, True
    for chunk, final in _with_last(chunks):
        data = pending + chunk
        try:
            text, used = codecs.utf_8_decode(data, errors, final)
        except UnicodeDecodeError as error:
            yield codecs.utf_8_decode(data[: error.start])[0].removeprefix(BYTE_ORDER_MARK if first else "")
            binary = b"\0" in data
            kind = "a binary file, not text" if binary else "not UTF-8"
            mend = "give text" if binary else "convert it, or read it with --errors replace"
            raise InputError(
                f"{name} is {kind}: byte {data[error.start]:#04x} at offset {offset + error.start} is not valid UTF-8; "
                f"{mend}"
            ) from error
        pending, offset = data[used:], offset + used
        if first and text:
            text, first = text.removeprefix(BYTE_ORDER_MARK), False
        if text:
            yield text


def is_regular(path: str) -> bool:
    """Whether reading a path never waits for another process, as a pipe's does."""
    return path != "-" and (not os.path.exists(path) or stat.S_ISREG(os.stat(path).st_mode) or os.path.isdir(path))


def _with_last(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    for chunk in chunks:
        yield chunk, False
    yield b"", True
