from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtool.config import ModelConfig, Symbols, TrainConfig
from seqtool.runs import RunConfig
from seqtool.training import machine
from seqtool.training.data import TrainingData
from seqtool.training.world import alone
from tests.conftest import Command

CPU = torch.device("cpu")
DATA = TrainingData(None, np.zeros(100, np.uint16), np.zeros(10, np.uint16), {}, {})  # type: ignore[arg-type]
CONFIG = RunConfig(
    ModelConfig(model="ffn", context=4, hidden=8),
    TrainConfig(batch_size=1, bptt=4, steps=1, compile="off"),
    Symbols(50, 1, 50, 100),
    "",
    {},
    {},
)


@pytest.mark.parametrize("slow", ["fp32", "bf16"])
def test_bf16_is_chosen_where_a_step_is_faster(monkeypatch: pytest.MonkeyPatch, slow: str):
    real = machine.autocast

    def delayed(precision: str, device: torch.device) -> torch.autocast:
        if precision == slow:
            time.sleep(0.3)
        return real(precision, device)

    monkeypatch.setattr(machine, "autocast", delayed)
    monkeypatch.setattr(machine, "multiplies_bf16", lambda device: True)
    assert (
        machine.with_machine(CONFIG, DATA, "cpu", alone(CPU)).training.precision
        == {"fp32": "bf16", "bf16": "fp32"}[slow]
    )


def test_without_bf16_instructions_nothing_is_tried(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "multiplies_bf16", lambda device: False)
    training = machine.with_machine(CONFIG, DATA, "cpu", alone(CPU)).training
    assert (training.precision, training.device) == ("fp32", "cpu")


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
