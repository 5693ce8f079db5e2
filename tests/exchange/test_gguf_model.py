"""Runs as GGUF files: by the reader of the gguf package, and by llama.cpp where llama-cpp-python is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtool.errors import UsageError
from seqtool.exchange.foreign_vocabulary import read_tokenizer
from seqtool.exchange.gguf_model import _overlapping, split_otherwise, write_gguf
from seqtool.exchange.pieces import merged_pieces
from seqtool.models.cores.block import PositionWise
from seqtool.models.language_model import LanguageModel
from tests.exchange.byte_level import TEXT, saved
from tests.exchange.untrained import HOSTILE, LLAMA, greedy, untrained_run, vocabulary_of
from tests.text.small_byte_level import small_vocabulary
from tests.text.test_splitting import hostile

gguf = pytest.importorskip("gguf")

GPT2 = {"norm": "layer", "position": "learned", "feedforward": "gelu-tanh"}
COMBINATIONS: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama tied": {"tied": True},
    "qwen2": {"output_bias": True},
    "qwen2 tied": {"output_bias": True, "tied": True},
    "llama keys shared": {"kv_heads": 2},
    "llama biases": {"biases": True, "kv_heads": 1, "norm_epsilon": 1e-2, "rope_base": 500.0},
    "gpt2": {**GPT2, "biases": True, "norm_epsilon": 1e-2},
    "gpt2 tied sinusoidal": {**GPT2, "position": "sinusoidal", "tied": True},
}


def test_a_file_holds_the_weights_and_the_vocabulary(short_text: Path, tmp_path: Path):
    vocabulary = vocabulary_of(short_text, "bpe", symbols="<sep>")
    run = untrained_run(tmp_path / "run", vocabulary, **LLAMA)
    told = write_gguf(tmp_path / "x.gguf", run)
    assert told["architecture"] == "llama"
    found = gguf.GGUFReader(tmp_path / "x.gguf")
    values = {name: field.contents() for name, field in found.fields.items()}
    assert values["general.architecture"] == "llama"
    assert (values["llama.context_length"], values["llama.feed_forward_length"], values["llama.block_count"]) == (
        48,
        64,
        2,
    )
    assert values["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(1.1920929e-07)
    special = [
        values[f"tokenizer.ggml.{name}"]
        for name in ("bos_token_id", "eos_token_id", "unknown_token_id", "add_bos_token", "add_space_prefix")
    ]
    assert special == [vocabulary.begin_id, vocabulary.begin_id, vocabulary.unknown_id, True, False]
    assert values["tokenizer.ggml.tokens"] == [vocabulary.piece(index) for index in range(vocabulary.size)]
    kinds = np.bincount(values["tokenizer.ggml.token_type"])
    assert kinds.tolist() == [0, vocabulary.size - 259, 1, 1, 1, 0, 256]  # text, <unk>, <s>, <sep>, bytes
    tensors = {tensor.name: torch.tensor(tensor.data) for tensor in found.tensors}
    ours = dict(run.model.named_parameters())
    assert torch.equal(tensors["output.weight"], ours["head.output.weight"])
    Q = ours["core.layers.1.attention.queries_keys_values.weight"][:32].view(4, 2, 4, 32)
    assert torch.equal(tensors["blk.1.attn_q.weight"], Q.transpose(1, 2).reshape(32, 32))
    assert torch.equal(tensors["blk.1.attn_v.weight"], ours["core.layers.1.attention.queries_keys_values.weight"][64:])


def test_an_output_bias_is_qwen2s_and_turns_no_rows(short_text: Path, tmp_path: Path):
    run = untrained_run(tmp_path / "run", vocabulary_of(short_text, "char"), **LLAMA, output_bias=True)
    assert write_gguf(tmp_path / "x.gguf", run)["architecture"] == "qwen2"
    tensors = {tensor.name: torch.tensor(tensor.data) for tensor in gguf.GGUFReader(tmp_path / "x.gguf").tensors}
    ours = dict(run.model.named_parameters())
    assert torch.equal(tensors["output.bias"], ours["head.bias"])
    assert torch.equal(
        tensors["blk.0.attn_k.weight"], ours["core.layers.0.attention.queries_keys_values.weight"][32:64]
    )


def test_a_gpt2_has_positions_and_biases(short_text: Path, tmp_path: Path):
    run = untrained_run(tmp_path / "run", vocabulary_of(short_text, "char"), **GPT2, norm_epsilon=1e-2, inner=40)
    told = write_gguf(tmp_path / "x.gguf", run)
    assert told["architecture"] == "gpt2"
    assert told["differs"][0].startswith("llama.cpp reads gelu from a table")
    found = gguf.GGUFReader(tmp_path / "x.gguf")
    values = {name: field.contents() for name, field in found.fields.items() if name.startswith("gpt2.")}
    assert values.pop("gpt2.attention.layer_norm_epsilon") == pytest.approx(1e-2)
    assert values == {
        "gpt2.context_length": 48, "gpt2.embedding_length": 32, "gpt2.feed_forward_length": 40, "gpt2.block_count": 2,
        "gpt2.attention.head_count": 4, "gpt2.vocab_size": run.vocabulary.size,
    }  # fmt: skip
    tensors = {tensor.name: torch.tensor(tensor.data) for tensor in found.tensors}
    ours = dict(run.model.named_parameters())
    assert torch.equal(tensors["position_embd.weight"], ours["core.learned_positions.weight"])
    assert torch.equal(tensors["blk.1.attn_qkv.weight"], ours["core.layers.1.attention.queries_keys_values.weight"])
    assert tensors["blk.0.ffn_up.bias"].shape == (40,)
    assert not tensors["blk.0.ffn_up.bias"].any()


def test_what_is_not_exact_is_refused(short_text: Path, tmp_path: Path):
    vocabulary = vocabulary_of(short_text, "char")
    refused = {
        "that of gpt2 would be with --feedforward gelu-tanh": untrained_run(
            tmp_path / "1", vocabulary, **{**GPT2, "feedforward": "relu"}
        ),
        "would be with --softmax all": untrained_run(tmp_path / "2", vocabulary, seen=40, **LLAMA),
        "--to gguf: a vocabulary of type unigram": untrained_run(
            tmp_path / "3", vocabulary_of(short_text, "unigram"), **LLAMA
        ),
    }
    for told, run in refused.items():
        with pytest.raises(UsageError, match=told):
            write_gguf(tmp_path / "x.gguf", run)
    assert not (tmp_path / "x.gguf").exists()


def test_what_is_split_otherwise_is_named(short_text: Path):
    assert [line.split(",")[0] for line in split_otherwise(vocabulary_of(short_text, "char"))] == [
        "A U+2581 in a text is read as a space"
    ]
    assert _overlapping(["<sep>", "ab"]) is None
    assert _overlapping(["x<s", "<sep>"]) == ("x<s", "<sep>")
    assert (
        "symbols x<s and <sep> overlap" in split_otherwise(vocabulary_of(short_text, "char", symbols="x<s,<sep>"))[-1]
    )


def loaded(path: Path, **settings: Any) -> Any:
    """A GGUF file in llama.cpp, with keys and values in f32."""
    llama_cpp = pytest.importorskip("llama_cpp")
    f32 = llama_cpp.GGML_TYPE_F32
    return llama_cpp.Llama(
        str(path),
        n_ctx=48,
        logits_all=True,
        type_k=f32,
        type_v=f32,
        flash_attn=False,
        verbose=False,
        n_threads=1,
        **settings,
    )


def gelu_of_halves(x: torch.Tensor) -> torch.Tensor:
    """Gelu as llama.cpp has it: a table of half precision between -10 and 10."""
    table = torch.nn.functional.gelu(x.half().float(), approximate="tanh").half().float()
    return torch.where(x >= 10, x, torch.where(x <= -10, 0, table))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMBINATIONS)
@torch.inference_mode()
def test_logits_and_greedy_text_are_those_of_llama_cpp(
    name: str, short_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = untrained_run(tmp_path / "run", vocabulary_of(short_text, "bpe"), **{**LLAMA, **COMBINATIONS[name]})
    model, vocabulary = run.model, run.vocabulary
    assert isinstance(model, LanguageModel)
    write_gguf(tmp_path / "x.gguf", run)
    theirs = loaded(tmp_path / "x.gguf")
    ids = torch.randint(0, vocabulary.size, (1, 48), generator=torch.Generator().manual_seed(1))
    ids[:, 0] = vocabulary.begin_id
    theirs.eval(ids[0].tolist())
    found = torch.tensor(theirs.scores[:48])
    logits = model(ids)[0][0]
    if name.startswith("gpt2"):
        torch.testing.assert_close(logits, found, atol=5e-3, rtol=0)
        assert ((logits - found).abs() < 1e-4).float().mean() < 0.8
        monkeypatch.setattr(PositionWise, "activate", lambda self, x: gelu_of_halves(x))
        # But for the tokens where a number just beside the middle of two halves is rounded the other way.
        assert ((model(ids)[0][0] - found).abs() < 1e-4).float().mean() > 0.95
        monkeypatch.undo()
    else:
        torch.testing.assert_close(logits, found, atol=1e-4, rtol=0)
    prompt, written = vocabulary.encode("The").tolist(), []
    theirs.reset()
    theirs.eval([vocabulary.begin_id, *prompt])
    for _ in range(30):
        written.append(int(np.argmax(theirs.scores[theirs.n_tokens - 1])))
        theirs.eval(written[-1:])
    assert written == greedy(model, prompt, 30)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "settings"), [("bpe", {}), ("bpe", {"symbols": "<sep>"}), ("char", {}), ("byte", {})])
def test_tokenisation_is_that_of_llama_cpp(kind: str, settings: dict[str, Any], short_text: Path, tmp_path: Path):
    vocabulary = vocabulary_of(short_text, kind, **settings)
    write_gguf(tmp_path / "x.gguf", untrained_run(tmp_path / "run", vocabulary, **LLAMA))
    theirs = loaded(tmp_path / "x.gguf", vocab_only=True)
    for text in [*HOSTILE, "a<sep>b <sep>", short_text.read_text()[:4000]]:
        ids = vocabulary.encode(text).tolist()
        found = theirs.tokenize(text.encode(), add_bos=True, special=False)
        if "\u2581" in text:  # which is a space there, as the file's description says
            assert found == [vocabulary.begin_id, *vocabulary.encode(text.replace("\u2581", " ")).tolist()]
        else:
            assert found == [vocabulary.begin_id, *ids], text
            assert theirs.detokenize(ids).decode() == text


BYTE_LEVEL = {"gpt-2": "gpt-2", "smollm": "smollm", "llama-3": "llama-bpe", "qwen2": "qwen2"}


def byte_level(folder: Path, splitting: str, **settings: Any) -> Any:
    """A vocabulary of byte-level BPE, without a normal form, which llama.cpp has not."""
    pytest.importorskip("tokenizers")
    told = json.loads(saved(folder, splitting, ignore_merges=splitting == "llama-3", **settings).to_str())
    (folder / "tokenizer.json").write_text(json.dumps(told | {"normalizer": None}))
    return read_tokenizer(folder / "tokenizer.json")


@pytest.mark.parametrize("splitting", BYTE_LEVEL)
def test_byte_level_bpe_is_written_by_its_name_there(splitting: str, tmp_path: Path):
    vocabulary = byte_level(tmp_path, splitting, symbols=("<sep>",))
    write_gguf(tmp_path / "x.gguf", untrained_run(tmp_path / "run", vocabulary, **LLAMA))
    fields = {name: field.contents() for name, field in gguf.GGUFReader(tmp_path / "x.gguf").fields.items()}
    assert (fields["tokenizer.ggml.model"], fields["tokenizer.ggml.pre"]) == ("gpt2", BYTE_LEVEL[splitting])
    assert fields["tokenizer.ggml.tokens"] == [vocabulary.piece(index) for index in range(vocabulary.size)]
    assert fields["tokenizer.ggml.merges"] == [" ".join(pair) for pair in merged_pieces(vocabulary)]
    assert fields["tokenizer.ggml.token_type"].count(3) == 2
    assert fields["tokenizer.ggml.token_type"].count(4) == 1
    assert fields["tokenizer.ggml.bos_token_id"] == vocabulary.begin_id
    assert "tokenizer.ggml.unknown_token_id" not in fields


def test_merges_that_llama_cpp_would_not_ignore_are_told(tmp_path: Path):
    vocabulary = small_vocabulary("qwen2", ignore_merges=True)
    with pytest.raises(UsageError, match="does not ignore the merges of a piece such as"):
        write_gguf(tmp_path / "x.gguf", untrained_run(tmp_path / "run", vocabulary, **LLAMA))


@pytest.mark.slow
@pytest.mark.parametrize("splitting", BYTE_LEVEL)
def test_tokenisation_of_byte_level_bpe_is_that_of_llama_cpp(splitting: str, tmp_path: Path):
    vocabulary = byte_level(tmp_path, splitting, symbols=("<sep>",))
    write_gguf(tmp_path / "x.gguf", untrained_run(tmp_path / "run", vocabulary, **LLAMA))
    theirs = loaded(tmp_path / "x.gguf", vocab_only=True)
    for text in [*HOSTILE, *hostile(100), TEXT[:300], "a<sep>b"]:
        if "\0" in text or not text:
            continue
        found = theirs.tokenize(text.encode(), add_bos=True, special=False)
        assert found == [vocabulary.begin_id, *vocabulary.encode(text).tolist()], text
