from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from seqtool.models import recurrence
from seqtool.models.device import autocast
from seqtool.models.language_model import build_model
from seqtool.native import loading
from seqtool.runs.config import RunConfig
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import TrainConfig
from seqtool.training import machine
from seqtool.training.world import alone
from tests.conftest import Command

CPU = torch.device("cpu")
CONFIG = RunConfig(
    ModelConfig(model="ffn", context=4, hidden=8),
    TrainConfig(batch_size=1, bptt=4, steps=1, compile="off"),
    Symbols(50, 1, 50, 100),
    "",
    {},
    {},
)


@pytest.mark.parametrize("model", ["rnn", "gru", "lstm", "ffn", "mingru", "gdn", "transformer"])
def test_bf16_is_chosen_for_wide_layers_where_the_processor_multiplies_it(monkeypatch: pytest.MonkeyPatch, model: str):
    def chosen(**settings: object) -> str:
        config = dataclasses.replace(CONFIG, model=ModelConfig(**{"model": model, **settings}))
        return machine.with_machine(config, "cpu", alone(CPU)).training.precision

    monkeypatch.setattr(machine, "multiplies_bf16", lambda device: True)
    assert [chosen(hidden=hidden) for hidden in (64, 512)] == ["fp32", "bf16"]
    if model not in ("mingru", "gdn", "transformer"):
        assert chosen(hidden=512, input="one-hot") == "fp32"
    monkeypatch.setattr(machine, "multiplies_bf16", lambda device: False)
    assert chosen(hidden=512) == "fp32"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="compiling needs a C++ compiler")
@pytest.mark.parametrize("model", ["transformer", "ffn"])
def test_a_compiled_training_loses_as_a_plain_one_does(seqtool: Command, prose_file: Path, tmp_path: Path, model: str):
    for choice in ("on", "off"):
        settings = ["--vocab-type", "char", "--model", model, "--steps", 40, "--hidden", 32, "--dropout", 0, "-q"]
        result = seqtool("train", prose_file, "-o", tmp_path / choice, *settings, "--compile", choice)
        assert result.returncode == 0, result.stderr.decode()
    lines = [[json.loads(line) for line in (tmp_path / choice / "metrics.jsonl").open()] for choice in ("on", "off")]
    for ours, theirs in zip(*lines, strict=True):
        name = "loss" if "loss" in theirs else "valid_loss"
        assert ours[name] == pytest.approx(theirs[name], rel=1e-3)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("model", ["rnn", "gru", "lstm", "ffn", "mingru", "gdn", "transformer"])
def test_every_model_learns_in_every_precision_on_any_processor(
    monkeypatch: pytest.MonkeyPatch, model: str, precision: str, compiled: bool
):
    """Whatever the processor multiplies, and without what was compiled: oneDNN's lstm takes bf16 and fp16 only on some."""
    if not compiled:
        monkeypatch.setattr(recurrence, "multiplies", lambda dtype: False)
        monkeypatch.setattr(loading, "part", lambda name: None)
    settings = ModelConfig(model=model, context=8, hidden=16, heads=2)
    learner = build_model(settings, Symbols(9, 1, 9, 100), dict.fromkeys(range(9), 1))
    ids = torch.randint(9, (3, 8), generator=torch.Generator().manual_seed(0))
    gradients = []
    for choice in ("fp32", precision):
        with autocast(choice, CPU):
            logits, _ = learner(ids)
        gradients.append(torch.autograd.grad(logits.float().pow(2).sum(), list(learner.parameters())))
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours - theirs).norm() <= 0.1 * theirs.norm() + 1e-3


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_an_lstm_with_dropout_on_its_weights_learns_in_half_precision(
    seqtool: Command, prose_file: Path, tmp_path: Path, precision: str
):
    settings = ["--vocab-type", "char", "--weight-dropout", 0.2, "--steps", 2, "--hidden", 16, "--batch-size", 2, "-q"]
    result = seqtool("train", prose_file, "-o", tmp_path / "run", "--precision", precision, *settings)
    assert result.returncode == 0, result.stderr.decode()
    assert seqtool("eval", tmp_path / "run", "-", stdin=b"some text").returncode == 0
