from __future__ import annotations

import pytest

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
