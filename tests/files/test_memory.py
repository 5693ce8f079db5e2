"""What memory is left, and what the process holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqtool.files import memory


def test_free_memory_is_the_least_of_machine_and_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:   5000 kB\n")
    assert memory.free_bytes() == 5000 * 1024
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_bytes() == 5000 * 1024
    (tmp_path / "memory.max").write_text("3000\n")
    assert memory.free_bytes() == 2000


def test_held_memory_grows_with_what_is_held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    before = memory.held_bytes()
    held = np.ones(64 << 20, np.uint8)
    assert 0 < before < memory.held_bytes() - held.nbytes // 2
    monkeypatch.setattr(memory, "STATM", tmp_path / "none")
    assert memory.held_bytes() == 0
