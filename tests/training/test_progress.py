from __future__ import annotations

from tests.training.trainer import SHORT, SMALL, Trainer

SENTENCE = "The quick brown fox jumps over the lazy dog, while five boxing wizards sing of jade and quartz.\n"

TWO_HUNDRED = (
    SENTENCE
    + "Pack my box; then vex the judge with a dozen liquor jugs, or sphinx of black quartz, hear my vow: pq, and so we go on."
)[:200]


assert len(TWO_HUNDRED) == 200


def test_early_stopping_waits_for_its_patience(trainer: Trainer):
    trainer.ids = trainer.ids[:400]
    progress = trainer("run", SMALL, {**SHORT, "lr": 1e-9, "steps": 100, "early_stop": 2, "optimizer": "sgd"})
    losses = [record["valid_loss"] for record in trainer.records if "valid_loss" in record]
    if progress.step < 100:
        assert min(losses[-2:]) >= min(losses[:-2])


def test_epochs_end_a_training(trainer: Trainer):
    assert trainer("epochs", SMALL, {**SHORT, "steps": 0, "epochs": 2.0}).step == round(2 * len(trainer.ids) / 64)
