from __future__ import annotations

import pytest
import torch

from seqtool.bench.generation import generation_speed, weight_bytes
from seqtool.bench.setup import make_setup
from seqtool.models.size import product_weights

CPU = torch.device("cpu")
TINY = {"hidden": 8, "layers": 1, "batch_size": 2, "context": 4}


@pytest.mark.parametrize("name", ["gru", "ffn", "mingru", "gdn", "transformer"])
def test_generation_speed_is_a_share_of_the_bandwidth_that_is_given(name: str):
    setup = make_setup({"model": name, **TINY}, 20, False)
    speed = generation_speed(setup, 3, CPU, 0.01, 2.0)
    assert speed.weight_gb_per_s == pytest.approx(speed.tokens_per_s / 3 * speed.weight_bytes / 1e9)
    assert speed.share == pytest.approx(speed.weight_gb_per_s / 2)


def test_weights_that_generation_looks_up_are_not_read():
    small = make_setup({"model": "lstm", "embed": 3, "hidden": 5, "layers": 2}, 20, False)
    assert weight_bytes(small) == 4 * (product_weights(small.model, small.symbols) - 4 * 5 * 3)
    large = make_setup({"model": "lstm", "embed": 3, "hidden": 1024}, 2000, False)  # a table of 8 million numbers
    assert weight_bytes(large) == 4 * product_weights(large.model, large.symbols)
    ffn = make_setup({"model": "ffn"}, 20, False)
    assert weight_bytes(ffn) == 4 * product_weights(ffn.model, ffn.symbols)
