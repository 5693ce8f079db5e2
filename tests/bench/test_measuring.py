from __future__ import annotations

import pytest
import torch

from seqtool.bench import machine, measuring, memory
from seqtool.bench.measuring import Measured, measure, measurement_count
from seqtool.bench.setup import Setup, make_setup
from seqtool.bench.training import training_bytes, with_batch

CPU = torch.device("cpu")
TINY = {"hidden": 8, "layers": 1, "batch_size": 2, "context": 4}


@pytest.fixture(autouse=True)
def small_matrices_and_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MATRIX_SIZE", 16)
    monkeypatch.setattr(machine, "BUFFER_BYTES", 1 << 12)
    monkeypatch.setattr(machine, "LEAST_BUFFER_BYTES", 1 << 12)


def setup_of(name: str) -> Setup:
    return make_setup({"model": name, **TINY}, 20, False)


def measured(*setups: Setup) -> Measured:
    return measure(setups, ["fp32"], CPU, 1e-9, lambda done, what: None)


def test_every_measurement_is_announced_and_counted():
    setups, announced = [setup_of("gru"), setup_of("ffn")], []
    found = measure(setups, ["fp32"], CPU, 1e-9, lambda done, what: announced.append((done, what)))
    assert [done for done, _ in announced] == list(range(measurement_count(setups, ["fp32"])))
    assert announced[3] == (3, "training gru in fp32, batches of 2")
    assert announced[-1][1] == "generating with ffn, streams: 64"
    batches = [(speed.model, speed.batch_size) for speed in found.training]
    assert batches == [(name, size) for name in ("gru", "ffn") for size in (2, 4, 8)]
    streams = [(speed.model, speed.streams) for speed in found.generation]
    assert streams == [(name, count) for name in ("gru", "ffn") for count in (1, 64)]


def test_shares_are_of_the_limits_that_were_measured():
    found = measured(setup_of("rnn"))
    assert (found.machine.matrix_size, found.machine.buffer_bytes) == (16, 1 << 12)
    assert {speed.matrix_gflops_per_s for speed in found.training} == {found.machine.matrix_gflops_per_s["fp32"]}
    assert {speed.read_gb_per_s for speed in found.generation} == {found.machine.read_gb_per_s}


@pytest.mark.parametrize(("factor", "sizes"), [(1, [2]), (2, [2, 4]), (4, [2, 4, 8])])
def test_a_larger_batch_for_which_there_is_no_memory_is_left_out(
    monkeypatch: pytest.MonkeyPatch, factor: int, sizes: list[int]
):
    needed = training_bytes(with_batch(setup_of("gru"), "fp32", factor))
    monkeypatch.setattr(memory, "available_bytes", lambda device: needed)
    assert [speed.batch_size for speed in measured(setup_of("gru")).training] == sizes


@pytest.mark.parametrize("most", [1, 2, 4])
def test_a_batch_that_runs_out_of_memory_is_left_out_unless_it_is_the_smallest(
    monkeypatch: pytest.MonkeyPatch, most: int
):
    speed_of = measuring.training_speed

    def speed_within(setup: Setup, *arguments: object) -> object:
        if setup.training.batch_size > most:
            raise torch.OutOfMemoryError("out of memory")
        return speed_of(setup, *arguments)

    monkeypatch.setattr(measuring, "training_speed", speed_within)
    if most == 1:
        with pytest.raises(torch.OutOfMemoryError):
            measured(setup_of("gru"))
    else:
        assert [speed.batch_size for speed in measured(setup_of("gru")).training] == [2, 4][: most // 2]
