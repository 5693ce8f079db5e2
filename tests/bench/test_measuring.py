from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch

from seqtool.bench import machine, memory, others, timing, training
from seqtool.bench.generation import generation_speed, weight_bytes
from seqtool.bench.setup import TOKENS, make_model, make_setup
from seqtool.bench.training import TrainingSpeed, fastest, step_times_s, training_bytes, training_speed, with_batch
from seqtool.errors import SeqtoolError, UsageError
from seqtool.models.size import parameter_count, product_weights
from seqtool.settings.defaults import Facts, resolve

CPU = torch.device("cpu")
TINY = {"hidden": 8, "layers": 1, "batch_size": 2, "context": 4}


def test_the_median_leaves_the_first_time_and_one_slow_time_out(monkeypatch: pytest.MonkeyPatch):
    durations, clock = iter([50.0, 1.0, 9.0, 2.0, 1.0]), [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def run() -> None:
        clock[0] += next(durations)

    assert timing.median_s(run, 12.5, CPU) == 1.5  # of 1, 9, 2 and 1
    assert next(durations, None) is None


def test_setups_are_what_train_would_choose_and_flags_beat_it():
    setup = make_setup({"model": "lstm"}, 100, False)
    assert (setup.model, setup.training) == resolve({"model": "lstm"}, Facts(TOKENS, 100, False))
    setup = make_setup({"model": "lstm", "hidden": 9, "batch_size": 3, "bptt": 5}, 100, False)
    assert (setup.model.hidden, setup.training.batch_size, setup.training.bptt) == (9, 3, 5)
    assert make_model(setup).symbols.seen == 99
    with pytest.raises(UsageError, match="give a number of time steps"):
        make_setup({"model": "lstm", "bptt": 1 << 20}, 100, False)


@pytest.mark.parametrize("name", ["lstm", "ffn", "transformer"])
def test_steps_are_timed_until_the_time_is_full(name: str):
    times = step_times_s(make_setup({"model": name, **TINY}, 20, False), CPU, 0.05)
    assert len(times) >= 3
    assert sum(times[:-1]) < 0.05 <= sum(times)
    assert len(step_times_s(make_setup({"model": name, **TINY}, 20, False), CPU, 1e-9)) == 3


def test_the_loop_that_is_timed_updates_weights_and_validates_nothing(monkeypatch: pytest.MonkeyPatch):
    setup, models = make_setup({"model": "gru", **TINY}, 20, False), []
    monkeypatch.setattr(training, "make_model", lambda setup: models.append(make_model(setup)) or models[-1])
    monkeypatch.setattr(training._Nowhere, "keep_best", lambda self: pytest.fail("it was validated"))
    step_times_s(setup, CPU, 0.05)
    assert any(
        not torch.equal(a, b) for a, b in zip(models[0].parameters(), make_model(setup).parameters(), strict=True)
    )


def test_training_speed_is_a_share_of_the_rate_that_is_given():
    setup = with_batch(make_setup({"model": "gru", **TINY}, 20, False), "fp32", 4)
    speed = training_speed(setup, CPU, 0.01, 2.0)
    assert (speed.model, speed.precision, speed.batch_size) == ("gru", "fp32", 8)
    assert speed.gflops_per_s == pytest.approx(speed.tokens_per_s * speed.flops_per_token / 1e9)
    assert speed.share == pytest.approx(speed.gflops_per_s / 2)


def test_training_takes_at_least_weights_gradients_means_and_logits():
    setup = make_setup({"model": "gru", **TINY, "bptt": 16}, 20, False)
    weights = 4 * parameter_count(setup.model, setup.symbols)
    assert training_bytes(setup) == 4 * weights + 2 * 4 * 2 * 16 * 20
    assert training_bytes(with_batch(setup, "fp32", 4)) == 4 * weights + 4 * 2 * 4 * 2 * 16 * 20


def test_the_fastest_is_by_model():
    zero = {item.name: 0 for item in dataclasses.fields(TrainingSpeed)}
    speeds = [
        TrainingSpeed(**{**zero, "model": model, "tokens_per_s": rate})
        for model, rate in (("rnn", 5.0), ("gru", 1.0), ("rnn", 7.0), ("gru", 3.0), ("rnn", 6.0))
    ]
    assert {name: speed.tokens_per_s for name, speed in fastest(speeds).items()} == {"rnn": 7.0, "gru": 3.0}


@pytest.mark.parametrize("name", ["gru", "ffn", "transformer"])
def test_generation_speed_is_a_share_of_the_bandwidth_that_is_given(name: str):
    setup = make_setup({"model": name, **TINY}, 20, False)
    speed = generation_speed(setup, 3, CPU, 0.01, 2.0)
    assert speed.weight_gb_per_s == pytest.approx(speed.tokens_per_s / 3 * speed.weight_bytes / 1e9)
    assert speed.share == pytest.approx(speed.weight_gb_per_s / 2)


def test_weights_that_generation_looks_up_are_not_read():
    small = make_setup({"model": "lstm", "embed": 3, "hidden": 5, "layers": 2}, 20, False)
    assert weight_bytes(small) == 4 * (product_weights(small.model, small.symbols) - 4 * 5 * 3)
    large = make_setup({"model": "lstm", "embed": 3, "hidden": 1024}, 2000, False)  # a table of 8 million numbers
    assert weight_bytes(large) == 4 * product_weights(large.model, large.symbols)
    ffn = make_setup({"model": "ffn"}, 20, False)
    assert weight_bytes(ffn) == 4 * product_weights(ffn.model, ffn.symbols)


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
