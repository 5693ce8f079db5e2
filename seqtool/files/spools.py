"""What is too large for memory waits in unnamed temporary files: nothing is left behind, however the process ends."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from seqtool.errors import SeqtoolError

HELD_BYTES = 1 << 16  # what is not worth a temporary file
BLOCK_BYTES = 1 << 20
PREFIX = "seqtool-"


class Spool:
    """Bytes that grow at their end: the first `held_bytes` in memory, more than that in an unnamed temporary file.

    `what` they are is said when there is no room for them.
    """

    def __init__(self, what: str, held_bytes: int = HELD_BYTES) -> None:
        self._what, self._held_bytes = what, held_bytes
        self._held = bytearray()
        self._file: IO[bytes] | None = None

    def append(self, part: bytes | npt.NDArray[Any]) -> None:
        """Add bytes, or those of an array; SeqtoolError when there is no room for them."""
        content = part.data if isinstance(part, np.ndarray) else memoryview(part)
        if self._file is None and len(self._held) + content.nbytes <= self._held_bytes:
            self._held += content
            return
        with room_for(self._what):
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix=PREFIX)
                self._file.write(self._held)
                self._held = bytearray()
            self._file.write(content)

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """All bytes from the beginning, `size` at a time; nothing may be added until they are read."""
        if self._file is None:
            yield from (bytes(self._held[start : start + size]) for start in range(0, len(self._held), size))
            return
        with room_for(self._what):
            self._file.seek(0)
        while block := self._file.read(size):
            yield block

    def mapped(self, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """All bytes as an array, read from the file when it is looked at; nothing may be added after it."""
        if self._file is None:
            return np.frombuffer(self._held, dtype)
        with room_for(self._what):
            self._file.flush()
        return np.memmap(self._file, dtype, mode="r")


def spooled_copy(source: IO[bytes], what: str) -> IO[bytes]:
    """What is left of a stream, copied to an unnamed temporary file that can be read more than once."""
    with room_for(what):
        copy = tempfile.TemporaryFile(prefix=PREFIX)
    while block := source.read(BLOCK_BYTES):
        with room_for(what):
            copy.write(block)
    with room_for(what):
        copy.seek(0)
    return copy


@contextlib.contextmanager
def temporary_folder(what: str) -> Iterator[str]:
    """A directory for what a library reads by name, gone when the block ends; SeqtoolError when there is no room."""
    with room_for(what):
        folder = tempfile.TemporaryDirectory(prefix=PREFIX)
    with folder as name:
        yield name


@contextlib.contextmanager
def room_for(what: str) -> Iterator[None]:
    """SeqtoolError, with the mend, in place of an OSError of the block, which writes temporary files."""
    try:
        yield
    except OSError as error:
        where = tempfile.tempdir or "a temporary file"  # which is known once one was made
        raise SeqtoolError(f"cannot keep {what} in {where}: {error.strerror or error}; set TMPDIR") from error
