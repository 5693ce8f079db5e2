"""What a validation during training keeps and records, whatever the task is."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from seqtool.errors import DivergedError
from seqtool.models.net import Net
from seqtool.settings.training import TrainConfig
from seqtool.training.averages import Average
from seqtool.training.learner import Learner
from seqtool.training.progress import Progress
from seqtool.training.task import Stopped, Validation
from seqtool.training.validation import validate
from seqtool.training.world import alone


class OneWeight(Net):
    """A model of one number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([1.0]))


class Recorder:
    """A keeper and validator that record what they are asked for, and the weight that the model has then."""

    def __init__(self, model: OneWeight, losses: list[float | None], probes: dict[str, Any] | None = None) -> None:
        self.model, self.losses, self.given_probes = model, losses, probes or {}
        self.lines: list[dict[str, Any]] = []
        self.best: list[float] = []
        self.validated: list[tuple[float, bool, bool]] = []

    def validate(self, model: Net, stopped: Stopped | None) -> Validation | None:
        self.validated.append((self.model.weight.item(), model.training, stopped is not None))
        loss = self.losses.pop(0)
        return None if loss is None else Validation(loss * 10, 10)

    def probes(self, model: Net) -> dict[str, Any]:
        return self.given_probes

    def log(self, record: dict[str, Any]) -> None:
        self.lines.append(record)

    def keep_best(self) -> None:
        self.best.append(self.model.weight.item())

    def keep_checkpoint(self, *given: Any) -> None:
        raise AssertionError("a validation writes no checkpoint")


def validated(
    losses: list[float | None], progress: Progress, *, average: float | None = None, probes: Any = None, **settings: Any
) -> tuple[list[bool], Recorder]:
    """Validations with these losses, the weight being the number of the step."""
    model = OneWeight().train()
    averaged = None if average is None else Average([model.weight])
    learner = Learner(model, model, [], averaged, TrainConfig(precision="fp32", **settings), alone(torch.device("cpu")))
    recorder, done = Recorder(model, losses, probes), []
    while losses:
        progress.step += 1
        model.weight.data.fill_(float(progress.step))
        if averaged is not None:
            averaged.tensors[0].fill_(average)
            progress.averaged = 1
        done.append(validate(learner, recorder, recorder, progress, lambda: False))
        assert model.weight.item() == progress.step, "the weights are those of training again"
        assert model.training
    return done, recorder


def test_the_best_weights_are_kept_and_every_loss_is_logged():
    progress = Progress()
    done, recorder = validated([2.0, 3.0, 1.5], progress)
    assert done == [True] * 3
    assert recorder.best == [1.0, 3.0]
    assert [(line["step"], line["valid_loss"], line["best_step"]) for line in recorder.lines] == [
        (1, 2.0, 1), (2, 3.0, 1), (3, 1.5, 3)
    ]  # fmt: skip
    assert all(line["valid_tokens"] == 10 for line in recorder.lines)
    assert (progress.validated, progress.best_loss) == (3, 1.5)


def test_it_is_in_evaluation_and_may_be_stopped_unless_the_weights_are_split():
    for shard in (False, True):
        _, recorder = validated([2.0], Progress(), shard=shard)
        assert recorder.validated == [(1.0, False, not shard)]


def test_one_that_was_stopped_is_left_for_later():
    progress = Progress()
    done, recorder = validated([None], progress, probes={"gradient_by_lag": [1.0]})
    assert done == [False]
    assert (recorder.lines, recorder.best, progress.validated) == ([], [], 0)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_training(loss: float):
    progress = Progress()
    with pytest.raises(DivergedError, match=r"the validation loss at step 1 is not a finite number.*lower --lr"):
        validated([loss], progress)
    assert progress.validated == 0


def test_where_there_is_an_average_it_is_validated_and_kept():
    _, recorder = validated([2.0], Progress(), average=7.0)
    assert recorder.validated[0][0] == 7.0
    assert recorder.best == [7.0]
    assert recorder.lines[0]["averaged"] == 1


def test_probes_have_a_line_of_their_own():
    _, recorder = validated([2.0], Progress(), probes={"gradient_by_lag": [1.0, 0.5]})
    assert recorder.lines[1] == {"step": 1, "gradient_by_lag": [1.0, 0.5]}
