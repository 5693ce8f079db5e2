from __future__ import annotations

import json

import pytest
import torch

from seqtool.errors import DivergedError
from tests.training.trainer import SHORT, SMALL, Trainer, weights

SENTENCE = "The quick brown fox jumps over the lazy dog, while five boxing wizards sing of jade and quartz.\n"

TWO_HUNDRED = (
    SENTENCE
    + "Pack my box; then vex the judge with a dozen liquor jugs, or sphinx of black quartz, hear my vow: pq, and so we go on."
)[:200]


assert len(TWO_HUNDRED) == 200


def test_metrics_hold_what_they_promise(trainer: Trainer):
    trainer("run", SMALL, SHORT)
    lines = [json.loads(line) for line in (trainer.folder / "run" / "metrics.jsonl").open()]
    steps = [line for line in lines if "loss" in line]
    assert {"step", "tokens", "loss", "lr", "grad_norm", "tokens_per_s", "elapsed_s"} <= set(steps[0])
    assert sum("valid_loss" in line for line in lines) == 10
    assert steps[-1]["step"] == 40
    assert steps[-1]["tokens"] == 40 * 4 * 16


def test_the_best_weights_are_kept_not_the_last(trainer: Trainer):
    """A rate that is far too high at the end of a rising schedule cannot happen; a diverging one can: clip off, lr up."""
    progress = trainer(
        "run", SMALL, {**SHORT, "lr": 0.05, "schedule": "constant", "optimizer": "sgd", "momentum": 0.99}
    )
    losses = [record["valid_loss"] for record in trainer.records if "valid_loss" in record]
    assert progress.best_loss == min(losses)


def test_divergence_is_its_own_error_and_leaves_no_run(trainer: Trainer):
    with pytest.raises(DivergedError, match="lower --lr"):
        trainer("run", SMALL, {**SHORT, "checkpoint_every": 0, "optimizer": "sgd", "lr": 1e6, "clip_norm": 0.0, "eval_every": 50, "warmup": 0.0,
                               "schedule": "constant"})  # fmt: skip
    assert not (trainer.folder / "run").exists()
    assert not list(trainer.folder.glob(".run*"))


def test_a_run_that_fails_leaves_the_one_before(trainer: Trainer):
    trainer("run", SMALL, SHORT)
    before = weights(trainer.folder / "run")
    with pytest.raises(DivergedError):
        trainer("run", SMALL, {**SHORT, "optimizer": "sgd", "lr": 1e6, "clip_norm": 0.0, "eval_every": 50, "warmup": 0.0,
                               "schedule": "constant"})  # fmt: skip
    assert torch.equal(before["head.output.weight"], weights(trainer.folder / "run")["head.output.weight"])
