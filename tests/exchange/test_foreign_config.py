"""What a configuration of another program says, as settings of ours."""

from __future__ import annotations

from typing import Any

import pytest

from seqtool.errors import InputError
from seqtool.exchange.foreign_config import read_foreign

LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "vocab_size": 500, "rms_norm_eps": 1e-6,
}  # fmt: skip
GPT2: dict[str, Any] = {
    "model_type": "gpt2",
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 128,
    "vocab_size": 500,
}


def test_settings_of_llama_and_gpt2():
    found = read_foreign({**LLAMA, "rope_theta": 5e5, "tie_word_embeddings": True, "attention_dropout": 0.1}, "it")
    config = found.config
    assert (config.norm, config.position, config.feedforward, config.stem) == ("rms", "rope", "swiglu", 1)
    assert (config.inner, config.norm_epsilon, config.rope_base, config.tied) == (96, 1e-6, 5e5, True)
    assert (found.vocab_size, config.kv_heads, config.biases, config.output_bias) == (500, 2, False, False)
    own = read_foreign(GPT2, "it").config
    assert (own.norm, own.position, own.feedforward, own.biases, own.tied) == (
        "layer",
        "learned",
        "gelu-tanh",
        True,
        True,
    )
    assert (own.inner, own.norm_epsilon) == (256, 1e-5)


@pytest.mark.parametrize(("change", "told"), [
    ({"quantization_config": {"bits": 4}}, "'quantization_config' is"),
    ({"rms_norm_eps": "small"}, "rms_norm_eps is 'small', where a number is expected"),
    ({"num_attention_heads": True}, "num_attention_heads is True, where a size is expected"),
    ({"num_key_value_heads": 3}, "no multiple of num_key_value_heads 3"),
    ({"num_attention_heads": 3, "num_key_value_heads": 3}, "does not divide by --heads 3"),
    ({"rope_scaling": "yes"}, "rope_scaling is 'yes', where an object is expected"),
    ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "turns a part of each head only"),
    ({"model_type": None}, "is of the model type None"),
    ({"model_type": ["llama"]}, "is of the model type"),
    ({"vocab_size": 10**30}, "vocab_size is"),
])  # fmt: skip
def test_what_is_unknown_or_impossible_is_named(change: dict[str, Any], told: str):
    with pytest.raises(InputError) as caught:
        read_foreign({**LLAMA, **change}, "it")
    assert told in str(caught.value)
