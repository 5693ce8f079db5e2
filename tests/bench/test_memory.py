from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqtool.bench import memory
from seqtool.errors import SeqtoolError

CPU = torch.device("cpu")


def test_available_memory_is_the_least_of_machine_and_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:   5000 kB\n")
    assert memory.available_bytes(CPU) == 5000 * 1024
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_bytes(CPU) == 5000 * 1024
    (tmp_path / "memory.max").write_text("3000\n")
    assert memory.available_bytes(CPU) == 2000


def test_what_does_not_fit_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1_000_000_000)
    assert memory.fits(1_000_000_000, CPU)
    assert not memory.fits(1_000_000_001, CPU)
    memory.require(1_000_000_000, CPU, "training", "lower --hidden")
    with pytest.raises(
        SeqtoolError, match=r"not enough memory: training takes 2\.0 GB, and 1\.0 GB are left; lower --hidden"
    ):
        memory.require(2_000_000_000, CPU, "training", "lower --hidden")
    monkeypatch.setattr(memory, "available_bytes", lambda device: None)
    assert memory.fits(1 << 60, CPU)
