from __future__ import annotations

import dataclasses

import pytest
import torch

from seqtool.bench import training
from seqtool.bench.setup import make_model, make_setup
from seqtool.bench.training import TrainingSpeed, fastest, step_times_s, training_bytes, training_speed, with_batch
from seqtool.models.size import parameter_count

CPU = torch.device("cpu")
TINY = {"hidden": 8, "layers": 1, "batch_size": 2, "context": 4}


@pytest.mark.parametrize("name", ["lstm", "ffn", "mingru", "gdn", "transformer"])
def test_steps_are_timed_until_the_time_is_full(name: str):
    times = step_times_s(make_setup({"model": name, **TINY}, 20, False), CPU, 0.05)
    assert len(times) >= 3
    assert sum(times) > 0.05 - 1e-9
    assert len(times) == 3 or sum(times[:-1]) < 0.05
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
