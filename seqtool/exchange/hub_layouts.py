"""The layouts of transformers: Llama's, GPT-2's and GPT-NeoX's, for export; the first two, and Qwen2's, for import."""

from __future__ import annotations

from dataclasses import replace

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
    apart_from_heads,
    as_is,
    beside_heads,
    called,
    norm,
    norm_epsilon,
    product,
    transposed,
)
from seqtool.models.cores.block import feedforward_width

ACTIVATIONS = {"gelu": "gelu", "gelu-tanh": "gelu_new", "relu": "relu", "swiglu": "silu"}
"""What our --feedforward is called."""

LLAMA = ForeignLayout(
    name="llama",
    architecture="LlamaForCausalLM",
    needs={**PLAIN, "norm": ("rms",), "position": ("rope",), "feedforward": ("swiglu",)},
    told={
        "hidden_size": "hidden",
        "intermediate_size": feedforward_width,
        "num_hidden_layers": "layers",
        "num_attention_heads": "heads",
        "num_key_value_heads": "key_heads",
        "max_position_embeddings": "context",
        "hidden_act": called(ACTIVATIONS),
        "rms_norm_eps": norm_epsilon,
        "rope_theta": "rope_base",
        "attention_bias": "biases",
        "mlp_bias": "biases",
        "tie_word_embeddings": "tied",
    },
    fixed={"attention_dropout": 0.0, "pretraining_tp": 1},
    weights=(
        as_is(EMBEDDING, "model.embed_tokens.weight"),
        as_is(f"{ATTENTION}_norm.weight", "model.layers.{}.input_layernorm.weight"),
        *product(QKV, *(f"model.layers.{{}}.self_attn.{part}_proj" for part in "qkv")),
        *product(GATHERED, "model.layers.{}.self_attn.o_proj"),
        as_is(f"{FEEDFORWARD}_norm.weight", "model.layers.{}.post_attention_layernorm.weight"),
        *product(UP, *(f"model.layers.{{}}.mlp.{part}_proj" for part in ("gate", "up"))),
        *product(DOWN, "model.layers.{}.mlp.down_proj"),
        as_is(f"{NORM}.weight", "model.norm.weight"),
        as_is(OUTPUT, "lm_head.weight"),
    ),
)
QWEN2 = replace(LLAMA.with_biases((QKV,)), name="qwen2", architecture="Qwen2ForCausalLM")
"""Read only: with all the biases that ours has, it is a Llama."""
GPT2 = ForeignLayout(
    name="gpt2",
    architecture="GPT2LMHeadModel",
    needs={
        **PLAIN,
        "kv_heads": (0,),
        "norm": ("layer",),
        "position": ("learned", "sinusoidal"),
        "feedforward": ("gelu", "gelu-tanh", "relu"),
    },
    told={
        "n_embd": "hidden",
        "n_inner": feedforward_width,
        "n_layer": "layers",
        "n_head": "heads",
        "n_positions": "context",
        "activation_function": called(ACTIVATIONS),
        "layer_norm_epsilon": norm_epsilon,
        "tie_word_embeddings": "tied",
    },
    fixed={
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
    },
    weights=(
        as_is(EMBEDDING, "transformer.wte.weight"),
        as_is(POSITIONS, "transformer.wpe.weight"),
        *norm(f"{ATTENTION}_norm", "transformer.h.{}.ln_1"),
        *product(QKV, "transformer.h.{}.attn.c_attn", there=transposed, here=transposed),
        *product(GATHERED, "transformer.h.{}.attn.c_proj", there=transposed, here=transposed),
        *norm(f"{FEEDFORWARD}_norm", "transformer.h.{}.ln_2"),
        *product(UP, "transformer.h.{}.mlp.c_fc", there=transposed, here=transposed),
        *product(DOWN, "transformer.h.{}.mlp.c_proj", there=transposed, here=transposed),
        *norm(NORM, "transformer.ln_f"),
        as_is(OUTPUT, "lm_head.weight"),
    ),
    biased=True,
)
GPT_NEOX = ForeignLayout(
    name="gpt_neox",
    architecture="GPTNeoXForCausalLM",
    needs={
        **PLAIN,
        "kv_heads": (0,),
        "norm": ("layer",),
        "position": ("rope",),
        "feedforward": ("gelu", "gelu-tanh", "relu"),
    },
    told={
        "hidden_size": "hidden",
        "intermediate_size": feedforward_width,
        "num_hidden_layers": "layers",
        "num_attention_heads": "heads",
        "max_position_embeddings": "context",
        "hidden_act": called(ACTIVATIONS),
        "layer_norm_eps": norm_epsilon,
        "rotary_emb_base": "rope_base",
        "rope_theta": "rope_base",
        "tie_word_embeddings": "tied",
    },
    fixed={
        "rotary_pct": 1.0,
        "use_parallel_residual": False,
        "attention_bias": True,
        "attention_dropout": 0.0,
        "hidden_dropout": 0.0,
    },
    weights=(
        as_is(EMBEDDING, "gpt_neox.embed_in.weight"),
        *norm(f"{ATTENTION}_norm", "gpt_neox.layers.{}.input_layernorm"),
        *product(QKV, "gpt_neox.layers.{}.attention.query_key_value", there=beside_heads, here=apart_from_heads),
        *product(GATHERED, "gpt_neox.layers.{}.attention.dense"),
        *norm(f"{FEEDFORWARD}_norm", "gpt_neox.layers.{}.post_attention_layernorm"),
        *product(UP, "gpt_neox.layers.{}.mlp.dense_h_to_4h"),
        *product(DOWN, "gpt_neox.layers.{}.mlp.dense_4h_to_h"),
        *norm(NORM, "gpt_neox.final_layer_norm"),
        as_is(OUTPUT, "embed_out.weight"),
    ),
    biased=True,
)
HUB_LAYOUTS = (LLAMA, GPT2, GPT_NEOX)
