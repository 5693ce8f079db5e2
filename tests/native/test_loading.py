from __future__ import annotations

import ctypes
import dataclasses
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from seqtool.errors import SeqtoolError
from seqtool.models import recurrence
from seqtool.native import loading
from seqtool.native.loading import IN_EVERY_PART, PARTS, Count, Pointer, Real, Words, describe, part
from tests.conftest import ROOT

NATIVE = ROOT / "seqtool" / "native"
EVERY = pytest.mark.parametrize("name", PARTS)
DEFINITION = re.compile(r"^(void|int64_t|const char \*) ?(seqtool_\w+)\(([^)]*)\) \{", re.MULTILINE)
TYPES = {"void": None, "int64_t": Count, "float": Real, "const char *": Words}
CPUINFO = Path("/proc/cpuinfo")

FAULTS = """
import resource, torch
from seqtool.native.loading import keep_freed_memory
keep_freed_memory()
def step():
    held = [torch.ones(size) for size in range(30_000, 900_001, 30_000)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in which the parts are looked for, each time anew."""
    monkeypatch.setattr(loading, "__file__", str(tmp_path / "loading.py"))
    monkeypatch.setattr(loading, "_load", loading._load.__wrapped__)
    return tmp_path


def functions_in_c(name: str) -> dict[str, tuple]:
    """Result and arguments of what a part exports, from its source."""
    source = "".join((NATIVE / file).read_text() for file in ("native.h", f"{name}.c"))
    found = {}
    for result, function, arguments in DEFINITION.findall(source):
        written = [argument.strip() for argument in arguments.split(",") if argument.strip() != "void"]
        kinds = [Pointer if "*" in argument else TYPES[argument.rsplit(" ", 1)[0]] for argument in written]
        found[function] = (TYPES[result], tuple(kinds))
    return found


@EVERY
def test_every_function_is_declared_as_it_is_written(name: str):
    declared = {**IN_EVERY_PART, **PARTS[name].functions}
    assert {function: (of.result, of.arguments) for function, of in declared.items()} == functions_in_c(name)
    assert re.findall(r"LAYOUT = (\d+)", (NATIVE / f"{name}.c").read_text()) == [str(PARTS[name].layout)]


@EVERY
def test_a_loaded_part_has_its_functions_declared(name: str):
    library = part(name)
    if library is None:
        pytest.skip("was not compiled")
    for function, of in PARTS[name].functions.items():
        loaded = getattr(library, function)
        assert (loaded.restype, loaded.argtypes) == (of.result, of.arguments)
        assert (loaded.errcheck is not None) == of.refuses
    report = describe()[name]
    assert (report.loaded, report.why_not) == (True, None)
    assert report.instructions


@EVERY
def test_a_part_that_was_not_built_is_none_and_said_to_be(name: str, elsewhere: Path):
    assert part(name) is None
    report = describe()[name]
    assert (report.loaded, report.openmp, report.instructions) == (False, None, None)
    assert "not built" in report.why_not


def test_a_file_that_the_loader_refuses_is_none_with_its_message(elsewhere: Path):
    (elsewhere / "_step.so").write_bytes(b"a part of another machine")
    assert part("step") is None
    assert re.match(r"refused by the loader: .*_step\.so: ", describe()["step"].why_not)


@EVERY
def test_a_part_that_was_built_from_other_code_is_none(name: str, monkeypatch: pytest.MonkeyPatch):
    if part(name) is None:
        pytest.skip("was not compiled")
    layout = PARTS[name].layout
    monkeypatch.setitem(PARTS, name, dataclasses.replace(PARTS[name], layout=layout + 1))
    monkeypatch.setattr(loading, "_load", loading._load.__wrapped__)
    assert part(name) is None
    assert f"layout {layout} instead of {layout + 1}" in describe()[name].why_not


def build_recurrence(folder: Path, *flags: str) -> None:
    """recurrence.c with the headers that are in the folder, as the part that is looked for there."""
    compiler = shutil.which("cc") or pytest.skip("there is no C compiler")
    command = [
        compiler,
        "-O0",
        "-w",
        "-Wno-psabi",
        "-fPIC",
        "-shared",
        *flags,
        "recurrence.c",
        "-o",
        "_recurrence.so",
        "-lm",
    ]
    subprocess.run(command, cwd=folder, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("lacking", ["processor", pytest.param("compiler", marks=pytest.mark.slow)])
def test_bf16_is_refused_without_its_instructions_and_nothing_is_written(lacking: str, elsewhere: Path):
    for file in NATIVE.glob("*.[ch]"):
        source = file.read_text()
        source = source.replace("#define COMPILES_BF16\n", "") if lacking == "compiler" else source
        (elsewhere / file.name).write_text(source)
    build_recurrence(elsewhere, *["-D__builtin_cpu_supports(name)=0"] * (lacking == "processor"))
    library = part("recurrence")
    assert library.seqtool_recurrence_has_bf16() == 0
    assert "bf16" not in describe()["recurrence"].instructions
    assert not recurrence.multiplies.__wrapped__(torch.bfloat16)
    assert recurrence.multiplies.__wrapped__(torch.float32)

    x, W_hh = torch.randn(2, 3, 4 * 16), torch.randn(4 * 16, 16)
    given = ("lstm", False, x, None, W_hh, None, (torch.zeros(2, 16), torch.zeros(2, 16)))
    y_BTH, _ = recurrence.run(*given, torch.float32)
    assert y_BTH.isfinite().all()
    layer = recurrence._layer("lstm", False, x, 2, 3, 16)
    written = torch.full((2, 3, 4 * 16), 7.0, dtype=torch.bfloat16)
    before = dict.fromkeys(("h_before", "c_before", "h_after", "c_after"), torch.zeros(2, 16))
    kept = torch.zeros(library.seqtool_recurrence_kept(ctypes.addressof(layer), 0), dtype=torch.uint8)
    for name in ("forward", "backward"):
        with pytest.raises(SeqtoolError, match="AVX512-BF16 instructions"):
            recurrence._call(layer, name, 1, x=x, W_hh=W_hh, y=written, dhidden=written, kept=kept, **before)
    assert (written == 7).all()
    with pytest.raises(SeqtoolError, match="use fp32"):
        recurrence.run(*given, torch.bfloat16)


@pytest.mark.skipif(not CPUINFO.exists() or "flags" not in CPUINFO.read_text(), reason="processors of Linux on x86")
def test_bf16_is_there_where_the_processor_has_it():
    library = part("recurrence")
    if library is None:
        pytest.skip("was not compiled")
    flags = re.search(r"^flags\s*: (.*)$", CPUINFO.read_text(), re.MULTILINE)[1].split()
    assert bool(library.seqtool_recurrence_has_bf16()) == ("avx512_bf16" in flags)
    assert ("avx512bf16" in describe()["recurrence"].instructions) == ("avx512_bf16" in flags)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_memory_that_is_freed_serves_again():
    """Ten times 56 MB in pieces are asked for; given back in between, each time costs thousands of page faults."""
    ran = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, cwd=ROOT, check=True)
    assert int(ran.stdout) < 10 * 56_000_000 / resource.getpagesize() / 10
