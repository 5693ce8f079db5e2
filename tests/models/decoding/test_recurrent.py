"""rnn, gru and lstm a token at a time: where their first products come from."""

from __future__ import annotations

import pytest
import torch

from seqtool.models.decoding import recurrent
from seqtool.models.decoding.recurrent import RecurrentSteps
from seqtool.models.state import take_rows
from tests.zoo import ZOO, V, zoo_model

RECURRENT = [name for name in ZOO if ZOO[name]["model"] in ("rnn", "gru", "lstm")]
IDS = torch.randint(V, (3, 6), generator=torch.Generator().manual_seed(0))


def stepped(name: str, precision: str = "fp32") -> torch.Tensor:
    """The features of the last four tokens, after the state of the first two, rows 2, 0 and 0 of the batch."""
    model, rows = zoo_model(name), torch.tensor([2, 0, 0])
    steps = RecurrentSteps(model.inputs, model.core, precision)
    steps.restart(3, 2)
    _, state = model.features(IDS[:, :2])
    steps.put([0, 2], take_rows(state, torch.tensor([0, 2])))
    steps.keep(rows)
    return torch.stack([steps.step(ids) for ids in IDS[rows, 2:].t()], 1)


@torch.inference_mode()
@pytest.mark.parametrize("table", [True, False], ids=["looked up", "multiplied"])
@pytest.mark.parametrize("name", RECURRENT)
def test_features_are_the_models(name: str, table: bool, monkeypatch: pytest.MonkeyPatch):
    if not table:
        monkeypatch.setattr(recurrent, "TABLE_NUMBERS", 0)
    whole, _ = zoo_model(name).features(IDS)
    torch.testing.assert_close(stepped(name), whole[[2, 0, 0], 2:], rtol=1e-4, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("name", RECURRENT)
def test_a_lower_precision_is_another_and_near(name: str):
    exact, rounded = stepped(name), stepped(name, "int8")
    assert not torch.equal(exact, rounded)
    assert (exact - rounded).abs().max() < 0.1
