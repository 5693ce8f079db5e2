"""A transformer that writes: what it reads by the fused kernel equals the weights written out."""

from __future__ import annotations

import torch

from seqtool.models.attention import attention_weights
from seqtool.models.cores.decoder import Memory
from seqtool.models.cores.transformer_decoder import CrossAttention, TransformerDecoder
from seqtool.settings.model import ModelConfig

CONFIG = ModelConfig(model="transformer", hidden=8, heads=2, layers=2, context=16, position="sinusoidal")
B, S, T, M = 3, 6, 4, 10


def test_reading_is_its_weights_times_the_values():
    torch.manual_seed(0)
    reading, x, values = CrossAttention(CONFIG, M), torch.randn(B, T, 8), torch.randn(B, S, M)
    lengths = torch.tensor([6, 1, 3])
    K, V = reading.read(values)
    fused = reading(x, K, V, lengths)
    weights = attention_weights(reading.ask(x), K, lengths)
    out = reading.output((weights @ V).transpose(1, 2).flatten(2))
    torch.testing.assert_close(fused, out)
    ours, theirs = (
        torch.autograd.grad(one.square().sum(), list(reading.parameters()), retain_graph=True) for one in (fused, out)
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


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
