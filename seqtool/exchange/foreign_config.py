"""What another program's config.json says of its model, as settings of ours; what is unknown is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from seqtool.errors import InputError, UsageError
from seqtool.exchange.hub_layouts import ACTIVATIONS, GPT2, LLAMA, QWEN2
from seqtool.exchange.layouts import DOWN, EPSILON, GATHERED, QKV, UP, ForeignLayout
from seqtool.settings.checking import checked, shown
from seqtool.settings.model import ROPE_BASE, ModelConfig
from seqtool.settings.vocabulary import MAX_VOCABULARY

Told = Mapping[str, Any]

NO_MATTER = frozenset({
    "architectures", "model_type", "torch_dtype", "dtype", "transformers_version", "use_cache", "initializer_range",
    "bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "_name_or_path", "attention_dropout",
    "pretraining_tp", "output_attentions", "output_hidden_states", "return_dict", "chunk_size_feed_forward",
    "id2label", "label2id", "problem_type", "is_encoder_decoder", "task_specific_params", "n_ctx", "attn_pdrop",
    "embd_pdrop", "resid_pdrop", "summary_activation", "summary_first_dropout", "summary_proj_to_labels",
    "summary_type", "summary_use_proj", "gradient_checkpointing", "_attn_implementation_autoset", "name_or_path",
    "_num_labels", "max_length", "keys_to_ignore_at_inference",
})  # fmt: skip
"""What changes nothing in what a trained model computes."""
OF_GPT2 = {ACTIVATIONS[ours]: ours for ours in GPT2.needs["feedforward"]}
OF_GPT2 |= {"gelu_pytorch_tanh": "gelu-tanh", "gelu_fast": "gelu-tanh"}
MOST = 1 << 20  # of any size


class ForeignModel(NamedTuple):
    """Settings, the size of the vocabulary, and how the weights are called."""

    config: ModelConfig
    vocab_size: int
    layout: ForeignLayout


def read_foreign(told: Told, name: str) -> ForeignModel:
    """The model of a configuration that `name` has; InputError for what is missing, unknown or impossible here."""
    kinds: dict[str, Callable[[_Reader], ForeignModel]] = {"llama": _llama, "qwen2": _qwen2, "gpt2": _gpt2}
    kind = told.get("model_type")
    if not isinstance(kind, str) or kind not in kinds:
        raise InputError(
            f"{name} is of the model type {shown(kind)}: models of Llama's, Qwen2's and GPT-2's layouts are read "
            f"(model_type {' or '.join(kinds)}), no others"
        )
    reader = _Reader(told, name)
    try:
        model = kinds[kind](reader)
    except UsageError as error:
        raise InputError(f"{name} is of sizes that seqtool has not: {error}") from error
    reader.refuse_unread()
    return model


class _Reader:
    """Takes entries of a configuration one by one, and knows which were not taken."""

    def __init__(self, told: Told, name: str) -> None:
        self._told, self._name, self._taken = told, name, set(NO_MATTER)

    def size(self, key: str, default: int | None = None) -> int:
        """A whole number from 1 to MOST, or of a vocabulary to MAX_VOCABULARY."""
        self._taken.add(key)
        value = self._told.get(key)
        value = default if value is None else value
        if type(value) is not int or not 1 <= value <= (MAX_VOCABULARY if key == "vocab_size" else MOST):
            raise InputError(f"{self._name}: {key} is {shown(value)}, where a size is expected: get the file anew")
        return value

    def number(self, key: str, default: float) -> float:
        """A positive number."""
        self._taken.add(key)
        value = self._told.get(key, default)
        if type(value) not in (int, float) or not 0 < value < 1e15:
            raise InputError(f"{self._name}: {key} is {shown(value)}, where a number is expected: get the file anew")
        return float(value)

    def only(self, key: str, *values: Any) -> Any:
        """One of these values, the first of which is meant where there is none."""
        self._taken.add(key)
        value = self._told.get(key)
        value = values[0] if value is None else value
        if not any(value == one and type(value) is type(one) for one in values):
            may = " or ".join(str(one).lower() if isinstance(one, bool) else str(one) for one in values)
            raise InputError(
                f"{self._name}: {key} is {shown(value)}, which seqtool's transformer has not: it can be {may}"
            )
        return value

    def all_of(self, key: str, value: str) -> None:
        """A list of this value alone, where there is one."""
        self._taken.add(key)
        found = self._told.get(key)
        if found is not None and not (isinstance(found, list) and all(one == value for one in found)):
            raise InputError(f"{self._name}: {key} is {shown(found)}, where seqtool's transformer has {value} alone")

    def pass_over(self, *keys: str) -> None:
        """What says nothing here, whatever it says."""
        self._taken.update(keys)

    def rope_base(self) -> float:
        """Of angles that are not scaled, wherever it stands."""
        base = self.number("rope_theta", ROPE_BASE)
        for key in ("rope_scaling", "rope_parameters"):
            self._taken.add(key)
            inner = self._told.get(key)
            if inner is None:
                continue
            if not isinstance(inner, dict):
                raise InputError(f"{self._name}: {key} is {shown(inner)}, where an object is expected: get it anew")
            kind = inner.get("rope_type", inner.get("type", "default"))
            if kind != "default":
                raise InputError(
                    f"{self._name}: {key} scales positions ({shown(kind)}), which seqtool does not: get a model without"
                )
            rope = _Reader(inner, f"{self._name}: {key}")
            rope._taken |= {"rope_type", "type"}
            base = rope.number("rope_theta", base)
            if rope.number("partial_rotary_factor", 1.0) != 1:
                raise InputError(f"{self._name}: {key} turns a part of each head only: get a model that turns all")
            rope.refuse_unread()
        return base

    def refuse_unread(self) -> None:
        """InputError naming what no one has asked for, unless it says nothing."""
        for key, value in self._told.items():
            if key not in self._taken and value not in (None, False, {}, []):
                raise InputError(
                    f"{self._name}: {shown(key)} is {shown(value)}, of which seqtool knows nothing: "
                    "leave that out if it changes nothing in what the model computes"
                )


def _llama(read: _Reader) -> ForeignModel:
    of_attention = (QKV, GATHERED) if read.only("attention_bias", False, True) else ()
    of_nets = (UP, DOWN) if read.only("mlp_bias", False, True) else ()
    return _of_llama(read, LLAMA.with_biases((*of_attention, *of_nets)), biases=bool(of_attention or of_nets))


def _qwen2(read: _Reader) -> ForeignModel:
    read.only("use_sliding_window", False)
    read.all_of("layer_types", "full_attention")
    read.pass_over("sliding_window", "max_window_layers")  # of windows that are not used
    return _of_llama(read, QWEN2, biases=True)


def _of_llama(read: _Reader, layout: ForeignLayout, biases: bool) -> ForeignModel:
    """What Llama and its like are. Where only some products have `biases`, those of the others are zeros here."""
    heads, hidden = read.size("num_attention_heads"), read.size("hidden_size")
    key_heads = read.size("num_key_value_heads", heads)
    if heads % key_heads:
        raise UsageError(f"num_attention_heads {heads} are no multiple of num_key_value_heads {key_heads}")
    read.only("hidden_act", "silu")
    read.only("head_dim", hidden // heads)
    config = ModelConfig(
        **_needed(layout),
        layers=read.size("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=key_heads if key_heads != heads else 0,
        context=read.size("max_position_embeddings", 2048),
        inner=read.size("intermediate_size"),
        norm_epsilon=read.number("rms_norm_eps", 1e-6),
        rope_base=read.rope_base(),
        biases=biases,
        tied=read.only("tie_word_embeddings", False, True),
    )
    return ForeignModel(checked(config), read.size("vocab_size"), layout)


def _gpt2(read: _Reader) -> ForeignModel:
    heads, hidden = read.size("n_head"), read.size("n_embd")
    read.only("scale_attn_weights", True)
    for key in ("scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention"):
        read.only(key, False)
    config = ModelConfig(
        **{
            **_needed(GPT2),
            "feedforward": OF_GPT2[read.only("activation_function", "gelu_new", *(OF_GPT2.keys() - {"gelu_new"}))],
        },
        layers=read.size("n_layer"),
        hidden=hidden,
        heads=heads,
        context=read.size("n_positions"),
        inner=read.size("n_inner", 4 * hidden),
        norm_epsilon=read.number("layer_norm_epsilon", EPSILON["layer"]),
        biases=True,
        tied=read.only("tie_word_embeddings", True, False),
    )
    return ForeignModel(checked(config), read.size("vocab_size"), GPT2)


def _needed(layout: ForeignLayout) -> dict[str, Any]:
    """Settings of ours that a layout has fixed."""
    return {name: values[0] for name, values in layout.needs.items()}
