from __future__ import annotations

import torch

from tests.training.trainer import Trainer

SENTENCE = "The quick brown fox jumps over the lazy dog, while five boxing wizards sing of jade and quartz.\n"

TWO_HUNDRED = (
    SENTENCE
    + "Pack my box; then vex the judge with a dozen liquor jugs, or sphinx of black quartz, hear my vow: pq, and so we go on."
)[:200]


assert len(TWO_HUNDRED) == 200


def test_truncation_cuts_gradients_but_not_the_state(trainer: Trainer):
    """With one lane, a batch's first logits depend on the batch before, through the state alone."""
    from seqtool.models.state import detached
    from tests.zoo import zoo_model

    model = zoo_model("lstm")
    _, state = model(torch.tensor([[3, 4, 5]]))
    assert all(part.requires_grad for layer in state for part in layer)
    assert not any(part.requires_grad for layer in detached(state) for part in layer)
    carried, _ = model(torch.tensor([[6]]), detached(state))
    fresh, _ = model(torch.tensor([[6]]))
    assert not torch.allclose(carried, fresh)
