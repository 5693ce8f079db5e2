"""An interrupted training, gone on with, is the uninterrupted one: weights, optimizer, generators, averages and losses."""

from __future__ import annotations

import json
from typing import Any

import pytest
import safetensors.torch
import torch

from seqtool.errors import UsageError
from seqtool.models.device import multiplies_bf16
from seqtool.settings.training import OPTIMIZER_NAMES
from seqtool.training import pace
from tests.training.trainer import Killed, Trainer, killed_at, weights

MODELS: dict[str, dict[str, Any]] = {
    "rnn": {"model": "rnn", "dropout": 0.2},
    "gru": {"model": "gru", "dropout": 0.2, "layers": 2, "variational": True},
    "lstm": {"model": "lstm", "dropout": 0.2, "weight_dropout": 0.3, "dropout_embedding": 0.1},
    "ffn": {"model": "ffn", "dropout": 0.2, "context": 4},
    "mingru": {"model": "mingru", "dropout": 0.2, "layers": 2, "signed": True},
    "gdn": {
        "model": "gdn",
        "dropout": 0.2,
        "heads": 2,
        "layers": 2,
        "mixers": "gdn,attention",
        "context": 8,
        "mirrors": 2,
    },
    "transformer": {"model": "transformer", "dropout": 0.2, "context": 16, "heads": 2, "layers": 1},
}
SMALL_LSTM = {"hidden": 24, **MODELS["lstm"]}
RATES = {"sgd": 0.5, "asgd": 0.5, "nt-asgd": 0.5, "adadelta": 1.0}
STEPS, KILLED_AT = 60, 23
EVERY = [
    (model, optimizer, stateful)
    for model in MODELS
    for optimizer in OPTIMIZER_NAMES
    for stateful in (True, False)
    if not (stateful and model == "transformer")
]
# In the default suite every model, and every optimizer, once in each way; the rest by `make test-slow`.
SOME = {
    ("lstm", "adamw", True), ("lstm", "nt-asgd", True), ("gru", "sgd", True), ("gru", "adafactor", False),
    ("rnn", "adam", False), ("rnn", "asgd", True), ("ffn", "adagrad", True), ("ffn", "rmsprop", False),
    ("mingru", "adamw", True), ("gdn", "adamw", True),
    ("transformer", "adadelta", False), ("transformer", "muon", False),
}  # fmt: skip


def settings(optimizer: str, stateful: bool, **more: Any) -> dict[str, Any]:
    return {
        "optimizer": optimizer, "lr": RATES.get(optimizer, 5e-3), "stateful": stateful, "batch_size": 4, "bptt": 16, "steps": STEPS,
        "accumulate": 2, "eval_every": 6, "checkpoint_every": 5, "nonmonotone": 1, "momentum": 0.9 if optimizer in ("sgd", "muon") else 0.0,
        **more,
    }  # fmt: skip


def assert_the_same(trainer: Trainer, first: str, second: str) -> None:
    """Everything that a checkpoint and the metrics hold, but for the clock."""
    whole, parts = (trainer.folder / name for name in (first, second))
    kept = [safetensors.torch.load_file(path / "checkpoint" / "state.safetensors") for path in (whole, parts)]
    assert set(kept[0]) == set(kept[1])
    for name, tensor in kept[0].items():
        assert torch.equal(tensor, kept[1][name]), name
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(parts)[name]), name
    timeless = []
    for path in (whole, parts):
        lines = [json.loads(line) for line in (path / "metrics.jsonl").open()]
        timeless.append([{k: v for k, v in line.items() if k not in ("elapsed_s", "tokens_per_s")} for line in lines])
    assert timeless[0] == timeless[1]


def check_resume(
    trainer: Trainer, model: dict[str, Any], training: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trainer("whole", model, training).step == STEPS
    killed_at(KILLED_AT, monkeypatch)
    with pytest.raises(Killed):
        trainer("parts", model, training)
    torch.manual_seed(12345)  # whatever happens in between
    assert trainer("parts", model, training, resume=True).step == STEPS
    assert_the_same(trainer, "whole", "parts")


@pytest.mark.parametrize(
    ("name", "optimizer", "stateful"),
    [pytest.param(*case, marks=[] if case in SOME else [pytest.mark.slow]) for case in EVERY],
)
def test_resume_equals_uninterrupted_run(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, name: str, optimizer: str, stateful: bool
):
    model = {"hidden": 24, **MODELS[name]}
    check_resume(trainer, model, settings(optimizer, stateful), monkeypatch)


@pytest.mark.parametrize("more", [
    {"ema": 0.9},
    pytest.param({"schedule": "plateau", "lr": 1e-6}, marks=pytest.mark.slow),
    pytest.param({"bptt_jitter": True, "ar": 2.0, "tar": 1.0}, marks=pytest.mark.slow),
    {"bptt_advance": 5},
    pytest.param({"within_documents": True}, marks=pytest.mark.slow),
    pytest.param({"precision": "bf16", "label_smoothing": 0.1, "z_loss": 1e-4}, marks=pytest.mark.slow),
    pytest.param({"precision": "fp16"}, marks=pytest.mark.slow),
    {"probe_gradients": 8},
    {"min_gain": 0.5, "early_stop": 2},
])  # fmt: skip
def test_resume_whatever_else_is_asked(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]):
    model = {"hidden": 24, **MODELS["gru" if "precision" in more else "lstm"]}
    if "early_stop" in more:
        training = settings("adamw", True, **more)
        step = trainer("whole", model, training).step
        assert 12 <= step < STEPS
        killed_at(9, monkeypatch)
        with pytest.raises(Killed):
            trainer("parts", model, training)
        assert trainer("parts", model, training, resume=True).step == step
        assert_the_same(trainer, "whole", "parts")
    else:
        check_resume(trainer, model, settings("adamw", True, **more), monkeypatch)


@pytest.mark.skipif(
    not multiplies_bf16(torch.device("cpu")), reason="oneDNN's LSTM needs a processor that multiplies bf16"
)
def test_a_state_in_bf16_is_resumed(trainer: Trainer, monkeypatch: pytest.MonkeyPatch):
    check_resume(trainer, {"hidden": 24, **MODELS["lstm"]}, settings("adamw", True, precision="bf16"), monkeypatch)


def test_stopped_before_its_validation_a_run_validates_first_when_it_goes_on(trainer: Trainer):
    training = settings("adamw", True, checkpoint_every=0)
    trainer("whole", SMALL_LSTM, training)
    asked = 0

    def once_in_a_validation() -> bool:
        nonlocal asked
        asked += 1
        return asked > 6  # once for each step, and next for the parts of the first validation

    assert trainer("parts", SMALL_LSTM, training, stopped=once_in_a_validation).step == 6
    assert not any("valid_loss" in record for record in trainer.records)
    assert trainer("parts", SMALL_LSTM, training, resume=True).step == STEPS
    assert_the_same(trainer, "whole", "parts")


def test_a_finished_run_can_be_made_longer(trainer: Trainer):
    training = settings("adamw", True)
    trainer("run", SMALL_LSTM, training)
    assert trainer("run", SMALL_LSTM, {**training, "steps": 80, "eval_every": 40}, resume=True).step == 80


@pytest.mark.slow
def test_a_resumed_time_ends_where_it_would_have(trainer: Trainer, monkeypatch: pytest.MonkeyPatch):
    training = settings("adamw", True, steps=0, time=4.0, eval_every=0)
    monkeypatch.setattr(pace, "PLAN_SHARE", 0.0)  # planned as soon as a few steps were taken, on any machine
    killed_at(30, monkeypatch)
    with pytest.raises(Killed):
        trainer("run", SMALL_LSTM, training)
    file = trainer.folder / "run" / "checkpoint" / "state.safetensors"
    with safetensors.safe_open(str(file), "pt") as content:
        planned = json.loads(json.loads(content.metadata()["seqtool"])["progress"])["steps"]
    assert planned > 30
    assert trainer("run", SMALL_LSTM, training, resume=True).step == planned


@pytest.mark.parametrize(("shorter", "message"), [
    ({"steps": 3}, "--steps 3 is over: 20 steps"),
    ({"steps": 0, "time": 0.001}, "--time 0.001 is over"),
    ({"steps": 0, "epochs": 1e-3}, "--epochs 0.001 is over"),
])  # fmt: skip
def test_a_length_under_what_is_done_is_refused(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, shorter: dict[str, Any], message: str
):
    training = settings("adamw", True)
    killed_at(23, monkeypatch)
    with pytest.raises(Killed):
        trainer("run", SMALL_LSTM, training)
    with pytest.raises(UsageError, match=message):
        trainer("run", SMALL_LSTM, {**training, **shorter}, resume=True)


def test_a_run_that_is_over_by_its_new_patience_validates_and_ends(trainer: Trainer, monkeypatch: pytest.MonkeyPatch):
    training = settings("adamw", True, min_gain=9.0, early_stop=0)
    killed_at(23, monkeypatch)
    with pytest.raises(Killed):
        trainer("run", SMALL_LSTM, training)
    progress = trainer("run", SMALL_LSTM, {**training, "early_stop": 1}, resume=True)
    assert progress.step == progress.validated == 20
