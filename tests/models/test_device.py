"""Which device a name is, and in which arithmetic products run there."""

from __future__ import annotations

import pytest
import torch

from seqtool.errors import UsageError
from seqtool.models.device import autocast, choose_device, multiplies_bf16

CPU = torch.device("cpu")


def machine(monkeypatch: pytest.MonkeyPatch, *, cuda: int = 0, apple: bool = False) -> None:
    """A machine with so many CUDA devices, and an Apple GPU or none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)


@pytest.mark.parametrize(("has", "chosen"), [
    ({}, "cpu"), ({"apple": True}, "mps"), ({"cuda": 1}, "cuda"), ({"cuda": 1, "apple": True}, "cuda"),
])  # fmt: skip
def test_auto_is_the_fastest_kind_there_is(monkeypatch: pytest.MonkeyPatch, has: dict[str, object], chosen: str):
    machine(monkeypatch, **has)  # type: ignore[arg-type]
    assert choose_device("auto") == torch.device(chosen)


def test_a_device_by_name_is_that_one(monkeypatch: pytest.MonkeyPatch):
    machine(monkeypatch, cuda=2, apple=True)
    for name in ("cpu", "cuda", "cuda:1", "mps"):
        assert choose_device(name) == torch.device(name)


@pytest.mark.parametrize(("name", "cuda", "message"), [
    ("cuda", 0, "--device cuda: this machine has 0 CUDA devices; use --device cpu or auto"),
    ("cuda:2", 2, "--device cuda:2: this machine has 2 CUDA devices"),
    ("mps", 1, "--device mps: this machine has no Apple GPU"),
    ("gpu", 1, "--device"),
])  # fmt: skip
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, cuda: int, message: str):
    machine(monkeypatch, cuda=cuda)
    with pytest.raises(UsageError, match=message):
        choose_device(name)


@pytest.mark.parametrize(
    ("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_products_run_in_the_precision_asked_for(precision: str, kind: torch.dtype):
    with autocast(precision, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == kind


def test_a_processor_multiplies_bf16_by_either_set_of_instructions(monkeypatch: pytest.MonkeyPatch):
    for amx, avx512 in ((False, False), (True, False), (False, True)):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda avx512=avx512: avx512, raising=False)
        assert multiplies_bf16(CPU) == (amx or avx512)
    assert not multiplies_bf16(torch.device("mps"))
