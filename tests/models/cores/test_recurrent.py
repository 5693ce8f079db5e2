from __future__ import annotations

import pytest
import torch

from seqtool.models.cores.recurrent import Recurrent
from seqtool.models.inputs import InputVectors
from seqtool.settings.model import ModelConfig
from tests.zoo import zoo_model


def test_identity_initialisation():
    model = zoo_model("rnn relu identity")
    assert isinstance(model.core, Recurrent)
    kernel = model.core.layers[0].kernel
    assert torch.equal(kernel.weight_hh_l0, torch.eye(16))
    assert not kernel.bias_ih_l0.any()
    assert not kernel.bias_hh_l0.any()


def test_orthogonal_initialisation_is_by_gate_and_forget_bias_is_set():
    model = zoo_model("lstm", init="orthogonal", forget_bias=1.5)
    kernel = model.core.layers[0].kernel
    for W in kernel.weight_hh_l0.split(16):
        torch.testing.assert_close(W @ W.T, torch.eye(16), rtol=1e-5, atol=1e-5)
    assert torch.equal(
        kernel.bias_ih_l0 + kernel.bias_hh_l0, torch.cat([torch.zeros(16), torch.full((16,), 1.5), torch.zeros(32)])
    )


SYMBOLS = 7


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_symbols_and_tokens_are_read_alike(kind: str):
    """With fewer symbols than tokens the first product is one for each symbol: the same numbers."""
    torch.manual_seed(3)
    core, table = Recurrent(ModelConfig(model=kind, embed=6, hidden=20), 6), torch.randn(SYMBOLS, 6)
    ids = torch.randint(SYMBOLS, (4, 10))
    whole, _ = core(InputVectors(ids, table), None)
    state = None
    parts = []
    for at in range(ids.shape[1]):  # four tokens at a time are fewer than the symbols
        y, state = core(InputVectors(ids[:, at : at + 1], table), state)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
