"""Reading what gzip, bzip2, xz or zstd compressed, as it arrives, in memory of one size.

What a file is, its first bytes say, not its name, so that a pipe is read as a file is.
"""

from __future__ import annotations

import bz2
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
XZ, ZSTD = b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"


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
    try:
        yield from _members(head, arriving, begin)
    except EOFError:
        raise InputError(f"{name} was cut short: what {program} compressed ends too early; get it whole") from None
    except (OSError, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{name} is damaged: {program} cannot have written it ({error}); get it anew") from error
    except ImportError as error:
        raise InputError(
            f"{name} is compressed by zstd: pip install 'seqtool[zstd]', or give its text by zstd -dc"
        ) from error
    except Exception as error:
        if type(error).__name__ != "ZstdError":
            raise
        raise InputError(f"{name} is damaged: {program} cannot have written it ({error}); get it anew") from error


def _may_become_packed(head: bytes) -> bool:
    """Whether more bytes may make a mark of these."""
    return any(mark.startswith(head) for mark in (GZIP, *BZIP2, XZ, ZSTD))


def _members(data: bytes, arriving: Iterator[bytes], begin: Callable[[], Any]) -> Iterator[bytes]:
    """The text of the parts that lie one after the other; zeros between and behind them are padding."""
    while True:
        member = begin()
        while not member.eof:
            if member.needs_input and not data:
                data = next(arriving, b"")
                if not data:
                    raise EOFError
            text = member.decompress(data, PIECE_BYTES)
            data = b""
            if text:
                yield text
        data = member.unused_data.lstrip(b"\0")
        while not data:
            more = next(arriving, b"")
            if not more:
                return
            data = more.lstrip(b"\0")
