from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from seqtool.errors import DivergedError
from seqtool.models.device import autocast
from tests.training.trainer import CPU, SHORT, SMALL, Trainer, weights
from tests.zoo import ZOO

SENTENCE = "The quick brown fox jumps over the lazy dog, while five boxing wizards sing of jade and quartz.\n"
TWO_HUNDRED = (
    SENTENCE
    + "Pack my box; then vex the judge with a dozen liquor jugs, or sphinx of black quartz, hear my vow: pq, and so we go on."
)[:200]
assert len(TWO_HUNDRED) == 200


SLOW_TO_UNROLL = (
    "gru one-hot",
    "lstm one-hot",
    "rnn one-hot",
)  # the cells are those of the reference, tested elsewhere


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW_TO_UNROLL else []) for name in ZOO]
)
def test_every_architecture_learns_200_characters_by_heart(name: str, tmp_path: Path):
    trainer = Trainer(TWO_HUNDRED, tmp_path)
    model = {"hidden": 48, "heads": 2, **ZOO[name]}
    if name == "ffn of one token":
        pytest.skip("one character does not tell the next: no weights could")
    if model["model"] != "rnn":
        model["context"] = 12 if model["model"] == "ffn" else 200
    training = {"batch_size": 1, "bptt": 200, "stateful": False, "steps": 1000, "eval_every": 25, "weight_decay": 0.0}

    def learned() -> bool:
        return min((record["valid_loss"] for record in trainer.records if "valid_loss" in record), default=9.9) < 0.05

    trainer("run", model, {**training, "lr": 3e-3 if name == "rnn relu identity" else 5e-3}, stopped=learned)
    assert learned()


def test_the_same_seed_gives_the_same_run_and_another_another(trainer: Trainer):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer(name, SMALL, {**SHORT, "seed": seed})
    a, b, c = (weights(trainer.folder / name)["head.output.weight"] for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


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


def test_early_stopping_waits_for_its_patience(trainer: Trainer):
    trainer.ids = trainer.ids[:400]
    progress = trainer("run", SMALL, {**SHORT, "lr": 1e-9, "steps": 100, "early_stop": 2, "optimizer": "sgd"})
    losses = [record["valid_loss"] for record in trainer.records if "valid_loss" in record]
    if progress.step < 100:
        assert min(losses[-2:]) >= min(losses[:-2])


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


def test_epochs_end_a_training(trainer: Trainer):
    assert trainer("epochs", SMALL, {**SHORT, "steps": 0, "epochs": 2.0}).step == round(2 * len(trainer.ids) / 64)


def test_a_time_becomes_a_number_of_steps_early_and_is_about_kept(trainer: Trainer):
    progress = trainer("time", SMALL, {**SHORT, "steps": 0, "time": 3.0, "checkpoint_every": 0})
    assert progress.step == progress.steps > 30
    assert 1.5 <= progress.elapsed_s < 6.0
    assert (
        4 <= sum("valid_loss" in record for record in trainer.records) <= 6
    )  # a short time has four, and the first plans


def test_bf16_trains(trainer: Trainer):
    model = {"model": "transformer", "hidden": 16, "context": 16, "heads": 2}
    progress = trainer("run", model, {**SHORT, "stateful": False, "precision": "bf16"})
    assert progress.best_loss < 3.5
    with autocast("fp32", CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_truncation_cuts_gradients_but_not_the_state(trainer: Trainer):
    """With one lane, a batch's first logits depend on the batch before, through the state alone."""
    from seqtool.models.state import detached
    from tests.zoo import zoo_model

    model = zoo_model("lstm")
    _, state = model(torch.tensor([[3, 4, 5]]))
    assert all(part.requires_grad for layer in state for part in layer)
    assert not any(part.requires_grad for layer in detached(state) for part in layer)
    carried, _ = model(torch.tensor([[6]]), detached(state))
    fresh, _ = model(torch.tensor([[6]]))
    assert not torch.allclose(carried, fresh)
