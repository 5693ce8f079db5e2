"""One step of what learns: gradients of a batch taken in parts, its state, and their scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtool.models.state import State
from seqtool.settings.training import TrainConfig
from seqtool.tasks.language.batches import TextBatch
from seqtool.tasks.language.objective import Objective
from seqtool.training.learner import Learner
from seqtool.training.optimizers import make_optimizers
from seqtool.training.world import alone
from tests.zoo import V, zoo_model

ROWS, TIME = 4, 7
PLAIN = {"optimizer": "sgd", "precision": "fp32", "weight_decay": 0.0}
IDS = np.random.default_rng(0).integers(2, V, (ROWS, TIME + 1))


def learner(name: str = "lstm", **settings: object) -> Learner:
    config, model = TrainConfig(**{**PLAIN, **settings}), zoo_model(name).train()
    optimizers = make_optimizers(model.weights(), config)
    return Learner(model, Objective(model, config), optimizers, None, config, alone(torch.device("cpu")))


def batch(*restarts: int) -> TextBatch:
    begun = np.isin(np.arange(ROWS), restarts)
    return TextBatch(IDS[:, :-1], IDS[:, 1:], begun, ROWS * TIME, TIME)


def gradients(made: Learner) -> list[torch.Tensor]:
    return [weight.grad.clone() for weight in made.parameters() if weight.grad is not None]


def state_of(made: Learner) -> State:
    """Some state, with a graph behind it."""
    return made.model(torch.from_numpy(IDS[:, :3]))[1]


@pytest.mark.parametrize("name", ["lstm", "gdn and attention", "transformer plain"])
@pytest.mark.parametrize("parts", [2, 3])
def test_a_batch_in_parts_is_the_whole_batch(name: str, parts: int):
    found = []
    for accumulate in (1, parts):
        made = learner(name, accumulate=accumulate)
        loss, state = made.gradients(batch(*range(ROWS)), None, 1.0)
        found.append([torch.tensor(loss), *gradients(made), *(part for layer in state for part in layer)])
    for whole, in_parts in zip(*found, strict=True):
        torch.testing.assert_close(in_parts, whole, rtol=1e-4, atol=1e-6)


def test_rows_that_restart_forget_and_the_others_go_on():
    made = learner()
    before = state_of(made)
    losses = [
        made.gradients(batch(*restarts), state, 1.0)[0]
        for restarts, state in (((), None), (range(ROWS), before), ((), before), ((0, 1), before))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert len({round(loss, 4) for loss in losses}) == 3


def test_no_gradient_flows_into_the_batch_before():
    made = learner()
    before = state_of(made)
    for layer in before:
        for part in layer:
            part.retain_grad()
    made.gradients(batch(), before, 1.0)
    assert all(part.grad is None for layer in before for part in layer)


def test_the_scale_of_the_loss_is_taken_out_before_clipping():
    norms, clipped = [], []
    for scale in (1.0, 1024.0):
        made = learner(clip_norm=0.01)
        made.gradients(batch(), None, scale)
        norms.append(made.clip(scale))
        clipped.append(torch.stack([gradient.norm() for gradient in gradients(made)]).norm().item())
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    assert norms[0] > 0.01
    assert clipped == pytest.approx([0.01, 0.01], rel=1e-3)


def test_a_step_goes_against_the_gradient_at_the_rate_given():
    made = learner()
    made.gradients(batch(), None, 1.0)
    before = [weight.detach().clone() for weight in made.parameters()]
    made.step(0.25)
    for was, weight in zip(before, made.parameters(), strict=True):
        torch.testing.assert_close(weight, was - 0.25 * weight.grad)


def test_a_fresh_state_is_that_of_a_beginning():
    made = learner()
    state = made.fresh(state_of(made))
    assert not any(part.any() for layer in state for part in layer)
    assert not any(part.requires_grad for layer in state for part in layer)
