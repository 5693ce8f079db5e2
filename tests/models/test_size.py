"""The count of operations, held to torch's own counter and to counts by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from seqtool.errors import UsageError
from seqtool.models.loss import total_nats
from seqtool.models.size import flops_per_token, parameter_count, product_weights
from seqtool.settings.checking import check
from seqtool.settings.model import ModelConfig, Symbols
from tests.zoo import BEGIN, ZOO, V, zoo_model

B, T, SEEN = 3, 8, V - 7

COUNTED = [name for name in ZOO if ZOO[name]["model"] in ("ffn", "transformer")]


def counted_flops(name: str) -> float:
    """What torch counts forward and backward, per token; of attention the whole T x T."""
    model = zoo_model(name, seen=SEEN).train()
    ids = torch.randint(2, SEEN, (B, T), generator=torch.Generator().manual_seed(0))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        total_nats(model(ids)[0], ids).backward()
    return counter.get_total_flops() / (B * T)


@pytest.mark.parametrize("name", COUNTED)
def test_flops_are_those_that_torch_counts_but_for_what_the_mask_hides(name: str):
    config = zoo_model(name).config
    hidden_by_mask = 0
    if config.model == "transformer":  # T - 1 tokens of T^2 / 2 each, in two products of H numbers, three times
        hidden_by_mask = 3 * 2 * 2 * config.layers * config.hidden * (T - 1) / 2
    assert flops_per_token(config, Symbols(V, 1, SEEN, 1000), T) == counted_flops(name) - hidden_by_mask


def test_flops_of_an_lstm_by_hand():
    config, symbols = ModelConfig(model="lstm", layers=2, embed=3, hidden=5), Symbols(11, 1, 7, 1000)
    gates = 4 * 5 * (3 + 5) + 4 * 5 * (5 + 5)
    assert product_weights(config, symbols) == gates + 7 * 5
    assert flops_per_token(config, symbols, 100) == 6 * (gates + 7 * 5)


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({"model": "rnn", "input": "one-hot", "hidden": 5}, 5 * 5 + 7 * 5),
        ({"model": "gru", "embed": 3, "hidden": 5}, 3 * 5 * (3 + 5) + 7 * 5),
        ({"model": "lstm", "layers": 2, "embed": 3, "hidden": 5, "last_hidden": 2}, 4 * 5 * 8 + 4 * 2 * 7 + 7 * 2),
        ({"model": "lstm", "embed": 3, "hidden": 5, "tied": True}, 4 * 5 * 8 + 5 * 3 + 7 * 3),
    ],
)
def test_what_is_looked_up_is_no_product(settings: dict, weights: int):
    assert product_weights(ModelConfig(**settings), Symbols(11, 1, 7, 1000)) == weights


def test_only_attention_depends_on_the_length():
    symbols = Symbols(11, 1, 7, 1000)
    for name, kind in (("gru", 0), ("transformer", 6 * 2 * 16)):
        config = ModelConfig(model=name, layers=2, hidden=16)
        assert flops_per_token(config, symbols, 101) - flops_per_token(config, symbols, 100) == kind


EVERY = pytest.mark.parametrize("name", ZOO)


def test_sizes_beyond_reason_are_refused_before_memory_is_taken():
    with pytest.raises(UsageError, match="choose smaller"):
        parameter_count(ModelConfig(hidden=65536, layers=512), Symbols(10_000_000, BEGIN, 10_000_000, 10))


@EVERY
@pytest.mark.parametrize("changes", [{}, {"layers": 3}, {"embed": 8}, {"tied": True}])
def test_the_count_of_parameters_is_the_models(name: str, changes: dict):
    settings = {"hidden": 16, "layers": 1, "context": 24, "heads": 2, **ZOO[name], **changes}
    if check(ModelConfig(**settings)):
        pytest.skip("these settings do not go together")
    model = zoo_model(name, seen=17, vocab_size=30, **changes)
    assert parameter_count(model.config, model.symbols) == sum(p.numel() for p in model.parameters())
