"""Runs as graphs of one step, by onnxruntime against the model, over many steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtool.errors import UsageError
from seqtool.exchange.onnx_model import check_net, write_onnx
from seqtool.models.language_model import LanguageModel
from seqtool.runs.config import new_config
from seqtool.runs.loading import Run
from seqtool.settings.training import TrainConfig
from tests.exchange.untrained import LLAMA, greedy, untrained_run, vocabulary_of
from tests.zoo import ZOO, zoo_model

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

QUICK = (
    "lstm",
    "gru one-hot",
    "ffn of one token",
    "gdn of 2 mirrors tied",
    "gdn and attention",
    "transformer sinusoidal relu tied",
    "mingru signed",
)
"""Of the zoo, one of each kind of core and mixer."""


class Stepped:
    """A graph, run a token at a time as its metadata say."""

    def __init__(self, path: Path, rows: int) -> None:
        self.session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.told = json.loads(self.session.get_modelmeta().custom_metadata_map["seqtool"])
        kinds = {given.name: np.int64 if "int64" in given.type else np.float32 for given in self.session.get_inputs()}
        self.state = {}
        for name, state in self.told["states"].items():
            shape = [rows if size == "batch" else 0 if isinstance(size, str) else size for size in state["shape"]]
            self.state[name] = np.full(shape, state["begin"], kinds[name])
        self.names = [output.name for output in self.session.get_outputs()]

    def step(self, ids_B: torch.Tensor) -> torch.Tensor:
        logits, *after = self.session.run(None, {"ids": ids_B.numpy(), **self.state})
        self.state = {name.removesuffix(".after"): value for name, value in zip(self.names[1:], after, strict=True)}
        return torch.from_numpy(logits)


def run_of(model: LanguageModel, text: Path) -> Run:
    """A run of a model of the zoo, whose vocabulary is another, which the graph says nothing of but its hash."""
    vocabulary = vocabulary_of(text, "char")
    return Run(
        Path("zoo.run"), new_config(model.config, TrainConfig(), model.symbols, vocabulary, {}), vocabulary, model
    )


@pytest.mark.parametrize("seen", [20, 13])
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ZOO]
)
@torch.inference_mode()
def test_logits_are_the_models_over_many_steps(name: str, seen: int, short_text: Path, tmp_path: Path):
    model = zoo_model(name, seen=seen)
    for parameter in model.parameters():
        parameter.mul_(2)  # so that logits differ much
    write_onnx(tmp_path / "x.onnx", run_of(model, short_text))
    for rows in (1, 3):
        ids = torch.randint(0, 20, (rows, 24), generator=torch.Generator().manual_seed(rows))
        ids[:, 0] = model.begin_id
        stepped = Stepped(tmp_path / "x.onnx", rows)
        found = torch.stack([stepped.step(ids_B) for ids_B in ids.unbind(1)], 1)
        torch.testing.assert_close(found, model(ids)[0], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_a_token_beyond_the_context_ends_with_an_error(short_text: Path, tmp_path: Path):
    for name in ("transformer plain", "transformer learned gelu layer"):
        model = zoo_model(name)
        write_onnx(tmp_path / "x.onnx", run_of(model, short_text))
        stepped = Stepped(tmp_path / "x.onnx", 2)
        assert stepped.told["context"] == 24
        for _ in range(24):
            stepped.step(torch.tensor([1, 2]))
        with pytest.raises(Exception, match=r"out of data bounds|out of bounds"):
            stepped.step(torch.tensor([1, 2]))


@torch.inference_mode()
def test_greedy_text_is_the_models(short_text: Path, tmp_path: Path):
    run = untrained_run(tmp_path / "run", vocabulary_of(short_text, "char"), **LLAMA)
    told = write_onnx(tmp_path / "x.onnx", run)
    assert told["vocab_size"] == run.vocabulary.size
    assert isinstance(run.model, LanguageModel)
    prompt, stepped, written = run.vocabulary.encode("The").tolist(), Stepped(tmp_path / "x.onnx", 1), []
    assert stepped.told["vocabulary_sha256"] == run.vocabulary.sha256
    for token in [stepped.told["begin_id"], *prompt]:
        logits = stepped.step(torch.tensor([token]))
    for _ in range(20):
        written.append(int(logits[0].argmax()))
        logits = stepped.step(torch.tensor(written[-1:]))
    assert written == greedy(run.model, prompt, 20)


def test_what_is_no_net_is_refused(short_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = run_of(zoo_model("lstm"), short_text)
    other: Any = object()
    with pytest.raises(UsageError, match="not one net"):
        check_net(Run(run.path, run.config, run.vocabulary, other))
    monkeypatch.setattr("seqtool.exchange.onnx_model.MOST_BYTES", 100)
    with pytest.raises(UsageError, match="export it --to gguf"):
        check_net(run)
