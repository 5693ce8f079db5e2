"""The one way files are written and checked: aside, flushed to disk, renamed; and read back only when whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from seqtool import __version__
from seqtool.errors import BusyError, InputError, SeqtoolError, UsageError

OUR_MARKS = ("config.json", "store.json")  # a directory with one of these is a run or a token store
MAX_TEXT_CONFIG_BYTES = 4 << 20  # a JSON file of ours is a few kilobytes; a larger one is not ours
MAX_TOML_BYTES, MAX_TOML_DOTS = 64 << 10, 100  # of a file of settings, and in a line of it


def refuse_file(path: Path, force: bool, inputs: Sequence[str] = ()) -> None:
    """UsageError when a file cannot go to `path`: it exists without `force`, is no plain file, or is an input."""
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is not a plain file: name another with -o")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no directory {path.parent}; make it, or name another with -o")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path} cannot be written: {path.parent} is not yours to write in; name another with -o")
    _refuse(path, force, inputs)


def refuse_directory(path: Path, force: bool, inputs: Sequence[str] = ()) -> None:
    """UsageError when a directory cannot become `path`: it exists without `force`, or is not one that seqtool made."""
    if str(path) == "-":
        raise UsageError("-o -: the result is a directory and cannot go to standard output; name one")
    if path.is_dir() and not any(path.iterdir()):
        return
    ours = path.is_dir() and any((path / name).is_file() for name in OUR_MARKS)
    if path.exists() and not ours:
        raise UsageError(f"{path} is not a result of seqtool, so it is not replaced: name another with -o")
    _refuse_below_file(path)
    _refuse(path, force, inputs)
    if path.is_dir():
        with locked(path):  # BusyError when another process writes there
            pass


def _refuse_below_file(path: Path) -> None:
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise UsageError(f"{path} cannot be made: {above} is a file, not a directory; name another with -o")


def _refuse(path: Path, force: bool, inputs: Sequence[str]) -> None:
    if inside := next((name for name in inputs if os.path.isdir(name) and _is_inside(path, Path(name))), None):
        raise UsageError(f"{path} lies in {inside}, which is an input: name another result with -o")
    if not path.exists():
        return
    if any(Path(name).exists() and path.samefile(name) for name in inputs):
        raise UsageError(f"{path} is an input as well: name another result with -o")
    if not force:
        raise UsageError(f"{path} exists already: name another with -o, or give --force to replace it")


def _is_inside(path: Path, folder: Path) -> bool:
    return folder.resolve() in path.resolve().parents


@contextlib.contextmanager
def atomic_writer(path: Path, size: int = 0) -> Iterator[IO[bytes]]:
    """Open a file beside `path`; when the block ends well it is flushed to disk and takes the name `path` at once.

    When the block fails, or the machine does, whatever `path` held before is still there, whole. `size` is how many
    bytes it will have, if known, to be told when the disk is full.
    """
    try:
        handle, aside_name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    except OSError as error:
        raise cannot_write(path, error, size) from error
    aside = Path(aside_name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(aside, 0o666 & ~_umask())
        os.replace(aside, path)
        sync_directory(path.parent)
    except OSError as error:
        raise cannot_write(path, error, size) from error
    finally:
        aside.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError, size: int = 0) -> SeqtoolError:
    """The error for a file that could not be written; of a full disk, with what it needs and has."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return SeqtoolError(f"cannot write {path}: {error.strerror or error}")
    needed = f" needs {size:,} bytes and" if size else ""
    with contextlib.suppress(OSError):
        return SeqtoolError(
            f"cannot write {path}:{needed} its disk has {shutil.disk_usage(path.parent).free:,} free; make room there"
        )
    return SeqtoolError(f"cannot write {path}:{needed} its disk is full; make room there")


STRAY = r"\.{name}\.[a-z0-9_]{{8}}\.(partial|replaced)"
"""What this module names a file or directory that is not whole yet."""


def remove_strays(folder: Path, name: str = "") -> None:
    """Remove what writers that were killed left in `folder`: of the result `name`, or all.

    A directory that a living process still builds is locked, and stays. One that was to be replaced, by a process
    killed at that very instant, gets its name back.
    """
    stray = re.compile(STRAY.format(name=re.escape(name) if name else ".+"))
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not stray.fullmatch(path.name):
            continue
        if not path.is_dir():
            path.unlink(missing_ok=True)
            continue
        with contextlib.suppress(SeqtoolError, OSError), locked(path):
            if path.suffix == ".replaced" and name and not (folder / name).exists():
                path.rename(folder / name)
            else:
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only process that writes into a directory, while the block runs; BusyError when another is.

    The lock goes when the process does, however it ends, and follows the directory when it is renamed.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def is_being_written(path: Path) -> bool:
    """Whether a process writes into the directory `path` (`locked`) or makes another of its name (`reserved`)."""
    for held in (path, *([path.with_name(f".{path.name}.lock")] if path.name else [])):
        try:
            with locked(held):
                pass
        except BusyError:
            return True
        except OSError:
            continue  # it is not there, or not to be read
    return False


LOCK_MARK = b"locked by seqtool while it makes a result of this name\n"
"""What a lock file of ours holds, so that no other program's is taken for one."""
LOCK_TRIES_S = 0.1  # how long a lock is tried for: remove_stale_locks may hold it for a moment


@contextlib.contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Be the only process that makes a result named `path`, while the block runs; BusyError when another does.

    The name is held by a locked file beside it, so it is reserved before there is a result, and given up when the
    process ends, however it does; the file of one that was killed is removed by the next `reserved` in that directory.
    Missing directories above it are made, and removed if they end empty.
    """
    if not path.name:
        raise UsageError(f"{path} has no name of its own to reserve: name the directory from the one above it")
    _refuse_below_file(path)
    made = [parent for parent in path.parents if not parent.exists()]
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _locked_file(lock, path)
    except PermissionError:
        if not path.exists():
            raise cannot_write(path, PermissionError(errno.EACCES, "Permission denied")) from None
        yield  # a result may be written into where nothing may be put beside it
        return
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        remove_stale_locks(path.parent)
        yield
    finally:
        with contextlib.suppress(PermissionError):  # another user's, in a directory where only owners may remove
            lock.unlink(missing_ok=True)
        os.close(handle)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()


def remove_stale_locks(folder: Path) -> None:
    """Remove the lock files that killed processes left in `folder`: those of ours that nobody has locked."""
    for lock in folder.glob(".*.lock"):
        with contextlib.suppress(BusyError, OSError):
            handle = os.open(lock, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            try:
                if os.read(handle, len(LOCK_MARK) + 1) == LOCK_MARK:
                    _lock(handle, lock)
                    if os.path.samestat(os.fstat(handle), os.stat(lock)):
                        lock.unlink()
            finally:
                os.close(handle)


def _locked_file(lock: Path, path: Path) -> int:
    """A handle of the file `lock`, made and locked for the result `path`."""
    until = time.monotonic() + LOCK_TRIES_S
    while True:
        handle, held = _lock_handle(lock), False
        try:
            _lock(handle, path)
            held = os.path.samestat(os.fstat(handle), os.stat(lock))
            if held:
                if not os.fstat(handle).st_size:
                    with contextlib.suppress(OSError):  # without its mark, where the disk is full, it is a lock as well
                        os.write(handle, LOCK_MARK)
                return handle
        except FileNotFoundError:
            pass  # its last holder removed it meanwhile
        except BusyError:
            if time.monotonic() >= until:
                raise
            time.sleep(LOCK_TRIES_S / 10)
        finally:
            if not held:
                os.close(handle)


def _lock_handle(lock: Path) -> int:
    """A handle of the file `lock`, made where it is not there; for reading, which is enough, where it is another user's
    and may not be written.
    """
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        with contextlib.suppress(FileNotFoundError):
            return os.open(lock, os.O_RDONLY)
        raise


def _lock(handle: int, name: Path) -> None:
    if sys.platform == "win32":  # has no such locks
        return
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BusyError(f"{name} is being written by another process: wait for it, or end it") from error


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Give a new directory beside `path`; when the block ends well it becomes `path`, in place of what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    os.chmod(aside, 0o777 & ~_umask())
    try:
        with locked(aside):
            yield aside
            replace_directory(aside, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def replace_directory(new: Path, path: Path) -> None:
    """Rename the directory `new` to `path`; one that was there before goes only after the new one is in place.

    BusyError when another process is writing into that one.
    """
    old = new.with_suffix(".replaced")
    with locked(path) if path.is_dir() else contextlib.nullcontext():
        if path.exists():
            os.rename(path, old)
        try:
            os.rename(new, path)
        except OSError:
            if old.exists():
                os.rename(old, path)
            raise
        sync_directory(path.parent)
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Make renames in `path` survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_writer(path) as stream:
        stream.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; InputError when it is missing, too large, cut short or not an object."""
    try:
        value = json.loads(read_small_file(path))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}): it was cut short or edited") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply to be one of ours") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} does not hold a JSON object: it was edited or is another kind of file")
    return value


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file of settings, in which no key has many parts: tomllib takes the square of their number."""
    content = read_small_file(path, MAX_TOML_BYTES)
    if any(line.count(b".") > MAX_TOML_DOTS for line in content.splitlines()):
        raise InputError(f"{path} has a line of more than {MAX_TOML_DOTS} dots: it is not a file of settings")
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error


def read_small_file(path: Path, limit: int = MAX_TEXT_CONFIG_BYTES) -> bytes:
    """Read a whole file that must not be larger than `limit` bytes."""
    try:
        with open(path, "rb") as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > limit:
        raise InputError(f"{path} is larger than {limit:,} bytes: it is not the kind of file expected here")
    return content


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Path, start: int = 0) -> str:
    """Hexadecimal SHA-256 of a file's bytes from `start` on, read in blocks; InputError when it cannot be read."""
    try:
        with open(path, "rb") as stream:
            stream.seek(start)
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def canonical_sha256(value: Any) -> str:
    """SHA-256 of a JSON value that does not depend on the order of keys."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def provenance() -> dict[str, str]:
    """What made an artifact: the program, its version and the command line."""
    return {"program": "seqtool", "version": __version__, "command": shlex.join(["seqtool", *sys.argv[1:]])}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
