"""Finding the parts that are written in C: compiled when seqtool is installed, where there is a C compiler."""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
from pathlib import Path


@functools.cache
def compiled(folder: Path, name: str, layout: int) -> ctypes.CDLL | None:
    """The library `name` in `folder`; None where it was not compiled, or from other code than this (`layout`)."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            try:
                loaded = ctypes.CDLL(str(path))
                loaded.seqtool_layout.restype = ctypes.c_int64
                return loaded if loaded.seqtool_layout() == layout else None
            except (OSError, AttributeError):  # compiled for another machine, or long ago
                return None
    return None
