"""How a transformer's settings and weights are called in the layouts of other programs, for both directions.

A layout is data: what our settings must be, how sizes are called there, and where each weight lies. A weight of ours is
one of theirs, or several of theirs one below the other: queries, keys and values; gate and up.

Shapes: C width of the model, H heads, D width of a head, O rows and I columns of a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqtool.errors import UsageError
from seqtool.models.attention import sinusoidal_positions
from seqtool.models.cores.block import feedforward_width
from seqtool.models.language_model import LanguageModel
from seqtool.runs.loading import Run
from seqtool.runs.mixtures import MixtureConfig
from seqtool.settings.layouts import flag_for
from seqtool.settings.model import ROPE_BASE, ModelConfig

LAYER = "{}"  # in a weight's name, the number of the layer
LAYER_NORM_EPSILON = 1e-5  # of torch.nn.LayerNorm
RMS_EPSILON = float(torch.finfo(torch.float32).eps)  # of torch.nn.RMSNorm in float32

Arrange = Callable[[Tensor, ModelConfig], Tensor]


class Part(NamedTuple):
    """A weight of theirs."""

    name: str
    there: Arrange | None = None
    """From ours to theirs; None: as it is."""
    here: Arrange | None = None
    """The way back."""


class Weight(NamedTuple):
    """A weight of ours, and those of theirs that it is made of, one below the other."""

    ours: str
    parts: tuple[Part, ...]
    bias: bool = False
    """Whether it is a bias that our matrices have not, which is zeros there."""


@dataclass(frozen=True)
class ForeignLayout:
    """A layout of another program."""

    name: str
    """What a configuration calls it."""
    architecture: str
    """The class of transformers that has it."""
    needs: Mapping[str, tuple[Any, ...]]
    """What settings of ours it takes, the first of which is to be recommended."""
    sizes: Mapping[str, str]
    """What it calls sizes of ours."""
    fixed: Mapping[str, Any]
    """What else its configuration says of every model of ours."""
    weights: tuple[Weight, ...]

    def problems(self, config: ModelConfig, whole: bool) -> list[str]:
        """The flags that would make the settings these; none where they are. `whole`: every symbol is predicted."""
        wrong = [name for name, values in self.needs.items() if getattr(config, name) not in values]
        flags = [flag_for(name, self.needs[name][0]) for name in wrong]
        return flags if whole else [*flags, "--softmax all"]


def transposed(W: Tensor, config: ModelConfig) -> Tensor:
    """(O, I) to (I, O) and back: a product that its program writes x W."""
    return W.t()


def beside_heads(W_O: Tensor, config: ModelConfig) -> Tensor:
    """Rows of all queries, then keys, then values, to those of each head side by side: GPT-NeoX; (3C, ...)."""
    return W_O.unflatten(0, (3, config.heads, -1)).transpose(0, 1).flatten(0, 2)


def apart_from_heads(W_O: Tensor, config: ModelConfig) -> Tensor:
    """The way back from `beside_heads`."""
    return W_O.unflatten(0, (config.heads, 3, -1)).transpose(0, 1).flatten(0, 2)


def pairs_beside(W_O: Tensor, config: ModelConfig) -> Tensor:
    """Rows i and i + D/2 of each head, which rope turns together, to 2i and 2i + 1: GGUF and llama2.c; (H D, ...)."""
    half = config.hidden // config.heads // 2
    return W_O.unflatten(0, (-1, 2, half)).transpose(1, 2).flatten(0, 2)


def pairs_apart(W_O: Tensor, config: ModelConfig) -> Tensor:
    """The way back from `pairs_beside`."""
    half = config.hidden // config.heads // 2
    return W_O.unflatten(0, (-1, half, 2)).transpose(1, 2).flatten(0, 2)


def rows_of_parts(weight: Weight, config: ModelConfig) -> list[int]:
    """How many rows of a weight of ours each of theirs has."""
    if len(weight.parts) == 1:
        return []
    return [config.hidden] * 3 if len(weight.parts) == 3 else [feedforward_width(config)] * 2


def of_layers(weights: Sequence[Weight], layers: int) -> Iterator[Weight]:
    """The weights of a model, those of a layer for each layer."""
    for weight in weights:
        if LAYER not in weight.ours:
            yield weight
            continue
        for number in range(layers):
            parts = tuple(part._replace(name=part.name.replace(LAYER, str(number))) for part in weight.parts)
            yield weight._replace(ours=weight.ours.replace(LAYER, str(number)), parts=parts)


def their_tensors(layout: ForeignLayout, config: ModelConfig, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our weights as a layout has them. Of a bias that we have not, zeros as wide as what it is added to."""
    found: dict[str, Tensor] = {}
    for weight in of_layers(layout.weights, config.layers):
        values = ours.get(weight.ours)
        if values is None and weight.bias:
            matrix = ours[f"{weight.ours.removesuffix('.bias')}.weight"]
            values = matrix.new_zeros(len(matrix))
        if values is None:
            continue  # an output of its own, where the embedding is tied
        rows = rows_of_parts(weight, config)
        for part, W in zip(weight.parts, values.split(rows) if rows else (values,), strict=True):
            found[part.name] = (part.there(W, config) if part.there else W).contiguous()
    return found


def our_tensors(layout: ForeignLayout, config: ModelConfig, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A layout's weights as we have them, with those of the biases that are there. KeyError for one that is missing."""
    found: dict[str, Tensor] = {}
    for weight in of_layers(layout.weights, config.layers):
        absent = weight.parts[0].name not in theirs
        if absent and (weight.bias or (weight.ours == OUTPUT and config.tied)):
            continue
        parts = [part.here(theirs[part.name], config) if part.here else theirs[part.name] for part in weight.parts]
        found[weight.ours] = (torch.cat(parts) if len(parts) > 1 else parts[0]).contiguous()
    return found


def with_positions(config: ModelConfig, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our weights, with positions that are sines and cosines written out as learned ones are."""
    if config.position != "sinusoidal":
        return dict(ours)
    return {**ours, POSITIONS: sinusoidal_positions(config.context, config.hidden)}


EMBEDDING, POSITIONS, OUTPUT = "inputs.embedding.weight", "core.learned_positions.weight", "head.output.weight"
NORM, ATTENTION, FEEDFORWARD = "core.norm", "core.layers.{}.attention", "core.layers.{}.feedforward"
QKV, GATHERED, UP, DOWN = (
    f"{ATTENTION}.queries_keys_values",
    f"{ATTENTION}.output",
    f"{FEEDFORWARD}.up",
    f"{FEEDFORWARD}.down",
)


def _as_is(ours: str, *theirs: str) -> Weight:
    """A weight that is theirs, or several of theirs, one below the other."""
    return Weight(ours, tuple(map(Part, theirs)))


def _norm(ours: str, theirs: str) -> tuple[Weight, Weight]:
    """Gain and bias of a LayerNorm."""
    return _as_is(f"{ours}.weight", f"{theirs}.weight"), _as_is(f"{ours}.bias", f"{theirs}.bias")


def _product(
    ours: str, theirs: str, there: Arrange | None = None, here: Arrange | None = None, *, turns_bias: bool = False
) -> tuple[Weight, Weight]:
    """A matrix, and the bias that ours has not. `turns_bias`: what is done with rows is done with the bias as well."""
    bias = Part(f"{theirs}.bias", there, here) if turns_bias else Part(f"{theirs}.bias")
    return (
        Weight(f"{ours}.weight", (Part(f"{theirs}.weight", there, here),)),
        Weight(f"{ours}.bias", (bias,), bias=True),
    )


PLAIN = {"model": ("transformer",), "stem": (1,), "output_bias": (False,), "bidirectional": (False,)}
PLAIN |= {"norm_epsilon": (0.0,), "rope_base": (ROPE_BASE,), "biases": (False,)}
"""What every layout of another program takes alone."""

LLAMA = ForeignLayout(
    name="llama",
    architecture="LlamaForCausalLM",
    needs={**PLAIN, "norm": ("rms",), "position": ("rope",), "feedforward": ("swiglu",)},
    sizes={
        "hidden_size": "hidden",
        "num_hidden_layers": "layers",
        "num_attention_heads": "heads",
        "num_key_value_heads": "heads",
        "max_position_embeddings": "context",
        "tie_word_embeddings": "tied",
    },
    fixed={
        "hidden_act": "silu",
        "rms_norm_eps": RMS_EPSILON,
        "rope_theta": ROPE_BASE,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "pretraining_tp": 1,
    },
    weights=(
        _as_is(EMBEDDING, "model.embed_tokens.weight"),
        _as_is(f"{ATTENTION}_norm.weight", "model.layers.{}.input_layernorm.weight"),
        _as_is(f"{QKV}.weight", *(f"model.layers.{{}}.self_attn.{part}_proj.weight" for part in "qkv")),
        _as_is(f"{GATHERED}.weight", "model.layers.{}.self_attn.o_proj.weight"),
        _as_is(f"{FEEDFORWARD}_norm.weight", "model.layers.{}.post_attention_layernorm.weight"),
        _as_is(f"{UP}.weight", *(f"model.layers.{{}}.mlp.{part}_proj.weight" for part in ("gate", "up"))),
        _as_is(f"{DOWN}.weight", "model.layers.{}.mlp.down_proj.weight"),
        _as_is(f"{NORM}.weight", "model.norm.weight"),
        _as_is(OUTPUT, "lm_head.weight"),
    ),
)
GPT2 = ForeignLayout(
    name="gpt2",
    architecture="GPT2LMHeadModel",
    needs={**PLAIN, "norm": ("layer",), "position": ("learned", "sinusoidal"), "feedforward": ("gelu", "relu")},
    sizes={
        "n_embd": "hidden",
        "n_layer": "layers",
        "n_head": "heads",
        "n_positions": "context",
        "tie_word_embeddings": "tied",
    },
    fixed={
        "layer_norm_epsilon": LAYER_NORM_EPSILON,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
    },
    weights=(
        _as_is(EMBEDDING, "transformer.wte.weight"),
        _as_is(POSITIONS, "transformer.wpe.weight"),
        *_norm(f"{ATTENTION}_norm", "transformer.h.{}.ln_1"),
        *_product(QKV, "transformer.h.{}.attn.c_attn", transposed, transposed),
        *_product(GATHERED, "transformer.h.{}.attn.c_proj", transposed, transposed),
        *_norm(f"{FEEDFORWARD}_norm", "transformer.h.{}.ln_2"),
        *_product(UP, "transformer.h.{}.mlp.c_fc", transposed, transposed),
        *_product(DOWN, "transformer.h.{}.mlp.c_proj", transposed, transposed),
        *_norm(NORM, "transformer.ln_f"),
        _as_is(OUTPUT, "lm_head.weight"),
    ),
)
GPT_NEOX = ForeignLayout(
    name="gpt_neox",
    architecture="GPTNeoXForCausalLM",
    needs={**PLAIN, "norm": ("layer",), "position": ("rope",), "feedforward": ("gelu", "relu")},
    sizes={
        "hidden_size": "hidden",
        "num_hidden_layers": "layers",
        "num_attention_heads": "heads",
        "max_position_embeddings": "context",
        "tie_word_embeddings": "tied",
    },
    fixed={
        "layer_norm_eps": LAYER_NORM_EPSILON,
        "rotary_pct": 1.0,
        "rotary_emb_base": int(ROPE_BASE),
        "rope_theta": ROPE_BASE,
        "use_parallel_residual": False,
        "attention_bias": True,
        "attention_dropout": 0.0,
        "hidden_dropout": 0.0,
    },
    weights=(
        _as_is(EMBEDDING, "gpt_neox.embed_in.weight"),
        *_norm(f"{ATTENTION}_norm", "gpt_neox.layers.{}.input_layernorm"),
        *_product(QKV, "gpt_neox.layers.{}.attention.query_key_value", beside_heads, apart_from_heads, turns_bias=True),
        *_product(GATHERED, "gpt_neox.layers.{}.attention.dense"),
        *_norm(f"{FEEDFORWARD}_norm", "gpt_neox.layers.{}.post_attention_layernorm"),
        *_product(UP, "gpt_neox.layers.{}.mlp.dense_h_to_4h"),
        *_product(DOWN, "gpt_neox.layers.{}.mlp.dense_4h_to_h"),
        *_norm(NORM, "gpt_neox.final_layer_norm"),
        _as_is(OUTPUT, "embed_out.weight"),
    ),
)
LAYOUTS = (LLAMA, GPT2, GPT_NEOX)
GGUF_SIZES = {
    "context_length": "context",
    "embedding_length": "hidden",
    "block_count": "layers",
    "attention.head_count": "heads",
    "attention.head_count_kv": "heads",
}
GGUF_FIXED = {"attention.layer_norm_rms_epsilon": RMS_EPSILON, "rope.freq_base": ROPE_BASE}


def _gguf_weights(turned: Part, turned_keys: Part) -> tuple[Weight, ...]:
    """The weights of Llama as GGUF calls them; queries and keys as the architecture's rope wants them."""
    return (
        _as_is(EMBEDDING, "token_embd.weight"),
        _as_is(f"{ATTENTION}_norm.weight", "blk.{}.attn_norm.weight"),
        Weight(f"{QKV}.weight", (turned, turned_keys, Part("blk.{}.attn_v.weight"))),
        _as_is(f"{GATHERED}.weight", "blk.{}.attn_output.weight"),
        _as_is(f"{FEEDFORWARD}_norm.weight", "blk.{}.ffn_norm.weight"),
        _as_is(f"{UP}.weight", "blk.{}.ffn_gate.weight", "blk.{}.ffn_up.weight"),
        _as_is(f"{DOWN}.weight", "blk.{}.ffn_down.weight"),
        _as_is(f"{NORM}.weight", "output_norm.weight"),
        _as_is(OUTPUT, "output.weight"),
    )


GGUF_LLAMA = ForeignLayout(
    name="llama",
    architecture="llama",
    needs=LLAMA.needs,
    sizes=GGUF_SIZES,
    fixed=GGUF_FIXED,
    weights=_gguf_weights(
        Part("blk.{}.attn_q.weight", pairs_beside, pairs_apart), Part("blk.{}.attn_k.weight", pairs_beside, pairs_apart)
    ),
)
GGUF_QWEN2 = ForeignLayout(
    name="qwen2",
    architecture="qwen2",
    needs={**LLAMA.needs, "output_bias": (True, False)},
    sizes=GGUF_SIZES,
    fixed=GGUF_FIXED,
    weights=(
        *_gguf_weights(Part("blk.{}.attn_q.weight"), Part("blk.{}.attn_k.weight")),
        _as_is("head.bias", "output.bias"),
    ),
)
GGUF_LAYOUTS = (GGUF_LLAMA, GGUF_QWEN2)
INNER = {"llama": "intermediate_size", "gpt2": "n_inner", "gpt_neox": "intermediate_size"}
"""What each calls the inner width of the feed-forward nets."""
ACTIVATION = {"llama": "hidden_act", "gpt2": "activation_function", "gpt_neox": "hidden_act"}


def their_sizes(layout: ForeignLayout, config: ModelConfig) -> dict[str, Any]:
    """What a layout's configuration says of a model of ours, but for the vocabulary."""
    sizes = {theirs: getattr(config, ours) for theirs, ours in layout.sizes.items()}
    of_net = {ACTIVATION[layout.name]: config.feedforward, INNER[layout.name]: feedforward_width(config)}
    return {**of_net, **layout.fixed, **sizes}


def net_of(run: Run) -> LanguageModel:
    """The net of a run; UsageError for counts and mixtures, which are none."""
    if isinstance(run.model, LanguageModel):
        return run.model
    mend = "export one of the runs it is made of" if isinstance(run.config, MixtureConfig) else "export it --to arpa"
    raise UsageError(f"{run.path} is not one net (model {run.config.name}): {mend}")


def fitting_layout(config: ModelConfig, whole: bool, layouts: Sequence[ForeignLayout] = LAYOUTS) -> ForeignLayout:
    """The first layout that has the settings of a model exactly; UsageError naming the flags that one would take.

    `whole` says whether every symbol of the vocabulary is predicted, not those alone that the text has.
    """
    wrong = {layout.name: layout.problems(config, whole) for layout in layouts}
    for layout in layouts:
        if not wrong[layout.name]:
            return layout
    if config.model not in PLAIN["model"]:
        raise UsageError(
            f"no other program has --model {config.model}: train with --layout llama, or export it --to onnx"
        )
    nearest = min(layouts, key=lambda layout: (len(wrong[layout.name]), layouts.index(layout)))
    raise UsageError(
        f"no layout is exactly this model: that of {nearest.name} would be with {' '.join(wrong[nearest.name])}; "
        "train again so, or with --layout llama"
    )
