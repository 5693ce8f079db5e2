"""The parts in C: their functions as data, and the one place that loads them; and the C library's memory.

A part is compiled when seqtool is installed, where there is a C compiler. Where it was not, `part` is None, and torch
does the same. Which instructions to use a part chooses itself, by the processor that it runs on.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtool.errors import SeqtoolError

Pointer, Count, Real, Words = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_char_p


@dataclass(frozen=True)
class Function:
    """How a function in C is called."""

    result: Any = None
    arguments: tuple[Any, ...] = ()
    refuses: bool = False
    """It returns 0, or the number of one of REFUSALS when it did nothing."""


@dataclass(frozen=True)
class Part:
    """A file in C."""

    layout: int
    """Changes with every change of its structures and of its functions' arguments; the file says the same."""
    functions: dict[str, Function]


@dataclass(frozen=True)
class PartReport:
    """What became of a part here."""

    loaded: bool
    why_not: str | None
    """None where it is loaded; the others are None where it is not."""
    openmp: bool | None
    """Whether it computes in several threads."""
    instructions: str | None
    """That it uses on this processor."""

    def __str__(self) -> str:
        if not self.loaded:
            return f"not loaded: {self.why_not}"
        return f"loaded, {'with' if self.openmp else 'without'} OpenMP, {self.instructions}"


IN_EVERY_PART = {
    "seqtool_layout": Function(Count),
    "seqtool_has_openmp": Function(Count),
    "seqtool_instructions": Function(Words),
}
PARTS = {
    "step": Part(
        layout=4,
        functions={
            "seqtool_scratch": Function(Count, (Pointer, Pointer)),
            "seqtool_product": Function(None, (Pointer, Pointer, Pointer, Pointer, Count, Count, Count)),
            "seqtool_attend": Function(None, (Pointer, Pointer, Pointer, Pointer, Count, Pointer, Pointer, Pointer)),
            "seqtool_blocks": Function(None, (Pointer, Pointer, Pointer, Count, Pointer, Pointer, Pointer)),
            "seqtool_state_scratch": Function(Count, (Pointer, Pointer, Count)),
            "seqtool_state_blocks": Function(Count, (Pointer, Pointer, Pointer, Pointer, Pointer, Count, Pointer)),
        },
    ),
    "softmax": Part(
        layout=2,
        functions={
            "seqtool_cross_entropy": Function(None, (Pointer, Pointer, Pointer, Count, Count, Count, Count)),
        },
    ),
    "ngrams": Part(
        layout=1,
        functions={
            "seqtool_find_children": Function(None, (Pointer, Pointer, Pointer, Pointer, Pointer, Count)),
        },
    ),
    "mixing": Part(
        layout=1,
        functions={
            "seqtool_gates_read": Function(None, (Pointer, Pointer, Pointer, Count, Pointer, Pointer, Pointer, Count)),
            "seqtool_gates_advance": Function(None, (Pointer, Pointer, Pointer, Count, Count)),
            "seqtool_gates_next": Function(None, (Pointer, Pointer, Pointer, Pointer, Pointer)),
        },
    ),
    "recurrence": Part(
        layout=2,
        functions={
            "seqtool_recurrence_has_bf16": Function(Count),
            "seqtool_recurrence_scratch": Function(Count, (Pointer,)),
            "seqtool_recurrence_kept": Function(Count, (Pointer, Count)),
            "seqtool_recurrence_forward": Function(Count, (Pointer, Count), refuses=True),
            "seqtool_recurrence_backward": Function(Count, (Pointer, Count), refuses=True),
        },
    ),
    "scan": Part(
        layout=2,
        functions={
            "seqtool_scan_forward": Function(None, (Pointer,)),
            "seqtool_scan_backward": Function(None, (Pointer,)),
            "seqtool_convolve": Function(None, (Pointer,)),
            "seqtool_convolve_backward": Function(None, (Pointer,)),
            "seqtool_gate": Function(None, (Pointer,)),
            "seqtool_gate_backward": Function(None, (Pointer,)),
        },
    ),
    "delta": Part(
        layout=1,
        functions={
            "seqtool_delta_scratch": Function(Count, (Pointer,)),
            "seqtool_delta_kept": Function(Count, (Pointer,)),
            "seqtool_delta_forward": Function(None, (Pointer,)),
            "seqtool_delta_backward": Function(None, (Pointer,)),
        },
    ),
    "skipgram": Part(
        layout=5,
        functions={
            "seqtool_block_floats": Function(Count, (Pointer, Count)),
            "seqtool_steps": Function(Count, (Pointer, Pointer, Count, Count, Pointer, Pointer)),
            "seqtool_predict": Function(None, (Pointer, Pointer, Count, Pointer, Count, Real, Pointer, Count, Pointer)),
        },
    ),
}
REFUSALS = {
    1: "a recurrent layer in bf16 takes AVX512-BF16 instructions, and this processor, or the compiler that seqtool was "
    "installed with, does not have them: use fp32",
}


def part(name: str) -> ctypes.CDLL | None:
    """The library of one of PARTS, its functions ready to be called; None where it was not loaded."""
    return _load(name)[0]


def describe() -> dict[str, PartReport]:
    """What became of each of PARTS, by name."""
    return {name: _report(*_load(name)) for name in PARTS}


def _report(library: ctypes.CDLL | None, why_not: str) -> PartReport:
    if library is None:
        return PartReport(False, why_not, None, None)
    return PartReport(True, None, bool(library.seqtool_has_openmp()), library.seqtool_instructions().decode())


@functools.cache
def _load(name: str) -> tuple[ctypes.CDLL | None, str]:
    """The library and nothing, or None and why."""
    path = _file(name)
    if path is None:
        return None, "not built: install seqtool again where there is a C compiler"
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        return None, f"refused by the loader: {error}"
    layout = library.seqtool_layout() if hasattr(library, "seqtool_layout") else None
    if layout != PARTS[name].layout:
        return None, f"built from other code, layout {layout} instead of {PARTS[name].layout}: install seqtool again"
    for function, declared in {**IN_EVERY_PART, **PARTS[name].functions}.items():
        _declare(getattr(library, function), declared)
    return library, ""


def _file(name: str) -> Path | None:
    """Where the part was built."""
    paths = (Path(__file__).with_name(f"_{name}{suffix}") for suffix in importlib.machinery.EXTENSION_SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _declare(function: Any, declared: Function) -> None:
    function.restype, function.argtypes = declared.result, declared.arguments
    if declared.refuses:
        function.errcheck = _raise_refusal


def _raise_refusal(result: int, function: Any, arguments: Any) -> None:
    """SeqtoolError where a function returned that it did nothing; ctypes calls this after each call of one that may."""
    if result:
        raise SeqtoolError(REFUSALS[result])


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
