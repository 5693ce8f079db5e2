"""The `.bin` files of llama2.c and llm.c: a header of sizes, and weights one after the other.

Both are read as what a configuration and tensors of the layout's own names would be. A file's length is compared with
what its header promises before anything is read. Weights in int8 (version 2 of llama2.c) are read as the numbers that
they stand for: each group of them has a scale.

Shapes: L layers, C width of the model, V vocabulary, I inner width, K width of keys and values.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqtool.errors import InputError

LLM_C, LLAMA2_C = 20240326, 0x616B3432
LLM_C_VERSIONS = {1: torch.float32, 3: torch.float32, 5: torch.bfloat16}
LLAMA2_C_VERSIONS = (1, 2)
IN_INT8 = 2
HEADER_BYTES = {"llm.c": 1024, "llama2.c": 256}
LEGACY_BYTES = 28
MOST = 1 << 24  # of any size in a header
LLAMA_LAYER = "model.layers.{}."
GPT2_LAYER = "transformer.h.{}."

Shape = tuple[int, ...]


class BinModel(NamedTuple):
    """A model as a configuration and tensors by the names of its layout."""

    format: str
    told: dict[str, Any]
    tensors: dict[str, Tensor]


class _Block(NamedTuple):
    """Weights in a row in a file, of each layer or one alone."""

    name: str
    shape: Shape
    layers: int = 0


def is_bin_model(head: bytes, size: int) -> bool:
    """Whether a file that begins so, of so many bytes, is of one of these formats."""
    if len(head) < LEGACY_BYTES:
        return False
    first, second, *_ = struct.unpack("<7i", head[:LEGACY_BYTES])
    return first in (LLM_C, LLAMA2_C) or (0 < first < MOST and 0 < second < MOST and size > LEGACY_BYTES)


def read_bin(path: Path) -> BinModel:
    """Read a model; InputError where the file is none, or not as long as its header says."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as stream:
            head = stream.read(max(HEADER_BYTES.values()))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if not is_bin_model(head, size):
        raise InputError(f"{path} is no model of llama2.c or llm.c: name a file or directory that is one")
    (first,) = struct.unpack("<i", head[:4])
    return _llm_c(path, head, size) if first == LLM_C else _llama2_c(path, head, size)


def _llama2_c(path: Path, head: bytes, size: int) -> BinModel:
    group = 0
    legacy = struct.unpack("<i", head[:4])[0] != LLAMA2_C
    if not legacy:
        version = struct.unpack("<i", head[4:8])[0]
        if version not in LLAMA2_C_VERSIONS:
            raise InputError(f"{path} is of version {version} of llama2.c: versions 0, 1 and 2 are read")
        if len(head) < HEADER_BYTES["llama2.c"]:
            raise InputError(f"{path} was cut short: get it anew")
        group = struct.unpack_from("<i", head, 37)[0] if version == IN_INT8 else 0
        if version == IN_INT8 and group < 1:
            raise InputError(f"{path} has scales for groups of {group} numbers: it is damaged, get it anew")
    C, inner, L, heads, key_heads, V, context = struct.unpack_from("<7i", head, 0 if legacy else 8)
    tied = V > 0 if legacy else bool(head[36])
    V = abs(V)
    _check_sizes(path, (C, inner, L, heads, key_heads, V, context))
    if C % heads or heads % key_heads or (C // heads) % 2:
        raise InputError(f"{path} has {C} numbers for {heads} heads, {key_heads} of them of keys: it is damaged")
    K = C // heads * key_heads
    norms = [_Block(f"{LLAMA_LAYER}input_layernorm.weight", (C,), L)]
    nets_norms = [_Block(f"{LLAMA_LAYER}post_attention_layernorm.weight", (C,), L)]
    last_norm, embedding = [_Block("model.norm.weight", (C,))], [_Block("model.embed_tokens.weight", (V, C))]
    attention = [
        _Block(f"{LLAMA_LAYER}self_attn.{part}_proj.weight", shape, L)
        for part, shape in (("q", (C, C)), ("k", (K, C)), ("v", (K, C)), ("o", (C, C)))
    ]
    net = [
        _Block(f"{LLAMA_LAYER}mlp.{part}_proj.weight", shape, L)
        for part, shape in (("gate", (inner, C)), ("down", (C, inner)), ("up", (inner, C)))
    ]
    output = [] if tied else [_Block("lm_head.weight", (V, C))]
    if legacy:
        rotations = [_Block(f"rotations.{part}", (context, C // heads // 2)) for part in ("cos", "sin")]
        blocks = [*embedding, *norms, *attention, *nets_norms, *net, *last_norm, *rotations, *output]
    else:
        blocks = [*norms, *nets_norms, *last_norm, *embedding, *attention, *net, *output]
    begin = LEGACY_BYTES if legacy else HEADER_BYTES["llama2.c"]
    if group and C % group:
        raise InputError(f"{path} has {C} numbers in groups of {group}, which do not go into them: it is damaged")
    tensors = _read(path, size, begin, blocks, torch.float32, group)
    for name in [name for name in tensors if name.startswith("rotations.")]:
        del tensors[name]
    for name, W in tensors.items():  # rope turns rows that lie side by side there
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            tensors[name] = W.unflatten(0, (-1, C // heads // 2, 2)).transpose(1, 2).flatten(0, 2)
    told = {
        "model_type": "llama", "hidden_size": C, "intermediate_size": inner, "num_hidden_layers": L,
        "num_attention_heads": heads, "num_key_value_heads": key_heads, "vocab_size": V,
        "max_position_embeddings": context, "tie_word_embeddings": tied, "rms_norm_eps": 1e-5,
    }  # fmt: skip
    return BinModel("llama2.c", told, tensors)


def _llm_c(path: Path, head: bytes, size: int) -> BinModel:
    if len(head) < HEADER_BYTES["llm.c"]:
        raise InputError(f"{path} was cut short: get it anew")
    version, context, V, L, heads, C, padded = struct.unpack_from("<7i", head, 4)
    if version not in LLM_C_VERSIONS:
        raise InputError(f"{path} is of version {version} of llm.c: versions 1, 3 and 5 are read")
    padded = V if version == 1 else padded
    _check_sizes(path, (context, V, L, heads, C, padded))
    if padded < V or C % heads:
        raise InputError(f"{path} has {V} symbols in {padded} rows, and {C} numbers for {heads} heads: it is damaged")
    blocks = [_Block("transformer.wte.weight", (padded, C)), _Block("transformer.wpe.weight", (context, C))]
    for name, shape in (
        ("ln_1.weight", (C,)), ("ln_1.bias", (C,)), ("attn.c_attn.weight", (3 * C, C)), ("attn.c_attn.bias", (3 * C,)),
        ("attn.c_proj.weight", (C, C)), ("attn.c_proj.bias", (C,)), ("ln_2.weight", (C,)), ("ln_2.bias", (C,)),
        ("mlp.c_fc.weight", (4 * C, C)), ("mlp.c_fc.bias", (4 * C,)), ("mlp.c_proj.weight", (C, 4 * C)),
        ("mlp.c_proj.bias", (C,)),
    ):  # fmt: skip
        blocks.append(_Block(f"{GPT2_LAYER}{name}", shape, L))
    blocks += [_Block(f"transformer.ln_f.{part}", (C,)) for part in ("weight", "bias")]
    tensors = _read(path, size, HEADER_BYTES["llm.c"], blocks, LLM_C_VERSIONS[version])
    tensors["transformer.wte.weight"] = tensors["transformer.wte.weight"][:V]
    for name, W in tensors.items():  # GPT-2's layout has them the other way round
        if W.dim() == 2 and ".h." in name:
            tensors[name] = W.t()
    told = {
        "model_type": "gpt2", "n_embd": C, "n_layer": L, "n_head": heads, "n_positions": context, "vocab_size": V,
        "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
    }  # fmt: skip
    return BinModel("llm.c", told, tensors)


def _check_sizes(path: Path, sizes: Sequence[int]) -> None:
    if not all(0 < size < MOST for size in sizes):
        raise InputError(f"{path} promises impossible sizes in its header: it is no model of that format, or damaged")


def _named(blocks: Sequence[_Block]) -> Iterator[tuple[str, Shape]]:
    for block in blocks:
        for number in range(block.layers or 1):
            yield block.name.replace("{}", str(number)), block.shape


def _read(
    path: Path, size: int, begin: int, blocks: Sequence[_Block], dtype: torch.dtype, group: int = 0
) -> dict[str, Tensor]:
    """The weights by name; InputError unless the file is exactly as long as they are.

    With a `group`, matrices are in int8, and after each stand the scales of so many numbers of it.
    """
    promised = begin + sum((block.layers or 1) * _width(block.shape, dtype, group) for block in blocks)
    if promised != size:  # before weights are named, of which there may be as many as layers are promised
        raise InputError(
            f"{path} is {size:,} bytes long, where its header promises {promised:,}: "
            "it was cut short, or is no model of that format"
        )
    named = list(_named(blocks))
    widths = [_width(shape, dtype, group) for _, shape in named]
    values = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)[begin:]
    found = {}
    for (name, shape), part in zip(named, values.split(widths), strict=True):
        in_int8 = group and len(shape) > 1
        found[name] = (_scaled(part, math.prod(shape), group) if in_int8 else part.view(dtype)).view(shape)
    return found


def _width(shape: Shape, dtype: torch.dtype, group: int) -> int:
    """Bytes of a weight."""
    numbers = math.prod(shape)
    return numbers + numbers // group * 4 if group and len(shape) > 1 else numbers * dtype.itemsize


def _scaled(part: Tensor, numbers: int, group: int) -> Tensor:
    """Numbers in int8, each times the scale of its group; the scales stand behind them."""
    scales = part[numbers:].clone().view(torch.float32)
    return part[:numbers].view(torch.int8).view(-1, group) * scales[:, None]
