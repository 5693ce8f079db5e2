"""What GGUF files say of models of ours."""

from __future__ import annotations

import dataclasses

import pytest

from seqtool.errors import UsageError
from seqtool.exchange.gguf_layouts import GGUF_GPT2, GGUF_LAYOUTS, GGUF_LLAMA
from seqtool.exchange.layouts import fitting_layout
from tests.exchange.test_layouts import CONFIGS


def test_settings_are_called_as_they_are_there():
    told = GGUF_LLAMA.says(dataclasses.replace(CONFIGS["llama"], norm_epsilon=1e-3, rope_base=500.0))
    assert (told["feed_forward_length"], told["rope.dimension_count"], told["rope.freq_base"]) == (32, 6, 500.0)
    assert told["attention.layer_norm_rms_epsilon"] == 1e-3
    told = GGUF_GPT2.says(CONFIGS["gpt2"])
    assert (told["feed_forward_length"], told["attention.layer_norm_epsilon"]) == (48, 1e-5)
    assert not any(name.startswith("rope.") for name in told)


def test_what_no_architecture_has_is_refused_with_what_would_be():
    for config, mend in (
        (dataclasses.replace(CONFIGS["gpt2"], feedforward="gelu"), "gpt2 would be with --feedforward gelu-tanh"),
        (dataclasses.replace(CONFIGS["gpt2"], kv_heads=1), "gpt2 would be with --kv-heads 0"),
        (dataclasses.replace(CONFIGS["qwen2"], biases=True), "llama would be with --no-output-bias"),
    ):
        with pytest.raises(UsageError, match=mend):
            fitting_layout(config, True, GGUF_LAYOUTS)
