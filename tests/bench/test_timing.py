from __future__ import annotations

import pytest
import torch

from seqtool.bench import timing

CPU = torch.device("cpu")


def test_the_median_leaves_the_first_time_and_one_slow_time_out(monkeypatch: pytest.MonkeyPatch):
    durations, clock = iter([50.0, 1.0, 9.0, 2.0, 1.0]), [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def run() -> None:
        clock[0] += next(durations)

    assert timing.median_s(run, 12.5, CPU) == 1.5  # of 1, 9, 2 and 1
    assert next(durations, None) is None
