from __future__ import annotations

import pytest

from seqtool.settings.training import TrainConfig
from seqtool.training import schedules
from seqtool.training.progress import Progress


def rate_factor(schedule: str, progress: float, step: int, warmup: float, final: float, **settings: float) -> float:
    config = TrainConfig(schedule=schedule, warmup=float(warmup), final_lr=final, **settings)
    return schedules.rate_factor(config, progress, step)


@pytest.mark.parametrize(
    ("schedule", "middle", "end"), [("constant", 1.0, 1.0), ("linear", 0.5, 0.0), ("cosine", 0.5, 0.0)]
)
def test_shapes(schedule: str, middle: float, end: float):
    assert rate_factor(schedule, 0.0, 0, 0, 0.0) == pytest.approx(1.0)
    assert rate_factor(schedule, 0.5, 50, 0, 0.0) == pytest.approx(middle)
    assert rate_factor(schedule, 1.0, 100, 0, 0.0) == pytest.approx(end)


def test_warm_up_by_steps_and_by_share():
    assert [rate_factor("constant", 0.0, step, 4, 0.0) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rate_factor("cosine", 0.1, 10, 0.1, 0.0) == pytest.approx(1.0)
    assert rate_factor("cosine", 0.55, 10, 0.1, 0.0) == pytest.approx(0.5)


@pytest.mark.parametrize("steps", [0, 1000])
def test_warm_up_of_a_share_is_that_of_so_many_steps(steps: int):
    """Whether the steps in all are known, or judged by those that were taken."""
    by_share, by_steps = (TrainConfig(schedule="constant", warmup=warmup) for warmup in (0.02, 20.0))
    for step in range(1, 25):
        expected = schedules.rate_factor(by_steps, step / 1000, step)
        assert schedules.rate_factor(by_share, step / 1000, step, steps) == pytest.approx(expected), step
    assert schedules.rate_factor(by_share, 0.0, 0, 1000) == pytest.approx(1 / 21)
    assert 0.01 < schedules.rate_factor(by_share, 0.0, 0) < 0.1


def test_the_last_rate():
    assert rate_factor("linear", 1.0, 100, 0, 0.1) == pytest.approx(0.1)
    assert rate_factor("cosine", 0.5, 50, 0, 0.2) == pytest.approx(0.6)


def test_warmup_stable_decay():
    rates = [rate_factor("wsd", share, 0, 0, 0.0, decay=0.2) for share in (0.0, 0.5, 0.8, 0.9, 1.0)]
    assert rates == pytest.approx([1.0, 1.0, 1.0, 0.5, 0.0])
    after_warm_up = [rate_factor("wsd", share, 500, 0.3, 0.0, decay=0.2) for share in (0.5, 0.8, 0.9, 1.0)]
    assert after_warm_up == pytest.approx([1.0, 1.0, 0.5, 0.0])


def test_inverse_square_root_falls_from_where_warm_up_ended():
    """Vaswani et al. 2017, eq. 3: with W steps of warm-up the rate at step t is min(t / W, sqrt(W / t)) of its peak."""
    for warmup in (100, 0.1):
        rates = [rate_factor("inverse-sqrt", step / 1000, step, warmup, 0.0) for step in (100, 400, 900)]
        assert rates == pytest.approx([1.0, 0.5, 1 / 3], rel=1e-6)


def test_step_decay_by_steps_and_by_share():
    by_steps = [
        rate_factor("step", step / 100, step, 0, 0.0, decay_every=30.0, decay_factor=0.1) for step in (0, 29, 30, 60)
    ]
    assert by_steps == pytest.approx([1.0, 1.0, 0.1, 0.01])
    by_share = [
        rate_factor("step", share, 0, 0, 0.05, decay_every=0.25, decay_factor=0.1) for share in (0.0, 0.24, 0.25, 0.6)
    ]
    assert by_share == pytest.approx([1.0, 1.0, 0.1, 0.05])


def test_plateau_falls_when_validation_has_it_fall():
    config = TrainConfig(schedule="plateau", warmup=0.0, decay_factor=0.25)
    assert [schedules.rate_factor(config, 0.5, 50, falls=falls) for falls in range(3)] == pytest.approx(
        [1.0, 0.25, 0.0625]
    )


def test_plateau_waits_for_its_patience():
    config, progress = TrainConfig(schedule="plateau", decay_patience=2, min_gain=0.1), Progress()
    falls = []
    for loss in (3.0, 2.95, 2.94, 2.0, 2.1, 2.1, 2.1):
        progress.record_validation(loss, config)
        falls.append(progress.falls)
    assert falls == [0, 0, 1, 1, 1, 2, 2]
    assert progress.best_loss == 2.0


def test_after_warm_up_in_steps_the_fall_begins_at_the_peak():
    """nanoGPT: the cosine runs from the end of warm-up to the end."""
    assert rate_factor("cosine", 0.5, 1000, 1000, 0.0) == pytest.approx(1.0)
    assert rate_factor("cosine", 0.75, 1500, 1000, 0.0) == pytest.approx(0.5)
