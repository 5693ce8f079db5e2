from __future__ import annotations

import dataclasses

import pytest

from seqtool.errors import UsageError
from seqtool.settings.checking import check
from seqtool.settings.defaults import Facts, resolve
from seqtool.settings.layouts import LAYOUTS, inner_width, with_layout
from seqtool.settings.model import ModelConfig

SOME = Facts(train_tokens=100_000, vocab_size=320, accelerator=False)


def test_a_layout_is_the_settings_that_make_it():
    model, training = resolve({"layout": "llama", "hidden": 100, "heads": 2}, SOME)
    assert (model.model, model.norm, model.position, model.feedforward) == ("transformer", "rms", "rope", "swiglu")
    assert (model.stem, model.output_bias, training.softmax) == (1, False, "all")
    assert model.inner == 288  # 8/3 of 100, by 32s


def test_other_settings_than_the_layouts_are_refused_by_name():
    with pytest.raises(UsageError, match=r"--layout llama has --norm rms and --stem 1, not --norm layer and --stem 2"):
        with_layout({"layout": "llama", "norm": "layer", "stem": 2})
    with pytest.raises(UsageError, match=r"--layout llama has --no-output-bias, not --output-bias: leave"):
        with_layout({"layout": "llama", "output_bias": True})
    assert with_layout({"hidden": 3}) == {"hidden": 3}


def test_a_configuration_that_says_a_layout_and_is_another_is_refused():
    model, _ = resolve({"layout": "llama"}, SOME)
    assert not check(model)
    assert "--layout llama has --norm rms" in check(dataclasses.replace(model, norm="layer"))[0]


def test_inner_widths_are_of_whole_blocks():
    assert [inner_width("llama", width) for width in (1, 32, 33)] == [32, 32, 64]
    assert inner_width("own", 33) == 0
    assert {type(layout.settings) for layout in LAYOUTS.values()} == {dict}
    assert ModelConfig().inner == 0
