"""Weights of runs that were made before weights had their present names, and before some settings were there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from seqtool.files.tensors import write_tensors
from seqtool.runs.config import ADDED
from seqtool.runs.loading import load_run
from seqtool.runs.weights import RENAMED, named_now
from tests.conftest import Command

CPU = torch.device("cpu")


def named_then(name: str) -> str:
    """The name that a weight had."""
    for then, now in RENAMED.items():
        if name == now or name.startswith(f"{now}."):
            return then + name[len(now) :]
    return name


@pytest.fixture
def old_run(small_run: Path, tmp_path: Path) -> Path:
    """The small run as it would have been written before."""
    run = tmp_path / "old"
    shutil.copytree(small_run, run)
    content = json.loads((run / "config.json").read_text())
    for name in ADDED:
        content["model"].pop(name, None)
        content["training"].pop(name, None)
    (run / "config.json").write_text(json.dumps(content))
    for file, form in (
        ("model.safetensors", "seqtool weights 1"),
        ("checkpoint/state.safetensors", "seqtool checkpoint 3"),
    ):
        with safetensors.safe_open(run / file, framework="pt") as stream:
            metadata = json.loads(stream.metadata()["seqtool"])
        tensors = safetensors.torch.load_file(run / file)
        prefix = "model/" if "checkpoint" in file else ""
        renamed = {
            prefix + named_then(name.removeprefix(prefix)) if name.startswith(prefix) else name: tensor
            for name, tensor in tensors.items()
        }
        del metadata["sha256"]
        write_tensors(run / file, renamed, {**metadata, "format": form})
    return run


def test_every_name_of_then_has_one_now():
    for then in (
        "core.embedding.weight",
        "core.embeddings_before.2.weight",
        "narrow.weight",
        "output.weight",
        "output_bias",
        "seen_ids",
    ):
        assert named_then(named_now(then)) == then
    for same in ("core.layers.0.kernel.weight_ih_l0", "core.learned_positions.weight", "inputs.embedding.weight"):
        assert named_now(same) == same


def test_an_old_run_is_scored_and_gone_on_with_as_it_was(
    seqtool: Command, small_run: Path, old_run: Path, prose_file: Path
):
    assert "output_bias" in safetensors.torch.load_file(old_run / "model.safetensors")
    assert "model/seen_ids" in safetensors.torch.load_file(old_run / "checkpoint" / "state.safetensors")
    weights = [load_run(run, CPU).model.state_dict() for run in (small_run, old_run)]
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())
    for run in (small_run, old_run):
        shutil.copytree(run, run.with_name(f"{run.name}-longer"), dirs_exist_ok=True)
    longer = [run.with_name(f"{run.name}-longer") for run in (small_run, old_run)]
    for run in longer:
        assert seqtool("train", prose_file, "-o", run, "--resume", "--steps", 70, "-q").returncode == 0
    weights = [safetensors.torch.load_file(run / "checkpoint" / "state.safetensors") for run in longer]
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())
