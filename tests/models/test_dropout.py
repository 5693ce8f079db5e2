from __future__ import annotations

import torch

from tests.zoo import zoo_model


def test_dropout_acts_in_training_only():
    model = zoo_model("lstm", dropout=0.5)
    ids = torch.zeros(1, 4, dtype=torch.long)
    assert torch.equal(model(ids)[0], model(ids)[0])
    model.train()
    assert not torch.equal(model(ids)[0], model(ids)[0])
