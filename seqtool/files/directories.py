"""A directory, or a library's file, that takes its name when what matters is in it: built aside, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqtool.errors import SeqtoolError
from seqtool.files.writing import cannot_write, locked, remove_strays, replace_directory, sync_directory


@contextmanager
def built_aside(path: Path) -> Iterator[Path]:
    """A new directory beside `path`, locked, for a run to begin in; removed at the end if it did not take its name."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_strays(path.parent, path.name)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    except OSError as error:
        raise cannot_write(path, error) from error
    with locked(folder):
        try:
            folder.chmod(0o755)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # it is not there when the run took its name


def publish(folder: Path, path: Path, replace: bool) -> None:
    """Give a directory built aside its name, with `replace` in place of what has it.

    SeqtoolError when another process took the name meanwhile.
    """
    if replace:
        replace_directory(folder, path)
        return
    try:
        os.rename(folder, path)  # fails where a directory lies that is not empty
    except OSError as error:
        raise SeqtoolError(f"cannot make {path}: {error.strerror}; name another with -o") from error


@contextmanager
def file_built_aside(path: Path) -> Iterator[Path]:
    """Where a library that opens its files itself writes one; it takes the name `path` when the block ends well.

    SeqtoolError when it cannot be written.
    """
    with built_aside(path) as folder:
        file = folder / path.name
        try:
            yield file
            with open(file, "rb") as stream:
                os.fsync(stream.fileno())
            os.replace(file, path)
        except OSError as error:
            raise cannot_write(path, error) from error
        sync_directory(path.parent)
