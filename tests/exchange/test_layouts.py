from __future__ import annotations

import dataclasses

import pytest
import torch

from seqtool.errors import UsageError
from seqtool.exchange.gguf_layouts import GGUF_LAYOUTS
from seqtool.exchange.hub_layouts import GPT2, HUB_LAYOUTS, LLAMA, QWEN2
from seqtool.exchange.layouts import (
    OUTPUT,
    POSITIONS,
    PRODUCTS,
    QKV,
    ForeignLayout,
    apart_from_heads,
    beside_heads,
    fitting_layout,
    our_tensors,
    pairs_apart,
    pairs_beside,
    their_tensors,
    with_positions,
)
from seqtool.models.attention import sinusoidal_positions
from seqtool.models.language_model import LanguageModel, build_model
from seqtool.settings.model import ModelConfig, Symbols

SIZES = {"model": "transformer", "layers": 2, "hidden": 12, "heads": 2, "context": 8, "stem": 1, "output_bias": False}
CONFIGS = {
    "llama": ModelConfig(**SIZES, norm="rms", position="rope", feedforward="swiglu"),
    "gpt2": ModelConfig(**SIZES, norm="layer", position="learned", feedforward="gelu-tanh", tied=True),
    "qwen2": ModelConfig(**SIZES | {"output_bias": True}, norm="rms", position="rope", feedforward="swiglu"),
    "gpt_neox": ModelConfig(**SIZES, norm="layer", position="rope", feedforward="relu"),
}
LAYOUTS = [(layout, among) for among in (HUB_LAYOUTS, GGUF_LAYOUTS) for layout in among]
BIASED = [one for one in LAYOUTS if one[0].name != "qwen2"]  # whose output alone has a bias


def model(config: ModelConfig) -> LanguageModel:
    built = build_model(config, Symbols(9, 1, 9, 100), dict.fromkeys(range(9), 1))
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_()
    return built


@pytest.mark.parametrize(("layout", "among"), LAYOUTS, ids=lambda one: getattr(one, "name", ""))
def test_weights_there_and_back_are_the_same(layout: ForeignLayout, among: tuple[ForeignLayout, ...]):
    config = CONFIGS[layout.name]
    assert fitting_layout(config, True, among) is layout
    ours = dict(model(config).named_parameters())
    theirs = their_tensors(layout, config, ours)
    back = our_tensors(layout, config, theirs)
    zeros = {name for name in back if name not in ours}
    assert all(name.endswith(".bias") and not back[name].any() for name in zeros)
    assert bool(zeros) == layout.biased
    assert back.keys() - zeros == ours.keys()
    assert all(torch.equal(ours[name], back[name]) for name in ours)
    assert (OUTPUT in back) == (not config.tied)


@pytest.mark.parametrize(("layout", "among"), BIASED, ids=lambda one: getattr(one, "name", ""))
def test_biases_there_and_back_are_the_same(layout: ForeignLayout, among: tuple[ForeignLayout, ...]):
    config = dataclasses.replace(CONFIGS[layout.name], biases=True, norm_epsilon=1e-3, rope_base=500.0)
    assert fitting_layout(config, True, among) is layout
    ours = dict(model(config).named_parameters())
    back = our_tensors(layout, config, their_tensors(layout, config, ours))
    assert back.keys() == ours.keys()
    assert all(torch.equal(ours[name], back[name]) for name in ours)


def test_biases_that_a_layout_has_not_are_zeros_here():
    config = dataclasses.replace(CONFIGS["llama"], biases=True)
    ours = dict(model(config).named_parameters())
    theirs = their_tensors(QWEN2, config, ours)
    assert {name.split(".")[-2] for name in theirs if name.endswith(".bias")} == {"q_proj", "k_proj", "v_proj"}
    back = our_tensors(QWEN2, config, theirs)
    assert back.keys() == ours.keys()
    for product in PRODUCTS:
        name = f"{product.replace('{}', '1')}.bias"
        assert torch.equal(back[name], ours[name]) if product == QKV else not back[name].any()


def test_queries_keys_and_values_are_one_below_the_other():
    config = CONFIGS["llama"]
    ours = dict(model(config).named_parameters())
    theirs = their_tensors(LLAMA, config, ours)
    W = ours["core.layers.1.attention.queries_keys_values.weight"]
    for place, part in enumerate("qkv"):
        found = theirs[f"model.layers.1.self_attn.{part}_proj.weight"]
        assert torch.equal(found, W[12 * place : 12 * (place + 1)])
    up = ours["core.layers.0.feedforward.up.weight"]
    assert torch.equal(theirs["model.layers.0.mlp.gate_proj.weight"], up[:32])
    assert torch.equal(theirs["model.layers.0.mlp.up_proj.weight"], up[32:])


def test_rows_of_heads_and_of_pairs():
    rows = torch.arange(12)
    config = ModelConfig(model="transformer", hidden=4, heads=2)
    assert beside_heads(rows, config).tolist() == [0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11]
    assert torch.equal(apart_from_heads(beside_heads(rows, config), config), rows)
    wider = ModelConfig(model="transformer", hidden=8, heads=2)
    assert pairs_beside(torch.arange(8), wider).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert torch.equal(pairs_apart(pairs_beside(torch.arange(12), wider), wider), rows)


def test_sines_and_cosines_are_written_out_as_learned_positions():
    config = ModelConfig(**SIZES, norm="layer", position="sinusoidal", feedforward="gelu")
    assert fitting_layout(config, whole=True, layouts=HUB_LAYOUTS) is GPT2
    ours = with_positions(config, dict(model(config).named_parameters()))
    assert torch.equal(ours[POSITIONS], sinusoidal_positions(8, 12))


def test_what_maps_nowhere_is_refused_with_the_settings_that_would():
    with pytest.raises(UsageError, match=r"that of llama would be with --stem 1 --softmax all; train again"):
        fitting_layout(ModelConfig(**{**SIZES, "stem": 4}, norm="rms", feedforward="swiglu"), False, HUB_LAYOUTS)
    with pytest.raises(UsageError, match=r"gpt_neox would be with --no-output-bias"):
        fitting_layout(ModelConfig(**{**SIZES, "output_bias": True}, feedforward="gelu"), True, HUB_LAYOUTS)
    with pytest.raises(UsageError, match=r"has --model lstm: train with --layout llama, or export it --to onnx"):
        fitting_layout(ModelConfig(model="lstm"), True, HUB_LAYOUTS)
