"""The training loop: batches in, better weights out. It reads from top to bottom."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seqtool.errors import DivergedError
from seqtool.models.device import autocast
from seqtool.models.language_model import LanguageModel, evaluating
from seqtool.models.state import State, detached, joined, rows_of
from seqtool.native.loading import keep_freed_memory
from seqtool.scoring.scorer import Document, validate
from seqtool.settings.training import TrainConfig
from seqtool.training.averages import Average, ema_share, mean_share
from seqtool.training.batches import Batch, Batches
from seqtool.training.gradients import clip_gradients, gradient_by_lag
from seqtool.training.optimizers import set_rate
from seqtool.training.schedules import rate_factor
from seqtool.training.world import World

LOG_EVERY = 10
VALIDATIONS, SHORT_VALIDATIONS, SHORT_S = 10, 4, 20.0  # in a whole training, and in one whose --time is short
SKIPPED_IN_ROW, SKIPPED_SHARE = 10, 0.1  # steps without finite gradients: in a row; of all, after the first ten
PLAN_SHARE, PLAN_S, PLAN_STEPS = 0.1, 30.0, 8  # of --time, seconds, steps: when it becomes a number of steps
FP16_SCALE, FP16_MOST_SCALE = 2.0**16, 2.0**24  # of the loss, so that small gradients are not zero in fp16
FP16_GROWS_AFTER = 2000  # steps


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

    def validation_due(self, config: TrainConfig) -> bool:
        """Whether validation comes before the next step: a function of the step alone."""
        if self.validated >= self.step:
            return False
        if self.step and (self.share(config) >= 1.0 or self.stagnant(config)):
            return True
        if config.eval_every:
            return self.step % config.eval_every == 0
        count = validations(config)
        if not self.steps or self.step - self.validated <= self.steps / count / 2:
            return False  # soon after the validation that --time was planned by
        return self.step * count // self.steps > (self.step - 1) * count // self.steps

    def stagnant(self, config: TrainConfig) -> bool:
        """Whether validation has gone without a better loss for as long as early stopping waits."""
        return bool(config.early_stop) and self.since_best >= config.early_stop

    def hears(self, loss: float, config: TrainConfig) -> bool:
        """Take a validation loss in; whether it is the best."""
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


def validations(config: TrainConfig) -> int:
    """How many validations a training has, unless --eval-every says otherwise."""
    return SHORT_VALIDATIONS if 0 < config.time < SHORT_S else VALIDATIONS


class Keeper(Protocol):
    """Where results go, as they come."""

    def log(self, record: dict[str, Any]) -> None:
        """A line of metrics: a logged step, or a validation."""

    def keep_best(self) -> None:
        """The weights, as they are now in the model, are the best so far."""

    def keep_checkpoint(self, progress: Progress, state: State | None, average: Average | None) -> None:
        """Everything needed to go on from here."""


def train(
    model: LanguageModel,
    objective: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    average: Average | None,
    batches: Batches,
    valid_ids: Document,
    config: TrainConfig,
    keeper: Keeper,
    *,
    valid_tokens: int,
    progress: Progress,
    state: State | None = None,
    world: World,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> Progress:
    """Train until the steps of `progress` are done, or `config.time`, early stopping or `stopped()` ends it.

    `progress` and `state` come from a checkpoint, or begin anew. Each step: read a batch on from the detached state
    (back-propagation through time truncated at its length), the objective per token, gradients, clipping, update.
    DivergedError when too many steps have no finite loss or gradient.
    """
    keep_freed_memory()
    parameters, device = [weight for _, weight in model.weights() if weight.requires_grad], model.device
    rows = world.rows(config.batch_size)
    began = clock() - progress.elapsed_s
    logged_tokens, logged_s = progress.tokens, progress.elapsed_s
    step_times = [began + progress.elapsed_s]
    stopping = False
    model.train()
    while not stopping:
        if not progress.step and config.probe_gradients and not progress.validated:
            _probe(model, valid_ids, config, keeper, progress)
        checkpoint_due = bool(config.checkpoint_every) and progress.step % config.checkpoint_every == 0
        plan_due = bool(config.time) and not progress.steps and _plan_due(step_times, config, progress)
        if progress.validation_due(config) or plan_due:
            validating = clock()
            if not _validate(model, average, valid_ids, valid_tokens, config, keeper, progress, world, stopped):
                break
            if plan_due:
                validation_s = clock() - validating
                progress.steps = world.from_main(_planned_steps(step_times, validation_s, config, progress))
                progress.planned_for_s = config.time
            checkpoint_due |= not config.checkpoint_every or len(progress.valid_losses) == 1  # the run takes its name
            logged_s = progress.elapsed_s = world.from_main(clock() - began)
        if (progress.step and progress.share(config) >= 1.0) or progress.stagnant(config):
            break
        if checkpoint_due and progress.step:
            keeper.keep_checkpoint(progress, state, average)

        lr = config.lr * rate_factor(config, progress.share(config), progress.step, progress.steps, progress.falls)
        batch = batches.batch(progress.step, rows)
        if config.bptt_jitter:
            lr *= batch.targets_BT.shape[1] / config.bptt
        set_rate(optimizers, lr)
        scale = progress.loss_scale if config.precision == "fp16" else 1.0
        nats, after = _gradients(model, objective, batch, state, config, world, scale)
        if scale != 1.0:
            torch._foreach_mul_([p.grad for p in parameters if p.grad is not None], 1.0 / scale)
        grad_norm = float(clip_gradients(parameters, config))
        nats, stops, elapsed_s = world.sum([nats, float(stopped()), clock() - began if world.main else 0.0])
        finite = math.isfinite(nats) and math.isfinite(grad_norm)
        if finite:
            for optimizer in optimizers:
                optimizer.step()
            state = after if config.stateful else None
            progress.skipped_in_row = 0
        else:
            state = None
            if config.stateful:  # what gave such numbers is not carried on
                state = model.restarted(detached(after), torch.ones(len(batch.restarts_B), dtype=torch.bool).to(device))
        _adapt_scale(progress, config, finite)
        progress.step += 1
        progress.tokens += batch.tokens
        progress.elapsed_s = elapsed_s
        if finite and average is not None:
            _add_to_average(average, config, progress)
        stopping = stops > 0
        if config.time and not progress.steps:
            step_times.append(began + elapsed_s)
        done = progress.steps and progress.step >= progress.steps
        if progress.step % LOG_EVERY == 0 or progress.step == 1 or done or not finite:
            record = {
                "step": progress.step,
                "tokens": progress.tokens,
                "loss": nats / batch.tokens if finite else None,
                "lr": lr,
                "grad_norm": grad_norm if finite else None,
                "skipped": progress.skipped,
                "tokens_per_s": (progress.tokens - logged_tokens) / max(progress.elapsed_s - logged_s, 1e-9),
                "elapsed_s": progress.elapsed_s,
                "share": progress.share(config),
            }
            keeper.log(record)
            logged_tokens, logged_s = progress.tokens, progress.elapsed_s
    keeper.keep_checkpoint(progress, state, average)
    return progress


def _gradients(
    model: LanguageModel,
    objective: nn.Module,
    batch: Batch,
    state: State | None,
    config: TrainConfig,
    world: World,
    scale: float,
) -> tuple[float, State]:
    """Put the gradient of the objective per token, over all processes' rows, into the parameters.

    Gives the nats of this process's rows and the state after them. The rows are taken in `config.accumulate` parts.
    """
    model.zero_grad(set_to_none=True)
    parts = -(-config.accumulate // world.size)
    nats, states = torch.zeros((), device=model.device), []
    restarted = None
    if state is not None:
        restarted = model.restarted(detached(state), torch.from_numpy(batch.restarts_B).to(model.device))
    for number, part in enumerate(_parts(len(batch.inputs_BT), parts)):
        inputs_BT, targets_BT = (_sent(array[part], model.device) for array in (batch.inputs_BT, batch.targets_BT))
        together = number == parts - 1 or world.size == 1
        with nullcontext() if together else getattr(objective, "no_sync", nullcontext)():
            with autocast(config.precision, model.device):
                total, part_nats, after = objective(
                    inputs_BT, targets_BT, None if restarted is None else rows_of(restarted, part), batch.advance
                )
            (total * (scale * world.size / batch.tokens)).backward()  # processes' gradients are averaged
        nats += part_nats
        states.append(after)
    return float(nats), joined(states)


def _sent(ids: npt.NDArray[np.int64], device: torch.device) -> Tensor:
    """Ids on the device; to a GPU they go while it computes."""
    tensor = torch.from_numpy(ids)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _parts(rows: int, parts: int) -> Iterator[slice]:
    for part in range(parts):
        yield slice(part * rows // parts, (part + 1) * rows // parts)


def _validate(
    model: LanguageModel,
    average: Average | None,
    valid_ids: Document,
    valid_tokens: int,
    config: TrainConfig,
    keeper: Keeper,
    progress: Progress,
    world: World,
    stopped: Callable[[], bool],
) -> bool:
    """Score validation text, by the average of the weights where there is one, and keep these if they are the best.

    False when it was left for later, because training is to stop.
    """
    averaged = average is not None and progress.averaged > 0
    with average.in_place() if average is not None and averaged else nullcontext():
        with autocast(config.precision, model.device), evaluating(model):
            validation = validate(model, valid_ids, valid_tokens, None if config.shard else stopped)
        loss = world.from_main(None if validation is None else validation.loss)
        if loss is None:
            return False
        if not math.isfinite(loss):
            raise DivergedError(_diverged("the validation loss", progress))
        best = progress.hears(loss, config)
        keeper.log(
            {
                **{name: value for name, value in asdict(progress).items() if name in ("step", "tokens", "elapsed_s")},
                "valid_loss": loss,
                "valid_tokens": 0 if validation is None else validation.tokens,
                "best_step": progress.best_step,
                "averaged": progress.averaged,
            }
        )
        if best:
            keeper.keep_best()
    if config.probe_gradients:
        _probe(model, valid_ids, config, keeper, progress)
    if config.optimizer == "nt-asgd" and not progress.averaged:
        before = progress.valid_losses[: -config.nonmonotone - 1]
        if before and loss > min(before):
            assert average is not None
            progress.averaged = 1
            average.add(1.0)
    return True


def _probe(model: LanguageModel, valid_ids: Document, config: TrainConfig, keeper: Keeper, progress: Progress) -> None:
    if "probe_gradients" in model.config.architecture.settings:
        norms = gradient_by_lag(model, valid_ids, config.probe_gradients)
        keeper.log({"step": progress.step, "gradient_by_lag": norms})


def _add_to_average(average: Average, config: TrainConfig, progress: Progress) -> None:
    """Take the weights of this step in, where the average has begun."""
    begun = (
        progress.averaged or config.ema or (config.optimizer == "asgd" and progress.share(config) > config.average_from)
    )
    if begun:
        progress.averaged += 1
        average.add(ema_share(config.ema, progress.averaged) if config.ema else mean_share(progress.averaged))


def _adapt_scale(progress: Progress, config: TrainConfig, finite: bool) -> None:
    """Count steps that were left out; for fp16, halve the scale of a loss that overflowed, double one that long held.

    DivergedError after too many. (Micikevicius et al. 2018, section 3.2.)
    """
    overflow = not finite and config.precision == "fp16" and progress.loss_scale > 1.0
    progress.scale_held += 1
    if overflow:
        progress.loss_scale, progress.scale_held = progress.loss_scale / 2, 0
    elif progress.scale_held >= FP16_GROWS_AFTER:
        progress.loss_scale, progress.scale_held = min(progress.loss_scale * 2, FP16_MOST_SCALE), 0
    if finite or overflow:
        return
    progress.skipped += 1
    progress.skipped_in_row += 1
    if progress.skipped_in_row >= SKIPPED_IN_ROW or progress.skipped > SKIPPED_IN_ROW + SKIPPED_SHARE * progress.step:
        raise DivergedError(_diverged("the loss or the gradient", progress))


def _plan_due(step_times: list[float], config: TrainConfig, progress: Progress) -> bool:
    """Whether enough steps were taken, in this process, to judge by how many --time is."""
    spent_s, left_s = step_times[-1] - step_times[0], config.time - progress.elapsed_s
    enough = len(step_times) > PLAN_STEPS and spent_s >= min(PLAN_SHARE * config.time, PLAN_S)
    return enough or spent_s > max(left_s, 0.0)


def _planned_steps(step_times: list[float], validation_s: float, config: TrainConfig, progress: Progress) -> int:
    """How many steps --time is, judged by those taken and leaving time for the validations to come."""
    taken = [after - before for before, after in itertools.pairwise(step_times)]
    step_s = statistics.fmean(taken[len(taken) // 2 :])  # the first ones take longer
    left_s = config.time - progress.elapsed_s - validation_s
    if config.eval_every:
        step_s += validation_s / config.eval_every
    else:
        left_s = max(left_s - (validations(config) - 1) * validation_s, left_s / 2)
    return progress.step + max(1, round(left_s / max(step_s, 1e-9)))


def _diverged(what: str, progress: Progress) -> str:
    kept = f"the weights of step {progress.best_step} are kept" if progress.best_step else "no weights are kept"
    return (
        f"training diverged: {what} at step {progress.step} is not a finite number ({kept}); "
        "lower --lr, or clip with --clip-norm"
    )


def is_finite(tensors: list[Tensor]) -> bool:
    """Whether all numbers are."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor.is_floating_point())
