"""Reading what gzip, bzip2, xz or zstd compressed, as it arrives, in memory of one size.

What a file is, its first bytes say, not its name, so that a pipe is read as a file is.
"""

from __future__ import annotations

import bz2
import itertools
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from seqtool.errors import InputError

HEAD_BYTES = 10  # in which every program's mark lies
PIECE_BYTES = 1 << 18  # of text at once, whatever a few bytes expand to
XZ_MEMORY = 256 << 20  # bytes; xz's largest preset asks for 64 MiB
GZIP = b"\x1f\x8b"
BZIP2 = tuple(b"BZh%d" % level + mark for level in range(1, 10) for mark in (b"1AY&SY", b"\x17rE8P\x90"))
XZ = b"\xfd7zXZ\0"
ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + kind]) + b"\x2a\x4d\x18" for kind in range(16)))  # and frames to skip
LEAST_FED = 1 << 12  # bytes that are given to a member at first, which may end soon, and then twice as many each time
MORE_MEMORY = ("Memory usage limit exceeded", "too much memory")
"""What lzma and zstd say where a file asks for more memory than it is given."""
TO_OPEN = {"gzip": "gzip -dc", "bzip2": "bzip2 -dc", "xz": "xz -dc", "zstd": "zstd -dc --long=31"}


class _Behind(Exception):
    """Something lies behind the end of what was compressed."""


class _Gzip:
    """A member of a gzip file, by the interface of bz2's and lzma's decompressors."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._waiting = b""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        """What lies behind its end."""
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        """Whether all that was given is used."""
        return not self._waiting

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """The next text, at most so many bytes."""
        text = self._inner.decompress(self._waiting + data, max_length)
        self._waiting = self._inner.unconsumed_tail
        return text


def _xz() -> Any:
    return lzma.LZMADecompressor(memlimit=XZ_MEMORY)


def _zstd() -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # of Python 3.14
    except ImportError:
        from backports import zstd  # type: ignore[import-not-found, unused-ignore, no-redef]
    return zstd.ZstdDecompressor()


def packed_by(head: bytes) -> tuple[str, Callable[[], Any]] | None:
    """The program that compressed what begins so, and how a part of it is opened; None for anything else."""
    if head.startswith(GZIP):
        return "gzip", _Gzip
    if head.startswith(BZIP2):
        return "bzip2", bz2.BZ2Decompressor
    if head.startswith(XZ):
        return "xz", _xz
    if head.startswith(ZSTD):
        return "zstd", _zstd
    return None


def unpacked(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The bytes of a stream as they arrive, what was compressed as it was before.

    InputError when that is cut short or damaged, or cannot be opened here.
    """
    arriving, head = iter(chunks), b""
    for chunk in arriving:
        head += chunk
        if len(head) >= HEAD_BYTES or (packed_by(head) is None and not _may_become_packed(head)):
            break
    packed = packed_by(head)
    if packed is None:
        if head:
            yield head
        yield from arriving
        return
    program, begin = packed
    mend = f"give its text by {TO_OPEN[program]}"
    try:
        yield from _members(head, arriving, begin)
    except ImportError as error:
        raise InputError(
            f"{name} is compressed by zstd: pip install 'seqtool[zstd]', or give its text by zstd -dc"
        ) from error
    except _Behind:
        raise InputError(f"{name} has bytes behind its end that {program} did not compress: {mend}") from None
    except EOFError:
        raise InputError(f"{name} was cut short: what {program} compressed ends too early; get it whole") from None
    except Exception as error:
        if not (isinstance(error, (OSError, zlib.error, lzma.LZMAError)) or type(error).__name__ == "ZstdError"):
            raise
        if any(said in str(error) for said in MORE_MEMORY):
            raise InputError(f"{name} asks for more memory to be opened than it is given: {mend}") from None
        raise InputError(f"{name} is damaged: {program} cannot have written it ({error}); get it anew") from error


def _may_become_packed(head: bytes) -> bool:
    """Whether more bytes may make a mark of these."""
    return any(mark.startswith(head) for mark in (GZIP, *BZIP2, XZ, *ZSTD))


def _members(head: bytes, arriving: Iterator[bytes], begin: Callable[[], Any]) -> Iterator[bytes]:
    """The text of the parts that lie one after the other; zeros between and behind them are padding."""
    data, at = head, 0
    for number in itertools.count():
        member, fed, mark = begin(), LEAST_FED, b""
        try:
            while not member.eof:
                given = b""
                if member.needs_input:
                    if at == len(data):
                        data, at = next(arriving, b""), 0
                    given = data[at : at + fed]
                    if not given:
                        raise EOFError
                    at, fed, mark = at + len(given), 2 * fed, (mark + given)[:HEAD_BYTES]
                text = member.decompress(given, PIECE_BYTES)
                if text:
                    yield text
        except GeneratorExit:
            raise
        except Exception as error:
            if number and packed_by(mark) is None and not _may_become_packed(mark):
                raise _Behind from error
            raise
        at -= len(member.unused_data)
        while at == len(data) or not data[at]:
            if at == len(data):
                data, at = next(arriving, b""), -1
                if not data:
                    return
            at += 1
