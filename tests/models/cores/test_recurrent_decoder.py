"""Recurrent decoders: attention by its equations, written out, equals what runs, in outputs and gradients."""

from __future__ import annotations

import pytest
import torch

from seqtool.models.cells import run_cell_once
from seqtool.models.cores.decoder import Memory
from seqtool.models.cores.recurrent_decoder import RecurrentDecoder
from seqtool.settings.model import ModelConfig

B, S, T, E, H, M = 3, 4, 5, 6, 8, 10


def decoder_of(model: str, attention: str, layers: int = 1) -> RecurrentDecoder:
    torch.manual_seed(0)
    return RecurrentDecoder(ModelConfig(model=model, hidden=H, layers=layers, attention=attention), E, M)


def written_out(decoder: RecurrentDecoder, x_BTE: torch.Tensor, memory: Memory) -> torch.Tensor:
    """Row by row and step by step, as the papers have it; one layer."""
    (layer,) = decoder.core.layers
    W_ih, W_hh, b_ih, b_hh = layer.weights
    rows = []
    for row in range(len(x_BTE)):
        values = memory.values_BSM[row, : memory.lengths_B[row]]
        state = tuple(torch.tanh(decoder.first_states(memory.summary_BM[row : row + 1])).split(H, dim=-1))
        features = []
        for x in x_BTE[row]:
            context = torch.zeros(M)
            if decoder.attention == "bahdanau":
                scores = [
                    decoder.score @ torch.tanh(decoder.query(state[0][0]) + decoder.key(value)) for value in values
                ]
                context = torch.stack(scores).softmax(0) @ values
                x = torch.cat([x, context])
            share = (W_ih @ x + b_ih).unsqueeze(0)
            state = run_cell_once(layer.kind, share, state, lambda h: h @ W_hh.t() + b_hh)
            h = state[0][0]
            if decoder.attention == "luong":
                context = torch.stack([h @ decoder.key(value) for value in values]).softmax(0) @ values
            if decoder.attention != "none":
                h = torch.tanh(decoder.join(torch.cat([h, context])))
            features.append(h)
        rows.append(torch.stack(features))
    return torch.stack(rows)


@pytest.mark.parametrize("model", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("attention", ["none", "bahdanau", "luong"])
def test_it_computes_its_equations(model: str, attention: str):
    decoder = decoder_of(model, attention)
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(B, T, E, generator=draw)
    memory = Memory(torch.randn(B, S, M, generator=draw), torch.tensor([4, 1, 3]), torch.randn(B, M, generator=draw))
    fast, state = decoder(x, decoder.read(memory), None)
    slow = written_out(decoder, x, memory)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-5)
    assert [len(layer) for layer in state] == [2 if model == "lstm" else 1]
    weights = list(decoder.parameters())
    ours, theirs = (torch.autograd.grad(out.square().sum(), weights) for out in (fast, slow))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_layers_stack():
    decoder = decoder_of("gru", "bahdanau", layers=3)
    memory = Memory(torch.zeros(B, S, M), torch.tensor([4, 1, 3]), torch.zeros(B, M))
    _, state = decoder(torch.zeros(B, T, E), decoder.read(memory), None)
    assert len(state) == 3
