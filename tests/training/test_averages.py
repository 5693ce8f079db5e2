"""Averages of weights against torch's own ASGD, against the mean, and as AWD-LSTM begins them."""

from __future__ import annotations

import pytest
import torch

from seqtool.training.averages import Average, ema_share, mean_share
from seqtool.training.progress import Progress
from tests.training.trainer import SHORT, SMALL, Trainer, weights


def gradients() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 4, generator=generator) for _ in range(12)]


def test_the_mean_is_that_of_torchs_asgd():
    """With lambd = alpha = 0 torch's ASGD is SGD, with the mean since step t0 + 2 in its state `ax`."""
    theirs, ours = (torch.nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4)) for _ in range(2))
    asgd = torch.optim.ASGD([theirs], lr=0.1, lambd=0.0, alpha=0.0, t0=0)
    sgd, average = torch.optim.SGD([ours], lr=0.1), Average([ours])
    for step, gradient in enumerate(gradients(), start=1):
        theirs.grad, ours.grad = gradient.clone(), gradient.clone()
        asgd.step()
        sgd.step()
        average.add(mean_share(max(1, step - 1)))
    torch.testing.assert_close(average.tensors[0], asgd.state[theirs]["ax"])


def test_the_exponential_average_is_that_of_torch():
    weight = torch.nn.Parameter(torch.zeros(3, 4))
    average = Average([weight])
    model = torch.nn.Linear(4, 3, bias=False)
    theirs = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5))
    for count, gradient in enumerate(gradients(), start=11):  # from where the warm-up of the decay has ended
        with torch.no_grad():
            weight.copy_(gradient)
            model.weight.copy_(gradient)
        average.add(1.0 if count == 11 else ema_share(0.5, count))
        theirs.update_parameters(model)
    torch.testing.assert_close(average.tensors[0], theirs.module.weight.detach())


def test_in_place_and_back():
    weight = torch.nn.Parameter(torch.ones(2))
    average = Average([weight])
    average.tensors[0].fill_(5.0)
    with average.in_place():
        assert weight.tolist() == [5.0, 5.0]
    assert weight.tolist() == [1.0, 1.0]
    assert average.tensors[0].tolist() == [5.0, 5.0]


@pytest.mark.parametrize(("optimizer", "begins"), [("asgd", 0.5), ("nt-asgd", None)])
def test_averaged_weights_are_validated_and_kept(trainer: Trainer, optimizer: str, begins: float | None):
    training = {**SHORT, "optimizer": optimizer, "lr": 2.0, "schedule": "constant", "eval_every": 4, "nonmonotone": 1}
    progress: Progress = trainer("run", SMALL, training)
    averaged = [record["averaged"] for record in trainer.records if "valid_loss" in record]
    assert averaged[0] == 0
    if begins:
        assert progress.averaged == 20
    losses = [record["valid_loss"] for record in trainer.records if "valid_loss" in record]
    assert progress.best_loss == min(losses)


def test_nonmonotone_averaging_begins_when_validation_got_worse(trainer: Trainer):
    """Merity et al. 2017, algorithm 1: once a loss is above the best of those more than n validations before."""
    training = {**SHORT, "optimizer": "nt-asgd", "lr": 1e-12, "steps": 40, "eval_every": 2, "nonmonotone": 3}
    trainer("run", {**SMALL, "dropout": 0.0}, training)
    lines = [record for record in trainer.records if "valid_loss" in record]
    losses = [line["valid_loss"] for line in lines]
    expected = next(
        (i for i in range(len(losses)) if losses[: max(0, i - 3)] and losses[i] > min(losses[: i - 3])), None
    )
    begun = next((i for i, line in enumerate(lines) if line["averaged"]), None)
    assert begun == (None if expected is None else expected + 1)


def test_ema_smooths_the_kept_weights(trainer: Trainer):
    for name, ema in (("plain", 0.0), ("ema", 0.9)):
        trainer(name, SMALL, {**SHORT, "ema": ema, "schedule": "constant"})
    assert not torch.equal(*(weights(trainer.folder / name)["head.output.weight"] for name in ("plain", "ema")))
