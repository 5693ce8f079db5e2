"""What was compressed is read as it was, however it arrives; what is damaged is refused, whatever it promises."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import lzma
import os
import random
import sys
import time
import zlib
from collections.abc import Callable

import pytest

from seqtool.errors import InputError
from seqtool.files.unpacking import packed_by, unpacked
from tests.conftest import ODD_STRINGS

TEXT = b"".join(b"line %d of a text\n" % (number * number) for number in range(3000))
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
with contextlib.suppress(ImportError):
    PACK["zstd"] = importlib.import_module("backports.zstd").compress


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("program", PACK)
@pytest.mark.parametrize("size", [1, 7, 1 << 18])
def test_it_is_what_was_compressed_in_parts_and_with_padding(program: str, size: int):
    packed = PACK[program](TEXT)
    assert b"".join(unpacked(in_pieces(packed, size), "f")) == TEXT
    several = packed + PACK[program](b"") + PACK[program](TEXT[:50]) + (b"" if program == "zstd" else bytes(64))
    assert b"".join(unpacked(in_pieces(several, size), "f")) == TEXT + TEXT[:50]
    assert packed_by(packed)[0] == program


@pytest.mark.parametrize(
    "text", [b"", b"\x1f", b"B", b"BZh", b"BZh9 is no archive", b"\xfd7", *map(str.encode, ODD_STRINGS)]
)
def test_what_is_not_compressed_passes_as_it_came(text: bytes):
    for size in (1, 1 << 18):
        assert b"".join(unpacked(in_pieces(text, size), "f")) == text


def test_a_line_of_a_pipe_does_not_wait_for_more():
    def chunks():
        yield b"one\n"
        raise AssertionError("read on")

    assert next(unpacked(chunks(), "f")) == b"one\n"


@pytest.mark.parametrize("program", PACK)
def test_what_is_cut_short_or_damaged_is_refused_in_a_sentence(program: str):
    packed = PACK[program](TEXT)
    dice = random.Random(1)
    for _ in range(60):
        end = dice.randrange(12, len(packed) - 1)
        with pytest.raises(InputError, match="cut short"):
            list(unpacked([packed[:end]], "f"))
    refused = 0
    for _ in range(60):
        bad = bytearray(packed)
        for _ in range(8):
            bad[dice.randrange(12, len(bad))] ^= 1 + dice.randrange(255)
        try:
            assert b"".join(unpacked([bytes(bad)], "f")) is not None
        except InputError as error:
            refused += "is damaged" in str(error) or "cut short" in str(error)
    assert refused > 50


@pytest.mark.parametrize("program", PACK)
def test_a_bomb_comes_in_small_pieces(program: str):
    packed = PACK[program](bytes(64 << 20))
    assert len(packed) < 1 << 17
    pieces = unpacked([packed], "f")
    assert all(len(next(pieces)) <= 1 << 18 for _ in range(100))


def test_xz_may_not_ask_for_more_memory_than_there_is():
    header = lzma.compress(b"a text", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 12}])
    changed = bytearray(header)
    changed[16] = 36  # a dictionary of 1 GiB, as xz writes it in the block's header
    block = changed[12:20]
    changed[20:24] = zlib.crc32(bytes(block)).to_bytes(4, "little")
    with pytest.raises(InputError, match="asks for more memory to be opened than it is given: give its text by xz -dc"):
        list(unpacked([bytes(changed)], "f"))


@pytest.mark.parametrize("behind", [b"\n", b"a line\n", b"\0\0\0x", b"\x1fx"])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_what_lies_behind_the_end_is_told_from_what_is_cut_short(pack, behind):
    for chunks in ([pack(b"text\n") + behind], [pack(b"text\n"), behind]):
        with pytest.raises(InputError, match="has bytes behind its end that"):
            list(unpacked(chunks, "f"))


def test_many_small_members_are_read_in_time_that_grows_with_them():
    """As a log to which each line was packed by itself; copying what is left for each took minutes."""
    member, count = gzip.compress(b"a line\n"), 20_000
    data = member * count
    began = time.process_time()
    text = b"".join(unpacked((data[start : start + (1 << 18)] for start in range(0, len(data), 1 << 18)), "f"))
    assert text == b"a line\n" * count
    assert time.process_time() - began < 5


def test_frames_that_are_skipped_may_stand_before_and_between():
    zstd = pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")
    frame, skipped = zstd.compress(b"text\n"), b"\x5a\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    for data in (skipped + frame, skipped + frame + skipped + frame + skipped):
        for size in (1, 3, 1 << 18):
            chunks = [data[start : start + size] for start in range(0, len(data), size)]
            assert b"".join(unpacked(chunks, "f")) == b"text\n" * data.count(frame)


def test_without_zstd_the_mend_is_told(monkeypatch: pytest.MonkeyPatch):
    for name in ("compression", "compression.zstd", "backports", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"pip install 'seqtool\[zstd\]'"):
        list(unpacked([b"\x28\xb5\x2f\xfd" + os.urandom(40)], "f"))
