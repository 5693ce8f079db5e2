from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from seqtool.errors import SeqtoolError
from seqtool.files.spools import HELD_BYTES, Spool, room_for, spooled_copy, temporary_folder

resource = pytest.importorskip("resource", reason="needs a limit on the size of files")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk that is full after so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("held_bytes", [0, 1, 9, HELD_BYTES])
def test_a_spool_gives_back_what_was_added(held_bytes: int):
    spool = Spool("parts", held_bytes)
    for part in (b"ab", b"", b"cdefgh", np.array([1, 2], "<u2"), b"i" * 20):
        spool.append(part)
    content = b"abcdefgh\1\0\2\0" + b"i" * 20
    for size in (1, 7, 1 << 20):
        assert b"".join(spool.blocks(size)) == content
        assert all(len(block) == size for block in list(spool.blocks(size))[:-1])
    assert spool.mapped(np.uint8).tobytes() == content
    assert spool.mapped("<u4").tolist() == np.frombuffer(content, "<u4").tolist()


def test_a_spool_without_anything():
    spool = Spool("parts")
    assert list(spool.blocks()) == []
    spool.append(np.empty(0, np.int64))
    assert spool.mapped(np.int64).tolist() == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files")
def test_what_is_short_takes_no_file_and_what_is_long_an_unnamed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before, spool = open_files(), Spool("parts")
    spool.append(np.zeros(HELD_BYTES // 8))
    assert open_files() == before
    longer = Spool("parts")
    longer.append(np.zeros(HELD_BYTES // 8 + 1))  # which is more bytes than numbers
    assert open_files() == before + 1
    del longer
    spool.append(b"1")
    assert open_files() == before + 1
    assert list(tmp_path.iterdir()) == []
    mapped = spool.mapped(np.uint8)
    del spool
    assert (len(mapped), mapped[-1]) == (HELD_BYTES + 1, ord("1"))


def test_a_stream_is_copied_from_where_it_is_and_can_be_read_twice():
    source = io.BytesIO(b"read before" + bytes(3 << 20) + b"end")
    source.seek(len(b"read before"))
    copy = spooled_copy(source, "standard input")
    assert copy.tell() == 0
    for _ in range(2):
        copy.seek(0)
        assert copy.read() == bytes(3 << 20) + b"end"
    assert os.fstat(copy.fileno()).st_size == (3 << 20) + 3


def test_a_temporary_folder_goes_with_what_is_in_it():
    with temporary_folder("rules") as folder:
        Path(folder, "rules").write_text("x")
    assert not Path(folder).exists()


def test_where_there_is_no_room_is_said_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told = f"cannot keep %s in {tmp_path}: File too large; set TMPDIR"
    spool = Spool("a line")
    with files_of_at_most(1 << 17):
        spool.append(bytes(1 << 17))
        with pytest.raises(SeqtoolError) as refused:
            spool.append(bytes(1 << 15))
        assert str(refused.value) == told % "a line"
        ids = Spool("ids", 0)
        ids.append(bytes(1 << 17))
        ids.append(b"1")  # which waits to be written
        with pytest.raises(SeqtoolError) as refused:
            ids.mapped(np.uint8)
        assert str(refused.value) == told % "ids"
        with pytest.raises(SeqtoolError) as refused:
            spooled_copy(io.BytesIO(bytes(1 << 18)), "standard input")
        assert str(refused.value) == told % "standard input"


def test_where_no_directory_is_for_temporary_files_is_said_with_the_mend(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    for make in (lambda: Spool("ids", 0).append(b"x"), lambda: temporary_folder("rules").__enter__()):
        with pytest.raises(SeqtoolError, match="in /nowhere: No such file or directory; set TMPDIR"):
            make()
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(SeqtoolError, match="in a temporary file: No usable directory; set TMPDIR"), room_for("ids"):
        raise FileNotFoundError(2, "No usable directory")
