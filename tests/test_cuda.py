"""CPU and GPU agree. Skipped where there is no CUDA device."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtool.generation.generating import Sample, generate
from seqtool.models.decoding.stepper import ModelStepper
from seqtool.models.loss import total_nats
from seqtool.scoring.scorer import score_documents
from seqtool.settings.generation import GenerateConfig
from seqtool.settings.training import TrainConfig
from seqtool.training.gradients import clip_gradients
from seqtool.training.optimizers import OPTIMIZERS, make_optimizers
from tests.conftest import Command
from tests.zoo import ZOO, V, zoo_model

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
EVERY = pytest.mark.parametrize("name", ZOO)
IDS = torch.randint(V, (4, 20), generator=torch.Generator().manual_seed(0))


@EVERY
def test_logits_gradients_and_states_agree(name: str):
    results = []
    for device in ("cpu", "cuda"):
        model = zoo_model(name).to(device).train()  # cuDNN gives gradients in training only
        ids = IDS.to(device)
        first, state = model(ids[:, :12])
        second, _ = model(ids[:, 12:], state)
        total_nats(torch.cat([first, second], dim=1), ids.roll(-1, 1)).backward()
        gradients = [parameter.grad.cpu() for parameter in model.parameters() if parameter.grad is not None]
        results.append([first.detach().cpu(), second.detach().cpu(), *gradients])
    for cpu, cuda in zip(*results, strict=True):
        torch.testing.assert_close(cuda, cpu, rtol=1e-3, atol=1e-4)


@EVERY
def test_scores_agree(name: str):
    documents = [np.random.default_rng(size).integers(2, V, size).astype(np.uint16) for size in (1, 30, 300)]
    totals = [
        sum(float(part.nats.sum(dtype=np.float64)) for part in score_documents(zoo_model(name).to(device), documents))
        for device in ("cpu", "cuda")
    ]
    assert totals[1] == pytest.approx(totals[0], rel=1e-5)


@EVERY
def test_greedy_texts_agree(name: str):
    texts = []
    for device in ("cpu", "cuda"):
        model = zoo_model(name, seed=5).to(device)
        one = Sample([3, 4])
        list(generate(ModelStepper(model), [one], GenerateConfig(greedy=True, max_tokens=30)))
        texts.append(one.tokens)
    assert texts[0] == texts[1]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_updates_agree(optimizer: str):
    weights = []
    for device in ("cpu", "cuda"):
        model = zoo_model("lstm").to(device).train()
        config = TrainConfig(optimizer=optimizer, lr=0.01, momentum=0.5 if optimizer == "sgd" else 0.0)
        rules = make_optimizers(model.weights(), config)
        for _ in range(3):
            model.zero_grad()
            (total_nats(model(IDS.to(device))[0], IDS.roll(-1, 1).to(device)) / IDS.numel()).backward()
            clip_gradients(list(model.parameters()), config)
            for rule in rules:
                rule.step()
        weights.append(model.head.weight.detach().cpu())
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model", ["lstm", "transformer"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_trained_on_the_gpu_scores_the_same_on_the_cpu(
    seqtool: Command, prose_file: Path, tmp_path: Path, model: str, precision: str
):
    run = tmp_path / "run"
    settings = ["--model", model, "--steps", 30, "--vocab-type", "char", "--hidden", 32, "--layers", 2]
    result = seqtool("train", prose_file, "-o", run, *settings, "--device", "cuda", "--precision", precision, "-q")
    assert result.returncode == 0, result.stderr.decode()
    reports = [
        json.loads(seqtool("eval", run, "-", "--device", device, "--json", stdin=b"some text " * 50).stdout)
        for device in ("cpu", "cuda")
    ]
    assert reports[1]["nats"] == pytest.approx(reports[0]["nats"], rel=1e-4)
    assert seqtool("train", prose_file, "-o", run, "--resume", "-q").returncode == 0
