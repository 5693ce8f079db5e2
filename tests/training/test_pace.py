from __future__ import annotations

import pytest

from seqtool.settings.training import TrainConfig
from seqtool.training.pace import Pace
from seqtool.training.progress import Progress, validations
from tests.training.trainer import SHORT, SMALL, Trainer

SENTENCE = "The quick brown fox jumps over the lazy dog, while five boxing wizards sing of jade and quartz.\n"

TWO_HUNDRED = (
    SENTENCE
    + "Pack my box; then vex the judge with a dozen liquor jugs, or sphinx of black quartz, hear my vow: pq, and so we go on."
)[:200]


assert len(TWO_HUNDRED) == 200


@pytest.mark.slow
def test_a_time_becomes_a_number_of_steps_early_and_is_about_kept(trainer: Trainer):
    progress = trainer("time", SMALL, {**SHORT, "steps": 0, "time": 3.0, "checkpoint_every": 0})
    assert progress.step == progress.steps > 30
    assert 1.5 <= progress.elapsed_s < 6.0
    assert (
        4 <= sum("valid_loss" in record for record in trainer.records) <= 6
    )  # a short time has four, and the first plans


def trained_by_the_clock(slower_from_s: float, times_slower: float) -> Progress:
    """A training of --time 100 whose steps take 0.1 s at first, and validations 0.5."""
    config, now = TrainConfig(time=100.0), 0.0
    progress = Progress()
    pace = Pace(config, progress, lambda: now)
    while not progress.over(config):
        due = pace.plan_due(progress)
        if due or progress.validation_due(config):
            now += 0.5
            progress.validated = progress.step
            progress.elapsed_s = now
            progress.steps = pace.planned_steps(0.5, progress) if due else pace.steps_now(progress)
        now += 0.1 * (times_slower if now > slower_from_s else 1.0)
        progress.record_step(1, now)
        pace.record_step(progress)
    return progress


@pytest.mark.parametrize("times_slower", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("slower_from_s", [20.0, 40.0])
def test_a_time_is_about_kept_when_steps_become_slower_or_faster(slower_from_s: float, times_slower: float):
    assert 88 < trained_by_the_clock(slower_from_s, times_slower).elapsed_s < 115


def test_steps_that_take_as_long_as_at_first_leave_the_plan_as_it_was():
    quiet = trained_by_the_clock(1e9, 1.0)
    assert quiet.steps == pytest.approx((100 - 0.5 * validations(TrainConfig(time=100.0))) / 0.1, rel=0.02)


def test_what_another_process_planned_stays_as_it_was():
    progress = Progress(step=500, steps=1000, elapsed_s=90.0, planned_for_s=100.0)
    assert Pace(TrainConfig(time=100.0), progress, lambda: 90.0).steps_now(progress) == 1000
