"""Validation during training: score what is held back, keep the best weights, and what follows from the loss."""

from __future__ import annotations

import math
from typing import Any, Protocol

from seqtool.errors import DivergedError
from seqtool.models.device import autocast
from seqtool.models.language_model import evaluating
from seqtool.models.state import State
from seqtool.training.averages import Average
from seqtool.training.learner import Learner
from seqtool.training.progress import Progress, diverged
from seqtool.training.task import Stopped, Validator


class Keeper(Protocol):
    """Where results go, as they come."""

    def log(self, record: dict[str, Any]) -> None:
        """Keep a line of metrics: of a step, or of a validation."""

    def keep_best(self) -> None:
        """Keep the weights, as they are now in the model, as the best so far."""

    def keep_checkpoint(self, progress: Progress, state: State | None, average: Average | None) -> None:
        """Keep everything that is needed to go on from here."""


def validate(learner: Learner, validator: Validator, keeper: Keeper, progress: Progress, stopped: Stopped) -> bool:
    """Score what is held back, by the average of the weights where there is one, and keep these if they are the best.

    False when it was left for later, because training is to stop.
    """
    config, world, model = learner.config, learner.world, learner.model
    with learner.averaged(progress):
        with autocast(config.precision, model.device), evaluating(model):
            validation = validator.validate(model, None if config.shard else stopped)
        loss, judged = world.from_main((None, None) if validation is None else (validation.loss, validation.judged))
        if loss is None:
            return False
        if not math.isfinite(loss):
            raise DivergedError(diverged("the validation loss", progress))
        best = progress.record_validation(judged, config)
        keeper.log(
            {
                "step": progress.step,
                "tokens": progress.tokens,
                "elapsed_s": progress.elapsed_s,
                "valid_loss": loss,
                "valid_tokens": 0 if validation is None else validation.targets,
                "best_step": progress.best_step,
                "averaged": progress.averaged,
                **({} if validation is None or validation.score is None else {"valid_score": validation.score}),
            }
        )
        if best:
            keeper.keep_best()
        record_probes(learner, validator, keeper, progress)
    learner.begin_average(progress)
    return True


def record_probes(learner: Learner, validator: Validator, keeper: Keeper, progress: Progress) -> None:
    """Log what else the task looks at in a model, where anything was asked for."""
    if probes := validator.probes(learner.model):
        keeper.log({"step": progress.step, **probes})
