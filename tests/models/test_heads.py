"""The softmax with and without its bias and the mass of unseen symbols."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from seqtool.models.loss import output_nats
from seqtool.models.size import parameter_count
from seqtool.runs.loading import load_run
from tests.conftest import Command
from tests.zoo import ZOO, V, zoo_model

CPU = torch.device("cpu")


def test_unseen_symbols_share_the_probability_of_one_more_token():
    model = zoo_model("lstm", seen=12, vocab_size=20)
    p = model(torch.tensor([[3, 4]]))[0].softmax(-1)[0, -1]
    assert p[12:].sum().item() == pytest.approx(1 / 1001, rel=1e-4)
    assert p[12:].unique().numel() == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_without_a_bias_is_torchs(dtype: torch.dtype):
    """Also of the part in C that takes the gradient while the logits are at hand."""
    draw = torch.Generator().manual_seed(0)
    features, W = (torch.randn(size, generator=draw) for size in ((2, 5, 8), (13, 8)))
    targets = torch.randint(13, (2, 5), generator=draw)
    gradients = []
    for of in (
        lambda x, W: output_nats(x, W, None, targets),
        lambda x, W: F.cross_entropy((x @ W.t()).float().flatten(0, 1), targets.flatten(), reduction="sum"),
    ):
        given = [features.clone().requires_grad_(), W.clone().requires_grad_()]
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            nats = of(*given)
        gradients.append([nats.detach(), *torch.autograd.grad(nats, given)])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(
            ours, theirs, rtol=1e-4 if dtype == torch.float32 else 3e-2, atol=1e-4 if dtype == torch.float32 else 3e-2
        )


def test_softmax_all_and_no_bias_are_flags_of_the_command(seqtool: Command, prose_file: Path, tmp_path: Path):
    """Every symbol is learned, and none has a bias; the probability that no token of the text has is a trained one."""
    plain = ["--softmax", "all", "--no-output-bias"]
    run = tmp_path / "run"
    train = ["train", prose_file, "-o", run, "--vocab-type", "char", "--steps", 8, "--hidden", 16, "-q"]
    assert seqtool(*train, *plain).returncode == 0
    model = load_run(run, CPU).model
    assert model.head.bias is None
    assert model.symbols.seen == model.vocab_size
    assert model.head.unseen_nats == 0
    logits, _ = model(torch.tensor([[5]]))
    assert math.isclose(logits.softmax(-1).sum().item(), 1, rel_tol=1e-5)
    assert seqtool("eval", run, "-", stdin="ŝ".encode()).returncode == 0
    assert seqtool("generate", run, "--max-tokens", 5, "--seed", 1).returncode == 0
    assert seqtool(*train, *plain, "--resume", "--steps", 12).returncode == 0
    refused = seqtool(*train, "--softmax", "seen", "--resume", "--steps", 16)
    assert refused.returncode == 2
    assert b"--softmax seen (was all)" in refused.stderr
    settings = json.loads((run / "config.json").read_text())
    assert (settings["model"]["output_bias"], settings["training"]["softmax"]) == (False, "all")


EVERY = pytest.mark.parametrize("name", ZOO)


@EVERY
def test_unseen_symbols_share_one_count(name: str):
    """17 of 30 symbols occur in a text of 1,000 tokens: the other 13 get 1/1001 of the probability, in equal parts."""
    model = zoo_model(name, seen=17, vocab_size=30)
    probabilities = model(torch.randint(30, (2, 5)))[0].softmax(-1)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(2, 5))
    torch.testing.assert_close(probabilities[..., 17:].sum(-1), torch.full((2, 5), 1 / 1001))
    torch.testing.assert_close(probabilities[..., 17:], torch.full((2, 5, 13), 1 / 1001 / 13))


def test_the_first_guess_is_the_frequency_of_symbols():
    model = zoo_model("lstm")
    model.head.output.weight.data.zero_()
    counts = torch.arange(1, V + 1) + 0.1
    torch.testing.assert_close(model(torch.zeros(1, 1, dtype=torch.long))[0].softmax(-1)[0, 0], counts / counts.sum())


def test_tied_weights_are_one():
    tied, untied = zoo_model("lstm tied"), zoo_model("lstm tied", tied=False)
    assert tied.head.weight is tied.inputs.embedding.weight
    assert "output.weight" not in tied.state_dict()
    assert (
        parameter_count(untied.config, untied.symbols) - parameter_count(tied.config, tied.symbols) == V * 16 - 12 * 16
    )
