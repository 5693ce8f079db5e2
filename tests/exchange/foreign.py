"""Tiny models of other programs, made by transformers itself or by their formats' definitions."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.vocabulary import Vocabulary

SYMBOLS = 270


def vocabulary(folder: Path, size: int = SYMBOLS) -> Vocabulary:
    """A vocabulary of so many symbols, which also lies in `folder`/v.model."""
    (folder / "v.txt").write_text("the quick brown fox jumps over the lazy dog, 0123456789\n" * 30)
    found = learn_vocabulary(TextSource([str(folder / "v.txt")]), VocabularyConfig(type="char", size=size))
    (folder / "v.model").write_bytes(found.model)
    return found


@torch.no_grad()
def strong(model: torch.nn.Module) -> Any:
    """The model with weights so large that every part of it shows in what it computes."""
    for name, weight in model.named_parameters():
        torch.nn.init.normal_(weight, mean=float(weight.dim() < 2 and "bias" not in name), std=0.2)
    return model.eval()


def llama(folder: Path, **settings: Any) -> Any:
    """A Llama with grouped keys, saved by transformers."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {
        "vocab_size": SYMBOLS, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "rope_theta": 5000.0,
        "rms_norm_eps": 1e-3,
    }  # fmt: skip
    model = strong(LlamaForCausalLM(LlamaConfig(**{**sizes, **settings})))
    model.save_pretrained(folder)
    return model


def qwen2(folder: Path, **settings: Any) -> Any:
    """A Qwen2, whose queries, keys and values alone have biases, saved by transformers."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    sizes = {
        "vocab_size": SYMBOLS, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": True,
    }  # fmt: skip
    model = strong(Qwen2ForCausalLM(Qwen2Config(**{**sizes, **settings})))
    model.save_pretrained(folder)
    return model


def gpt2(folder: Path, **settings: Any) -> Any:
    """A GPT-2, saved by transformers."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"vocab_size": SYMBOLS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    ends = {"bos_token_id": 1, "eos_token_id": 1}
    model = strong(GPT2LMHeadModel(GPT2Config(**{**sizes, **ends, **settings})))
    model.save_pretrained(folder)
    return model


def in_int8(tensor: Tensor, group: int) -> tuple[bytes, Tensor]:
    """A matrix in int8 and then the scale of each group, as llama2.c's version 2 has it, and what that stands for."""
    rows = tensor.float().reshape(-1, group)
    scales = rows.abs().amax(1, keepdim=True) / 127
    whole = (rows / scales).round()
    data = whole.to(torch.int8).numpy().tobytes() + scales.numpy().tobytes()
    return data, (whole * scales).view_as(tensor)


@torch.no_grad()
def rounded(model: Any, group: int) -> None:
    """Round a model's matrices to what stands for them in int8."""
    for weight in model.parameters():
        if weight.dim() > 1:
            weight.copy_(in_int8(weight, group)[1])


def llama2_c(path: Path, model: Any, version: int, group: int = 16) -> None:
    """Write a Llama of transformers as llama2.c has it: rows that rope turns side by side."""
    config, W = model.config, {name: weight.detach() for name, weight in model.state_dict().items()}
    half = config.hidden_size // config.num_attention_heads // 2

    def beside(rows: Tensor) -> Tensor:
        return rows.unflatten(0, (-1, 2, half)).transpose(1, 2).flatten(0, 2)

    def layers(name: str, turned: bool = False) -> list[Tensor]:
        found = [W[f"model.layers.{number}.{name}.weight"] for number in range(config.num_hidden_layers)]
        return [beside(one) if turned else one for one in found]

    attention = [layers("self_attn.q_proj", True), layers("self_attn.k_proj", True), layers("self_attn.v_proj")]
    attention.append(layers("self_attn.o_proj"))
    net = [layers("mlp.gate_proj"), layers("mlp.down_proj"), layers("mlp.up_proj")]
    norms, nets_norms = layers("input_layernorm"), layers("post_attention_layernorm")
    embedding, last, output = W["model.embed_tokens.weight"], W["model.norm.weight"], W["lm_head.weight"]
    sizes = [
        config.hidden_size, config.intermediate_size, config.num_hidden_layers, config.num_attention_heads,
        config.num_key_value_heads, config.vocab_size, config.max_position_embeddings,
    ]  # fmt: skip
    flat = [tensor for group in attention for tensor in group]
    if version == 0:
        sizes[5] = -sizes[5]  # with an output of its own
        head = struct.pack("<7i", *sizes)
        rotations = [torch.zeros(config.max_position_embeddings, half)] * 2
        parts = [
            embedding,
            *norms,
            *flat,
            *nets_norms,
            *(one for group in net for one in group),
            last,
            *rotations,
            output,
        ]
    else:
        head = struct.pack("<2i7iBi", 0x616B3432, version, *sizes, 0, group if version == 2 else 0).ljust(256, b"\0")
        parts = [*norms, *nets_norms, last, embedding, *flat, *(one for group in net for one in group), output]
    whole = [part.contiguous().float() for part in parts]
    in_bytes = [
        in_int8(part, group)[0] if version == 2 and part.dim() > 1 else part.numpy().tobytes() for part in whole
    ]
    path.write_bytes(head + b"".join(in_bytes))


def llama2_c_vocabulary(path: Path, vocabulary: Vocabulary, newlines: str = "\n") -> None:
    """Write a vocabulary as llama2.c has it; only the pieces of text after the bytes count."""
    scores = vocabulary.scores()
    bytes_of_all = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = ["<unk>", f"{newlines}<s>{newlines}", f"{newlines}</s>{newlines}", *bytes_of_all]
    pieces += [piece for piece in scores if piece not in bytes_of_all]
    content = struct.pack("<i", max(map(len, pieces)))
    for piece in pieces:
        data = piece.replace("\u2581", " ").encode()
        content += struct.pack("<fi", scores.get(piece, 0.0), len(data)) + data
    path.write_bytes(content)


def llm_c(path: Path, model: Any, version: int = 3) -> None:
    """Write a GPT-2 of transformers as llm.c has it: matrices the other way round, the vocabulary padded."""
    config, W = model.config, {name: weight.detach() for name, weight in model.state_dict().items()}
    padded = -(-config.vocab_size // 128) * 128 if version != 1 else config.vocab_size
    sizes = [config.n_positions, config.vocab_size, config.n_layer, config.n_head, config.n_embd, padded]
    wte = torch.zeros(padded, config.n_embd)
    wte[: config.vocab_size] = W["transformer.wte.weight"]
    parts = [wte, W["transformer.wpe.weight"]]
    for name in ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"):
        for part in ("weight", "bias"):
            found = [W[f"transformer.h.{number}.{name}.{part}"] for number in range(config.n_layer)]
            parts += [one.t() if one.dim() == 2 else one for one in found]
    parts += [W["transformer.ln_f.weight"], W["transformer.ln_f.bias"]]
    dtype = torch.bfloat16 if version == 5 else torch.float32
    data = b"".join(part.to(dtype).contiguous().view(torch.uint8).numpy().tobytes() for part in parts)
    path.write_bytes(struct.pack("<8i", 20240326, version, *sizes).ljust(1024, b"\0") + data)
