from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from seqtool.errors import BusyError, InputError, SeqtoolError, UsageError
from seqtool.files.writing import (
    LOCK_MARK,
    atomic_directory,
    atomic_writer,
    file_sha256,
    is_being_written,
    locked,
    read_json,
    read_small_file,
    read_toml,
    refuse_directory,
    remove_strays,
    reserved,
)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "result"
    path.write_text("good")
    with pytest.raises(RuntimeError), atomic_writer(path) as stream:  # noqa: PT012
        stream.write(b"half")
        raise RuntimeError
    assert path.read_text() == "good"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_appears_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "store"
    with pytest.raises(RuntimeError), atomic_directory(path) as aside:  # noqa: PT012
        (aside / "part").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    for content in ("one", "two"):
        with atomic_directory(path) as aside:
            (aside / "part").write_text(content)
        assert (path / "part").read_text() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    with pytest.raises(SeqtoolError, match="cannot write"), atomic_writer(tmp_path / "missing" / "file"):
        pass


def test_broken_json_and_large_files_are_refused(tmp_path: Path):
    path = tmp_path / "config.json"
    for content in ("{", "[1]", '{"a": ' + "[" * 100_000):
        path.write_text(content)
        with pytest.raises(InputError):
            read_json(path)
    path.write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="larger than 10 bytes"):
        read_small_file(path, 10)


def test_only_strays_of_that_very_name_are_removed(tmp_path: Path):
    for name in (
        ".book.abcdefgh.partial",
        ".book.store.abcdefgh.partial",
        ".book.run.abcdefgh.replaced",
        ".bookish",
        ".book.x.partial",
    ):
        (tmp_path / name).mkdir()
    remove_strays(tmp_path, "book")
    assert {path.name for path in tmp_path.iterdir()} == {
        ".book.store.abcdefgh.partial", ".book.run.abcdefgh.replaced", ".bookish", ".book.x.partial",
    }  # fmt: skip


def test_a_directory_that_is_being_written_stays(tmp_path: Path):
    with atomic_directory(tmp_path / "store") as aside:
        remove_strays(tmp_path, "store")
        assert aside.is_dir()
    assert (tmp_path / "store").is_dir()


def test_a_name_is_one_process_s_and_nothing_is_left_of_that(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "result"
    with reserved(path):
        with pytest.raises(BusyError, match="another process"), reserved(path):
            pass
        with reserved(path.with_name("other")):
            pass
    assert list(tmp_path.iterdir()) == []
    with reserved(path):
        path.mkdir()
    assert [found.name for found in path.parent.iterdir()] == ["result"]


def test_a_lock_whose_file_was_removed_while_it_was_waited_for_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Between opening and locking it, its holder may have removed it, and a third made another."""
    path, real = tmp_path / "result", fcntl.flock
    lock = tmp_path / ".result.lock"

    def slow(handle: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        lock.unlink()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    with reserved(path):
        assert lock.exists()
        with pytest.raises(BusyError), reserved(path):
            pass


def test_locks_of_killed_processes_are_removed_and_no_others(tmp_path: Path):
    (tmp_path / ".killed.lock").write_bytes(LOCK_MARK)
    foreign = {".empty.lock": b"", ".theirs.lock": b"42\n", ".longer.lock": LOCK_MARK + b"x", "no.lock": LOCK_MARK}
    for name, content in foreign.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / ".folder.lock").mkdir()
    with reserved(tmp_path / "other"), reserved(tmp_path / "result"):
        locks = {path.name for path in tmp_path.iterdir()}
        assert locks == {*foreign, ".folder.lock", ".other.lock", ".result.lock"}
    assert {path.name for path in tmp_path.iterdir()} == {*foreign, ".folder.lock"}


def test_a_file_that_has_the_name_of_a_lock_is_not_written_into(tmp_path: Path):
    (other := tmp_path / "other").write_text("important")
    (tmp_path / ".result.lock").symlink_to(other)
    with reserved(tmp_path / "result"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert other.read_text() == "important"


def test_a_name_whose_lock_is_looked_at_by_another_process_for_a_moment_is_not_busy(tmp_path: Path):
    (lock := tmp_path / ".result.lock").write_bytes(LOCK_MARK)
    handle = os.open(lock, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    removing = threading.Timer(0.03, lambda: (lock.unlink(), os.close(handle)))
    removing.start()
    with reserved(tmp_path / "result"):
        removing.join()
        assert lock.exists()


def test_a_lock_that_another_user_left_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It may be read, not written, and in a directory like /tmp not removed."""
    (lock := tmp_path / ".result.lock").write_bytes(LOCK_MARK)
    opened, unlink = os.open, Path.unlink

    def denied(name: Path, flags: int, *mode: int) -> int:
        if name == lock and flags & os.O_ACCMODE != os.O_RDONLY:
            raise PermissionError
        return opened(name, flags, *mode)

    def kept(name: Path, missing_ok: bool = False) -> None:
        if name == lock:
            raise PermissionError
        unlink(name, missing_ok)

    monkeypatch.setattr(os, "open", denied)
    monkeypatch.setattr(Path, "unlink", kept)
    for _ in range(2):
        with reserved(tmp_path / "result"), pytest.raises(BusyError), reserved(tmp_path / "result"):
            pass
    assert lock.read_bytes() == LOCK_MARK


def test_a_directory_that_another_process_writes_is_not_replaced(tmp_path: Path):
    path = tmp_path / "store"
    path.mkdir()
    (path / "store.json").write_text("{}")
    with locked(path):
        with pytest.raises(BusyError):
            refuse_directory(path, force=True)
        with pytest.raises(BusyError), atomic_directory(path):
            pass
    assert (path / "store.json").exists()
    with pytest.raises(UsageError, match="is a file, not a directory"):
        refuse_directory(path / "store.json" / "below" / "it", force=True)


@pytest.mark.parametrize(
    "line", ["a" + ".a" * 40_000 + " = 1", "[" + "a." * 40_000 + "a]", "x = {" + "a." * 30_000 + "a = 1}"]
)
def test_a_key_of_many_parts_is_refused_at_once(tmp_path: Path, line: str):
    """tomllib takes the square of their number."""
    (tmp_path / "settings.toml").write_text(f"steps = 3\n{line}\n")
    began = time.monotonic()
    with pytest.raises(InputError, match=r"settings[.]toml"):
        read_toml(tmp_path / "settings.toml")
    assert time.monotonic() - began < 1.0
    (tmp_path / "settings.toml").write_text("steps = 3 # 1.5 ... or more\n")
    assert read_toml(tmp_path / "settings.toml") == {"steps": 3}


def test_a_files_hash_is_that_of_its_bytes(tmp_path: Path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
    assert file_sha256(tmp_path / "file", 9) == hashlib.sha256(content[9:]).hexdigest()
    (tmp_path / "empty").touch()
    assert file_sha256(tmp_path / "empty") == hashlib.sha256(b"").hexdigest()
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match=f"cannot read {path}"):
            file_sha256(path)


def test_a_directory_that_is_written_or_about_to_be_replaced_is_known(tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    assert not is_being_written(run)
    with locked(run):
        assert is_being_written(run)
    with reserved(run):
        assert is_being_written(run)
    assert not is_being_written(run)
    assert not is_being_written(tmp_path / "none")
    assert list(tmp_path.iterdir()) == [run]
