"""Signals that stop a training."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from seqtool.cli.signals import stop_flag
from seqtool.errors import StoppedError
from tests.conftest import Start


def test_a_second_signal_leaves_at_once(start: Start, prose_file: Path, tmp_path: Path):
    """The first one asks for the end of a step that would take minutes."""
    settings = ["--model", "rnn", "--activation", "sigmoid", "--batch-size", 8, "--bptt", 2000, "--hidden", 4096]
    process = start("train", prose_file, "-o", tmp_path / "run", "--vocab-type", "char", *settings)
    assert b"4096" in process.stderr.readline()
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []


def test_the_first_signal_is_told_and_the_second_stops_at_once():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    with stop_flag() as stopped:
        assert stopped() == 0
        signal.raise_signal(signal.SIGUSR1)
        assert stopped() == signal.SIGUSR1
        with pytest.raises(StoppedError) as error:
            signal.raise_signal(signal.SIGTERM)
        assert error.value.exit_code == 128 + signal.SIGTERM
    assert {number: signal.getsignal(number) for number in before} == before
