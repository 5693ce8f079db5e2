"""Runs as directories that transformers loads, by transformers itself where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seqtool.errors import UsageError
from seqtool.exchange.huggingface import export_huggingface
from seqtool.exchange.importing import import_model, write_imported
from seqtool.models.language_model import LanguageModel
from seqtool.runs.loading import load_run
from tests.exchange import foreign
from tests.exchange.untrained import HOSTILE, LLAMA, greedy, untrained_run, vocabulary_of

pytest.importorskip("tokenizers")

TOLD = {"biases": True, "norm_epsilon": 1e-2, "rope_base": 500.0}
COMBINATIONS: dict[str, dict[str, Any]] = {
    "LlamaForCausalLM": LLAMA,
    "LlamaForCausalLM tied": {**LLAMA, "tied": True, "inner": 0},
    "GPT2LMHeadModel learned gelu": {"norm": "layer", "position": "learned", "feedforward": "gelu"},
    "GPT2LMHeadModel sinusoidal relu tied": {"norm": "layer", "position": "sinusoidal", "feedforward": "relu", "tied": True, "inner": 40},
    "GPTNeoXForCausalLM gelu": {"norm": "layer", "position": "rope", "feedforward": "gelu"},
    "GPTNeoXForCausalLM relu tied": {"norm": "layer", "position": "rope", "feedforward": "relu", "tied": True},
    "LlamaForCausalLM biases": {**LLAMA, **TOLD, "kv_heads": 2},
    "GPT2LMHeadModel biases": {"norm": "layer", "position": "learned", "feedforward": "gelu-tanh", **TOLD},
    "GPTNeoXForCausalLM biases": {"norm": "layer", "position": "rope", "feedforward": "gelu-tanh", **TOLD},
}  # fmt: skip


def test_a_directory_holds_what_is_loaded(short_text: Path, tmp_path: Path):
    run = untrained_run(tmp_path / "run", vocabulary_of(short_text, "char"), **LLAMA)
    folder = tmp_path / "out"
    folder.mkdir()
    assert export_huggingface(folder, run)["architecture"] == "LlamaForCausalLM"
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md",
    }  # fmt: skip
    told = json.loads((folder / "config.json").read_text())
    assert (told["vocab_size"], told["bos_token_id"], told["intermediate_size"]) == (
        run.vocabulary.size,
        run.vocabulary.begin_id,
        64,
    )
    safetensors = pytest.importorskip("safetensors.torch")
    tensors = safetensors.load_file(folder / "model.safetensors")
    assert torch.equal(tensors["lm_head.weight"], run.model.head.weight)


def test_what_is_not_exact_is_refused(short_text: Path, tmp_path: Path):
    vocabulary = vocabulary_of(short_text, "char")
    refused = {
        "that of llama would be with --stem 1": untrained_run(tmp_path / "1", vocabulary, **LLAMA | {"stem": 3}),
        "that of llama would be with --softmax all": untrained_run(tmp_path / "2", vocabulary, seen=40, **LLAMA),
        "that of llama would be with --no-output-bias": untrained_run(
            tmp_path / "3", vocabulary, **LLAMA, output_bias=True
        ),
        "a vocabulary of type unigram": untrained_run(tmp_path / "4", vocabulary_of(short_text, "unigram"), **LLAMA),
    }
    for told, run in refused.items():
        with pytest.raises(UsageError, match=told):
            export_huggingface(tmp_path, run)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMBINATIONS)
@torch.inference_mode()
def test_logits_and_greedy_text_are_those_of_transformers(name: str, short_text: Path, tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    run = untrained_run(tmp_path / "run", vocabulary_of(short_text, "bpe"), **COMBINATIONS[name])
    model, vocabulary = run.model, run.vocabulary
    assert isinstance(model, LanguageModel)
    (tmp_path / "out").mkdir()
    assert export_huggingface(tmp_path / "out", run)["architecture"] == name.split()[0]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert type(theirs).__name__ == name.split()[0]
    ids = torch.randint(0, vocabulary.size, (3, 48), generator=torch.Generator().manual_seed(1))
    ids[:, 0] = vocabulary.begin_id
    torch.testing.assert_close(model(ids)[0], theirs(ids).logits, atol=1e-4, rtol=0)
    prompt = vocabulary.encode("The").tolist()
    written = theirs.generate(
        torch.tensor([[vocabulary.begin_id, *prompt]]), max_new_tokens=30, do_sample=False, eos_token_id=None
    )
    assert written[0, 1 + len(prompt) :].tolist() == greedy(model, prompt, 30)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@torch.inference_mode()
def test_what_was_imported_goes_back(kind: str, tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    vocabulary = foreign.vocabulary(tmp_path)
    settings = {"attention_bias": True, "mlp_bias": True} if kind == "llama" else {"layer_norm_epsilon": 1e-2}
    with torch.inference_mode(False):
        before = getattr(foreign, kind)(tmp_path / "before", **settings)
    for folder in (tmp_path / "run", tmp_path / "after"):
        folder.mkdir()
    write_imported(tmp_path / "run", import_model(tmp_path / "before", vocabulary))
    assert kind == "gpt2" or before.config.num_key_value_heads == 2
    export_huggingface(tmp_path / "after", load_run(tmp_path / "run", torch.device("cpu")))
    after = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "after").eval()
    assert type(after) is type(before)
    assert sum(W.numel() for W in after.parameters()) == sum(W.numel() for W in before.parameters())
    ids = torch.randint(0, foreign.SYMBOLS, (2, 30), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(after(ids).logits, before(ids).logits, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bpe", "char", "byte"])
def test_tokenisation_is_that_of_transformers(kind: str, short_text: Path, tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    vocabulary = vocabulary_of(short_text, kind)
    run = untrained_run(tmp_path / "run", vocabulary, **LLAMA)
    (tmp_path / "out").mkdir()
    export_huggingface(tmp_path / "out", run)
    for load in (transformers.AutoTokenizer, transformers.PreTrainedTokenizerFast):
        tokenizer = load.from_pretrained(tmp_path / "out")
        for text in HOSTILE:
            ids = [vocabulary.begin_id, *vocabulary.encode(text).tolist()]
            assert tokenizer(text).input_ids == ids, text
            assert tokenizer.decode(ids, skip_special_tokens=True) == text
