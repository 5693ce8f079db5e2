"""A transformer that writes: what it reads by the fused kernel equals the weights written out."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from seqtool.models.attention import attention_weights, rotary_positions
from seqtool.models.cores.decoder import Memory
from seqtool.models.cores.transformer_decoder import CrossAttention, TransformerDecoder
from seqtool.settings.model import ModelConfig

CONFIG = ModelConfig(model="transformer", hidden=8, heads=2, layers=2, context=16, position="sinusoidal")
ROTARY = dataclasses.replace(CONFIG, position="rope", attention="rotary")
B, S, T, M = 3, 6, 4, 10


@pytest.mark.parametrize("config", [CONFIG, ROTARY], ids=["luong", "rotary"])
def test_reading_is_its_weights_times_the_values(config):
    torch.manual_seed(0)
    reading, x, values = CrossAttention(config, M), torch.randn(B, T, 8), torch.randn(B, S, M)
    lengths, turned = torch.tensor([6, 1, 3]), rotary_positions(S, 4)
    K, V = reading.read(values, turned)
    fused = reading(x, (K, V), lengths, turned[:, :T])
    weights = attention_weights(reading.ask(x, turned[:, :T]), K, lengths)
    out = reading.output((weights @ V).transpose(1, 2).flatten(2))
    torch.testing.assert_close(fused, out)
    ours, theirs = (
        torch.autograd.grad(one.square().sum(), list(reading.parameters()), retain_graph=True) for one in (fused, out)
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_rotary_reading_knows_how_far_what_is_read_stands_from_what_is_written():
    """By scores: of equal tokens they depend on the distance alone, where luong's are all the same."""
    for config, told in ((dataclasses.replace(ROTARY, attention="luong"), False), (ROTARY, True)):
        torch.manual_seed(0)
        reading = CrossAttention(config, M)
        turned = rotary_positions(S, 4)
        K, _ = reading.read(torch.randn(1, 1, M).expand(1, S, M), turned)
        scores_TS = (reading.ask(torch.randn(1, 1, 8).expand(1, T, 8), turned[:, :T]) @ K.transpose(2, 3))[0, 0]
        torch.testing.assert_close(scores_TS[1:, 1:], scores_TS[:-1, :-1])
        assert bool((scores_TS[0, 1:] - scores_TS[0, :-1]).abs().min() > 1e-3) == told


def test_the_state_grows_by_what_is_written_and_positions_count():
    torch.manual_seed(0)
    decoder = TransformerDecoder(CONFIG, 8, M).eval()
    memory = Memory(torch.randn(B, S, M), torch.tensor([6, 1, 3]), torch.zeros(B, M))
    given = decoder.read(memory)
    features, state = decoder(torch.ones(B, T, 8), given, None)
    assert [layer[0].shape for layer in state] == [(B, 2, T, 4)] * 2
    assert not torch.allclose(features[:, 0], features[:, 1])  # the same token at another position
    _, state = decoder(torch.ones(B, 1, 8), given, state)
    assert state[0][0].shape[2] == T + 1


def test_init_draws_from_the_generator_alone():
    made = []
    for _ in range(2):
        torch.manual_seed(5)
        decoder = TransformerDecoder(CONFIG, 8, M)
        decoder.initialize(CONFIG)
        made.append(torch.cat([weight.flatten() for weight in decoder.parameters()]))
    assert torch.equal(*made)
