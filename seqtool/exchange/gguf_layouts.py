"""The layouts of GGUF files that a model is written in: Llama's, Qwen2's and GPT-2's, as llama.cpp names them."""

from __future__ import annotations

from seqtool.exchange.hub_layouts import LLAMA
from seqtool.exchange.layouts import (
    ATTENTION,
    DOWN,
    EMBEDDING,
    FEEDFORWARD,
    GATHERED,
    NORM,
    OUTPUT,
    PLAIN,
    POSITIONS,
    QKV,
    UP,
    ForeignLayout,
    Part,
    Telling,
    Weight,
    as_is,
    norm,
    norm_epsilon,
    of_parts,
    pairs_apart,
    pairs_beside,
    product,
)
from seqtool.models.cores.block import feedforward_width
from seqtool.settings.model import ModelConfig


def head_width(config: ModelConfig) -> int:
    """Numbers of a head."""
    return config.hidden // config.heads


SIZES: dict[str, Telling] = {
    "context_length": "context",
    "embedding_length": "hidden",
    "feed_forward_length": feedforward_width,
    "block_count": "layers",
    "attention.head_count": "heads",
}
OF_LLAMA: dict[str, Telling] = {
    **SIZES,
    "attention.head_count_kv": "key_heads",
    "attention.layer_norm_rms_epsilon": norm_epsilon,
    "rope.dimension_count": head_width,
    "rope.freq_base": "rope_base",
}


def _of_llama(turned: bool) -> tuple[Weight, ...]:
    """The weights of Llama as GGUF calls them. `turned`: the architecture's rope wants pairs of rows side by side."""
    arranged = (pairs_beside, pairs_apart) if turned else (None, None)
    return (
        as_is(EMBEDDING, "token_embd.weight"),
        as_is(f"{ATTENTION}_norm.weight", "blk.{}.attn_norm.weight"),
        *of_parts(QKV, Part("blk.{}.attn_q", *arranged), Part("blk.{}.attn_k", *arranged), Part("blk.{}.attn_v")),
        *product(GATHERED, "blk.{}.attn_output"),
        as_is(f"{FEEDFORWARD}_norm.weight", "blk.{}.ffn_norm.weight"),
        *product(UP, "blk.{}.ffn_gate", "blk.{}.ffn_up"),
        *product(DOWN, "blk.{}.ffn_down"),
        as_is(f"{NORM}.weight", "output_norm.weight"),
        as_is(OUTPUT, "output.weight"),
    )


GGUF_LLAMA = ForeignLayout(
    name="llama", architecture="llama", needs=LLAMA.needs, told=OF_LLAMA, fixed={}, weights=_of_llama(True)
)
GGUF_QWEN2 = ForeignLayout(
    name="qwen2",
    architecture="qwen2",
    needs={**LLAMA.needs, "output_bias": (True, False), "biases": (False,)},
    told=OF_LLAMA,
    fixed={},
    weights=(*_of_llama(False), as_is("head.bias", "output.bias")),
)
GGUF_GPT2 = ForeignLayout(
    name="gpt2",
    architecture="gpt2",
    needs={
        **PLAIN,
        "kv_heads": (0,),
        "norm": ("layer",),
        "position": ("learned", "sinusoidal"),
        "feedforward": ("gelu-tanh",),
    },
    told={**SIZES, "attention.layer_norm_epsilon": norm_epsilon},
    fixed={},
    weights=(
        as_is(EMBEDDING, "token_embd.weight"),
        as_is(POSITIONS, "position_embd.weight"),
        *norm(f"{ATTENTION}_norm", "blk.{}.attn_norm"),
        *product(QKV, "blk.{}.attn_qkv"),
        *product(GATHERED, "blk.{}.attn_output"),
        *norm(f"{FEEDFORWARD}_norm", "blk.{}.ffn_norm"),
        *product(UP, "blk.{}.ffn_up"),
        *product(DOWN, "blk.{}.ffn_down"),
        *norm(NORM, "output_norm"),
        as_is(OUTPUT, "output.weight"),
    ),
    biased=True,
    differs=("llama.cpp reads gelu from a table in half precision, so logits differ in their third decimal place.",),
)
GGUF_LAYOUTS = (GGUF_LLAMA, GGUF_QWEN2, GGUF_GPT2)
