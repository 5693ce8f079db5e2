"""The training loop: batches in, better weights out. It reads from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from seqtool.models.state import State
from seqtool.native.loading import keep_freed_memory
from seqtool.settings.training import TrainConfig
from seqtool.training.learner import Learner
from seqtool.training.loss_scale import loss_scale, record_finite
from seqtool.training.pace import Pace
from seqtool.training.progress import Progress
from seqtool.training.schedules import rate_factor
from seqtool.training.task import Batches, Stopped, Validator
from seqtool.training.validation import Keeper, record_probes, validate

LOG_EVERY = 10


def train(
    learner: Learner,
    batches: Batches,
    validator: Validator,
    keeper: Keeper,
    progress: Progress,
    state: State | None = None,
    *,
    stopped: Stopped = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> Progress:
    """Train until the steps of `progress` are done, or --time, early stopping or `stopped()` ends it.

    `progress` and `state` come from a checkpoint, or begin anew. Each step: read a batch on from the detached state
    (back-propagation through time truncated at its length), the objective per target, gradients, clipping, update.
    DivergedError when too many steps have no finite loss or gradient.
    """
    keep_freed_memory()
    config, world = learner.config, learner.world
    rows = world.rows(config.batch_size)
    pace, log = Pace(config, progress, clock), StepLog(config, keeper, progress)
    learner.model.train()
    if not progress.step and not progress.validated:
        record_probes(learner, validator, keeper, progress)
    stopping = False
    while not stopping:
        checkpoint_due, plan_due = progress.checkpoint_due(config), pace.plan_due(progress)
        if progress.validation_due(config) or plan_due:
            validating = clock()
            if not validate(learner, validator, keeper, progress, stopped):
                break
            if plan_due:
                progress.steps = world.from_main(pace.planned_steps(clock() - validating, progress))
                progress.planned_for_s = config.time
            elif config.time:
                progress.steps = world.from_main(pace.steps_now(progress))
            checkpoint_due |= not config.checkpoint_every or len(progress.valid_losses) == 1  # the run takes its name
            progress.elapsed_s = world.from_main(pace.elapsed_s())
            log.begin(progress)
        if progress.over(config):
            break
        if checkpoint_due and progress.step:
            keeper.keep_checkpoint(progress, state, learner.average)

        batch = batches.batch(progress.step, rows)
        share = progress.share(config)
        lr = config.lr * rate_factor(config, share, progress.step, progress.steps, progress.falls) * batch.rate_factor
        scale = loss_scale(progress, config)
        own_loss, after = learner.gradients(batch, state, scale)
        grad_norm = learner.clip(scale)
        loss, stops, elapsed_s = world.sum([own_loss, float(stopped()), pace.elapsed_s() if world.main else 0.0])
        finite = math.isfinite(loss) and math.isfinite(grad_norm)
        if finite:
            learner.step(lr)
        if config.stateful:
            state = after if finite else learner.fresh(after)  # what gave such numbers is not carried on
        record_finite(progress, config, finite)
        progress.record_step(batch.targets, elapsed_s)
        if finite:
            learner.add_to_average(progress)
        pace.record_step(progress)
        log.step(progress, loss / batch.targets, lr, grad_norm, finite)
        stopping = stops > 0
    keeper.keep_checkpoint(progress, state, learner.average)
    return progress


class StepLog:
    """Lines of metrics: of every LOG_EVERYth step, the first, the last, and those that were left out."""

    def __init__(self, config: TrainConfig, keeper: Keeper, progress: Progress) -> None:
        self._config, self._keeper = config, keeper
        self.begin(progress)

    def begin(self, progress: Progress) -> None:
        """Measure the rate of tokens from here on."""
        self._tokens, self._elapsed_s = progress.tokens, progress.elapsed_s

    def step(self, progress: Progress, loss: float, lr: float, grad_norm: float, finite: bool) -> None:
        """Log a step, where it is one of those."""
        done = progress.steps and progress.step >= progress.steps
        if progress.step % LOG_EVERY and progress.step != 1 and not done and finite:
            return
        spent_s = max(progress.elapsed_s - self._elapsed_s, 1e-9)
        self._keeper.log(
            {
                "step": progress.step,
                "tokens": progress.tokens,
                "loss": loss if finite else None,
                "lr": lr,
                "grad_norm": grad_norm if finite else None,
                "skipped": progress.skipped,
                "tokens_per_s": (progress.tokens - self._tokens) / spent_s,
                "elapsed_s": progress.elapsed_s,
                "share": progress.share(self._config),
            }
        )
        self.begin(progress)
