"""The training loop: batches in, better weights out. It reads from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seqtool.config import TrainConfig
from seqtool.errors import DivergedError
from seqtool.inference.scoring import Document, validate
from seqtool.models.device import autocast
from seqtool.models.language_model import LanguageModel
from seqtool.models.loss import total_nats
from seqtool.models.state import State, detached
from seqtool.training.batches import Batches
from seqtool.training.optimizers import set_rate
from seqtool.training.schedules import rate_factor

LOG_EVERY = 10
VALIDATIONS = 10  # in a whole training, unless --eval-every says otherwise


@dataclass
class Progress:
    """How far training is: with the weights, the optimizer and the state, all that is needed to go on."""

    step: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    best_loss: float = math.inf
    best_step: int = 0
    since_best: int = 0

    def share(self, config: TrainConfig, steps: int) -> float:
        """How much of the whole is done, 0 to 1: of the time, or of `steps`."""
        return min(1.0, self.elapsed_s / config.time if config.time else self.step / steps)

    def stagnant(self, config: TrainConfig) -> bool:
        """Whether validation has gone without a better loss for as long as early stopping waits."""
        return bool(config.early_stop) and self.since_best >= config.early_stop


class Keeper(Protocol):
    """Where results go, as they come."""

    def log(self, record: dict[str, Any]) -> None:
        """A line of metrics: a logged step, or a validation."""

    def keep_best(self, progress: Progress) -> None:
        """The weights are the best so far."""

    def keep_checkpoint(self, progress: Progress, state: State | None) -> None:
        """Everything needed to go on from here."""


def train(
    model: LanguageModel,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    valid_ids: Document,
    config: TrainConfig,
    keeper: Keeper,
    *,
    steps: int,
    precision: str,
    valid_tokens: int,
    progress: Progress | None = None,
    state: State | None = None,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> Progress:
    """Train until `steps`, `config.time`, early stopping or `stopped()`; `progress` and `state` come from a
    checkpoint, or begin anew.

    Each step: read a batch on from the detached state (back-propagation through time truncated at its length T), the
    mean loss over its tokens, gradients, clipping, update. DivergedError when the loss is no longer a finite number.
    """
    progress = progress or Progress()
    device = model.device
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    began = clock() - progress.elapsed_s
    logged_tokens, logged_s = progress.tokens, progress.elapsed_s
    next_validation = math.floor(progress.share(config, steps) * VALIDATIONS) + 1
    model.train()
    share = progress.share(config, steps)
    while share < 1.0 and not progress.stagnant(config):
        lr = config.lr * rate_factor(config.schedule, share, progress.step, config.warmup, config.final_lr)
        set_rate(optimizer, lr)
        batch = batches.batch(progress.step)
        inputs_BT, targets_BT = (torch.from_numpy(part).to(device, non_blocking=True) for part in batch[:2])
        if state is not None:
            restarts_B = torch.from_numpy(batch.restarts_B).to(device, non_blocking=True)
            state = model.restarted(detached(state), restarts_B) if config.stateful else None
        with autocast(precision, device):
            logits_BTV, state = model(inputs_BT, state)
            nats = total_nats(logits_BTV, targets_BT)
        loss = nats / targets_BT.numel()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        grad_norm = clip_gradients(parameters, config)
        optimizer.step()

        progress.step += 1
        progress.tokens += targets_BT.numel()
        progress.elapsed_s = clock() - began
        share = progress.share(config, steps)
        validation_due = (
            progress.step % config.eval_every == 0 if config.eval_every else share >= next_validation / VALIDATIONS
        )
        checkpoint_due = progress.step % config.checkpoint_every == 0 if config.checkpoint_every else validation_due
        stopping = stopped()
        due = validation_due or checkpoint_due or stopping or share >= 1.0
        if due or progress.step % LOG_EVERY == 0 or progress.step == 1:
            record = {
                "step": progress.step,
                "tokens": progress.tokens,
                "loss": _finite(loss.item(), "loss", progress),
                "lr": lr,
                "grad_norm": _finite(grad_norm.item(), "gradient", progress),
                "tokens_per_s": (progress.tokens - logged_tokens) / max(progress.elapsed_s - logged_s, 1e-9),
                "elapsed_s": progress.elapsed_s,
                "share": share,
            }
            keeper.log(record)
            logged_tokens, logged_s = progress.tokens, progress.elapsed_s
        if validation_due or share >= 1.0:
            next_validation = math.floor(share * VALIDATIONS) + 1
            validation = validate(model, valid_ids, valid_tokens)
            _finite(validation.loss, "validation loss", progress)
            if validation.loss < progress.best_loss:
                progress.best_loss, progress.best_step, progress.since_best = validation.loss, progress.step, 0
            else:
                progress.since_best += 1
            progress.elapsed_s = clock() - began
            keeper.log({**_brief(progress), "valid_loss": validation.loss, "valid_tokens": validation.tokens})
            if progress.since_best == 0:
                keeper.keep_best(progress)
            logged_s = progress.elapsed_s
            share = progress.share(config, steps)
        if checkpoint_due:
            keeper.keep_checkpoint(progress, state)
        if stopping:
            break
    keeper.keep_checkpoint(progress, state)
    return progress


def clip_gradients(parameters: list[nn.Parameter], config: TrainConfig) -> Tensor:
    """Clamp each gradient component to +-clip_value, rescale all to a norm of clip_norm; the norm in between.

    Pascanu, Mikolov & Bengio 2013, algorithm 1. A limit of 0 is no limit.
    """
    if config.clip_value:
        nn.utils.clip_grad_value_(parameters, config.clip_value)
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if config.clip_norm:
        nn.utils.clip_grads_with_norm_(parameters, config.clip_norm, norm)
    return norm


def _brief(progress: Progress) -> dict[str, Any]:
    values = asdict(progress)
    return {name: values[name] for name in ("step", "tokens", "elapsed_s", "best_step")}


def _finite(number: float, name: str, progress: Progress) -> float:
    if math.isfinite(number):
        return number
    kept = f"the weights of step {progress.best_step} are kept" if progress.best_step else "no weights are kept"
    raise DivergedError(
        f"training diverged: the {name} at step {progress.step} is not a finite number ({kept}); "
        "lower --lr, or clip with --clip-norm"
    )
