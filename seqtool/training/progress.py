"""How far a training is, and what follows from that alone: when validation comes, when early stopping ends it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from seqtool.settings.training import TrainConfig

VALIDATIONS, SHORT_VALIDATIONS, SHORT_S = 10, 4, 20.0  # in a whole training, and in one whose --time is short
FP16_SCALE = 2.0**16  # of the loss at first, so that small gradients are not zero in fp16


@dataclass
class Progress:
    """How far training is: with the weights, the optimizer and the state, all that is needed to go on."""

    step: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    steps: int = 0
    """Steps in all; 0 until --time has become a number of them."""
    planned_for_s: float = 0.0
    """The --time that they were planned for."""
    validated: int = 0
    """The last step after which validation ran."""
    best_loss: float = math.inf
    best_step: int = 0
    since_best: int = 0
    valid_losses: list[float] = field(default_factory=list)
    falls: int = 0
    """How often validation had the rate fall."""
    since_fall: int = 0
    averaged: int = 0
    """How many weights the average has taken in."""
    skipped: int = 0
    skipped_in_row: int = 0
    loss_scale: float = FP16_SCALE
    scale_held: int = 0
    """Steps since the scale of an fp16 loss last changed."""

    def share(self, config: TrainConfig) -> float:
        """How much of the whole is done, 0 to 1."""
        return min(1.0, self.step / self.steps if self.steps else self.elapsed_s / config.time)

    def over(self, config: TrainConfig) -> bool:
        """Whether nothing is left to do."""
        return (self.step > 0 and self.share(config) >= 1.0) or self.stagnant(config)

    def validation_due(self, config: TrainConfig) -> bool:
        """Whether validation comes before the next step: a function of the step alone."""
        if self.validated >= self.step:
            return False
        if self.over(config):
            return True
        if config.eval_every:
            return self.step % config.eval_every == 0
        count = validations(config)
        if not self.steps or self.step - self.validated <= self.steps / count / 2:
            return False  # soon after the validation that --time was planned by
        return self.step * count // self.steps > (self.step - 1) * count // self.steps

    def checkpoint_due(self, config: TrainConfig) -> bool:
        """Whether --checkpoint-every has a checkpoint written before the next step."""
        return bool(config.checkpoint_every) and self.step % config.checkpoint_every == 0

    def stagnant(self, config: TrainConfig) -> bool:
        """Whether validation has gone without a better loss for as long as early stopping waits."""
        return bool(config.early_stop) and self.since_best >= config.early_stop

    def record_validation(self, loss: float, config: TrainConfig) -> bool:
        """Count a validation loss; whether it is the best."""
        self.validated = self.step
        self.valid_losses.append(loss)
        better = loss < self.best_loss - config.min_gain
        self.since_best = 0 if better else self.since_best + 1
        self.since_fall = 0 if better else self.since_fall + 1
        if self.since_fall >= config.decay_patience and config.schedule == "plateau":
            self.falls, self.since_fall = self.falls + 1, 0
        if better:
            self.best_loss, self.best_step = loss, self.step
        return better

    def record_step(self, targets: int, elapsed_s: float) -> None:
        """Count a step that was taken."""
        self.step += 1
        self.tokens += targets
        self.elapsed_s = elapsed_s


def validations(config: TrainConfig) -> int:
    """How many validations a training has, unless --eval-every says otherwise."""
    return SHORT_VALIDATIONS if 0 < config.time < SHORT_S else VALIDATIONS


def diverged(what: str, progress: Progress) -> str:
    """The message of a training that has diverged."""
    kept = f"the weights of step {progress.best_step} are kept" if progress.best_step else "no weights are kept"
    return (
        f"training diverged: {what} at step {progress.step} is not a finite number ({kept}); "
        "lower --lr, or clip with --clip-norm"
    )
