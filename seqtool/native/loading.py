"""Finding the parts in C, compiled at the install where there is a C compiler; and the C library's memory."""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
from pathlib import Path


@functools.cache
def compiled(name: str, layout: int) -> ctypes.CDLL | None:
    """The library `name` beside this file; None where it was not compiled, or from other code than this (`layout`)."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"{name}{suffix}")
        if path.is_file():
            try:
                loaded = ctypes.CDLL(str(path))
                loaded.seqtool_layout.restype = ctypes.c_int64
                return loaded if loaded.seqtool_layout() == layout else None
            except (OSError, AttributeError):  # compiled for another machine, or long ago
                return None
    return None


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names of glibc's mallopt(3)
KEPT_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Have the C library keep what this process frees, up to KEPT_BYTES, for its next need.

    By default it gives large pieces back, and the same step of training gets them anew, page by page: for a small model
    that took as long as all the arithmetic. Nothing happens where the library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for name in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
        mallopt(name, KEPT_BYTES)
