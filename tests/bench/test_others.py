from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from seqtool.bench import others


def test_others_are_what_was_busy_beside_us(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    stat = tmp_path / "stat"
    monkeypatch.setattr(others, "STAT", stat)
    clock = itertools.chain([100.0], itertools.repeat(110.0))
    monkeypatch.setattr(others.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(others.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(others.os, "sysconf", lambda name: 100)
    monkeypatch.setattr(others.os, "times", lambda: type("times", (), {"user": 0.0, "system": 0.0}))
    stat.write_text("cpu  100 0 50 9999 9 0 0 0 0 0\n")
    beside = others.OtherPrograms()
    stat.write_text("cpu  500 100 50 99999 99 0 0 0 0 0\n")
    assert beside.share() == pytest.approx(0.25)  # five seconds of twice ten
    stat.unlink()
    assert beside.share() is None
