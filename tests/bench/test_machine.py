from __future__ import annotations

import pytest
import torch

from seqtool.bench import machine, memory
from seqtool.errors import SeqtoolError

CPU = torch.device("cpu")


def test_rates_are_operations_and_bytes_by_seconds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "median_s", lambda run, seconds, device: (run(), 0.5)[1])
    assert machine.matrix_gflops_per_s(10, "fp32", CPU, 1.0) == pytest.approx(2 * 10**3 / 0.5 / 1e9)
    assert machine.read_gb_per_s(4000, CPU, 1.0) == pytest.approx(4000 / 0.5 / 1e9)
    assert machine.copy_gb_per_s(4000, CPU, 1.0) == pytest.approx(8000 / 0.5 / 1e9)
    assert machine.native_precisions(CPU)[0] == "fp32"
    assert "fp16" not in machine.native_precisions(CPU)


def test_a_small_memory_has_a_small_buffer_and_none_is_refused(monkeypatch: pytest.MonkeyPatch):
    for left, size in ((None, 1 << 29), (1 << 40, 1 << 29), (1 << 30, 1 << 28), (1 << 28, 1 << 26)):
        monkeypatch.setattr(memory, "available_bytes", lambda device, left=left: left)
        assert machine.buffer_bytes(CPU) == size
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1 << 27)
    with pytest.raises(SeqtoolError, match=r"takes 0\.3 GB, and 0\.1 GB are left"):
        machine.buffer_bytes(CPU)
