from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.trainer import SHORT, SMALL, Trainer, weights
from tests.zoo import ZOO

SENTENCE = "The quick brown fox jumps over the lazy dog, while five boxing wizards sing of jade and quartz.\n"

TWO_HUNDRED = (
    SENTENCE
    + "Pack my box; then vex the judge with a dozen liquor jugs, or sphinx of black quartz, hear my vow: pq, and so we go on."
)[:200]


assert len(TWO_HUNDRED) == 200

SLOW_TO_UNROLL = (
    "rnn sigmoid",
    "rnn relu identity",
    "gdn of 2 mirrors tied",
    "mingru signed",
    "lstm tied",
    "gru one-hot",
    "lstm one-hot",
    "rnn one-hot",
)  # or like another of the zoo; the cells are those of the reference, tested elsewhere


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

    lr = {"rnn relu identity": 3e-3, "rnn sigmoid": 1e-2}.get(name, 5e-3)
    trainer("run", model, {**training, "lr": lr}, stopped=learned)
    assert learned()


def test_the_same_seed_gives_the_same_run_and_another_another(trainer: Trainer):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer(name, SMALL, {**SHORT, "seed": seed})
    a, b, c = (weights(trainer.folder / name)["head.output.weight"] for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_bf16_trains(trainer: Trainer):
    model = {"model": "transformer", "hidden": 16, "context": 16, "heads": 2}
    progress = trainer("run", model, {**SHORT, "stateful": False, "precision": "bf16"})
    assert progress.best_loss < 3.5
