from __future__ import annotations

import dataclasses
import json
import shutil
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


@pytest.mark.parametrize("model", ["rnn", "gru", "lstm", "ffn", "transformer"])
def test_bf16_is_chosen_for_wide_layers_where_the_processor_multiplies_it(monkeypatch: pytest.MonkeyPatch, model: str):
    def chosen(**settings: object) -> str:
        config = dataclasses.replace(CONFIG, model=ModelConfig(**{"model": model, **settings}))
        return machine.with_machine(config, DATA, "cpu", alone(CPU)).training.precision

    monkeypatch.setattr(machine, "multiplies_bf16", lambda device: True)
    assert [chosen(hidden=hidden) for hidden in (64, 512)] == ["fp32", "bf16"]
    if model != "transformer":
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
