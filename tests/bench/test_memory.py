from __future__ import annotations

import pytest
import torch

from seqtool.bench import memory
from seqtool.errors import SeqtoolError

CPU = torch.device("cpu")


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
