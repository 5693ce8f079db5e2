"""What configurations of transformers say of models of ours."""

from __future__ import annotations

import dataclasses

from seqtool.exchange.hub_layouts import GPT2, GPT_NEOX, HUB_LAYOUTS, LLAMA
from seqtool.exchange.layouts import fitting_layout
from tests.exchange.test_layouts import CONFIGS


def test_settings_are_called_as_they_are_there():
    told = LLAMA.says(CONFIGS["llama"])
    assert (told["intermediate_size"], told["hidden_act"], told["rms_norm_eps"]) == (32, "silu", 2**-23)
    assert (told["rope_theta"], told["attention_bias"], told["mlp_bias"]) == (10_000.0, False, False)
    told = GPT2.says(CONFIGS["gpt2"])
    assert (told["n_inner"], told["activation_function"], told["layer_norm_epsilon"]) == (48, "gelu_new", 1e-5)
    told = GPT_NEOX.says(CONFIGS["gpt_neox"])
    assert (told["hidden_act"], told["num_hidden_layers"], told["tie_word_embeddings"]) == ("relu", 2, False)


def test_epsilon_base_and_biases_are_told():
    for layout, epsilon in ((LLAMA, "rms_norm_eps"), (GPT2, "layer_norm_epsilon"), (GPT_NEOX, "layer_norm_eps")):
        config = dataclasses.replace(CONFIGS[layout.name], norm_epsilon=1e-3, rope_base=500.0, biases=True)
        assert fitting_layout(config, True, HUB_LAYOUTS) is layout
        told = layout.says(config)
        assert told[epsilon] == 1e-3
        assert told.get("rope_theta", 500.0) == 500.0
        assert told.get("attention_bias", True) is True
    assert told["rotary_emb_base"] == 500.0
