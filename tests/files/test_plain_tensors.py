"""Files of safetensors that other programs wrote: read as they are, and refused in a sentence where they are damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from seqtool.errors import InputError
from seqtool.files.plain_tensors import read_plain_tensors
from seqtool.files.tensors import TensorEntry


def nothing(entries: list[TensorEntry]) -> None:
    """No check."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_file(
        {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(3, dtype=torch.bfloat16), "c": torch.empty(0)},
        tmp_path / "t",
        {"format": "pt"},
    )
    return tmp_path / "t"


def test_tensors_are_as_they_were_written(path: Path):
    found = read_plain_tensors(path, nothing)
    assert torch.equal(found["a"], torch.arange(6.0).view(2, 3))
    assert (found["b"].dtype, found["c"].shape) == (torch.bfloat16, (0,))


def test_what_does_not_pass_is_not_read(path: Path):
    def check(entries: list[TensorEntry]) -> None:
        raise InputError(f"{entries[0].name} is too large")

    with pytest.raises(InputError, match="is too large"):
        read_plain_tensors(path, check)


def spoiled(data: bytes, drawn: random.Random) -> bytes:
    """A file's bytes with some of them cut off, changed, or added."""
    kind = drawn.randrange(4)
    at = drawn.randrange(len(data))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes(drawn.randrange(256) for _ in range(9)) + data[at:]
    changed = bytearray(data)
    for _ in range(drawn.randrange(1, 9)):
        changed[drawn.randrange(min(len(data), 300) if kind == 2 else len(data))] = drawn.randrange(256)
    return bytes(changed)


def test_damaged_files_are_told_in_a_sentence(path: Path, tmp_path: Path):
    data, drawn, told = path.read_bytes(), random.Random(0), list[str]()
    for _ in range(300):
        (tmp_path / "s").write_bytes(spoiled(data, drawn))
        try:
            read_plain_tensors(tmp_path / "s", nothing)
        except InputError as error:
            told.append(str(error))
    assert len(told) > 150
    assert not any("\n" in one for one in told)
