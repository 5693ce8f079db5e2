"""What learns: a model, its objective, the optimizers, and an average of the weights where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from seqtool.models.device import autocast
from seqtool.models.net import Net
from seqtool.models.state import State, detached, joined, rows_of
from seqtool.settings.training import TrainConfig
from seqtool.training.averages import Average, ema_share, mean_share
from seqtool.training.gradients import clip_gradients
from seqtool.training.optimizers import set_rate
from seqtool.training.progress import Progress
from seqtool.training.task import Batch
from seqtool.training.world import World


@dataclass
class Learner:
    """One process's part of what learns."""

    model: Net
    objective: nn.Module
    """Gives the Sums of a part of a batch; of several processes, it averages the gradients."""
    optimizers: list[torch.optim.Optimizer]
    average: Average | None
    config: TrainConfig
    world: World

    def parameters(self) -> list[nn.Parameter]:
        """The weights that learn."""
        return [weight for _, weight in self.model.weights() if weight.requires_grad]

    def gradients(self, batch: Batch, state: State | None, scale: float) -> tuple[float, State]:
        """Put the gradient of `scale` times the objective per target, over all processes' rows, into the parameters.

        Gives the loss summed over this process's rows and the state after them. The state before is cut from its graph:
        there back-propagation through time is truncated. The rows are taken in `config.accumulate` parts.
        """
        model, world, device = self.model, self.world, self.model.device
        model.zero_grad(set_to_none=True)
        if state is not None:
            state = model.restarted(detached(state), batch.restarts(device))
        parts = -(-self.config.accumulate // world.size)
        loss, states = torch.zeros((), device=device), []
        for number, rows in enumerate(_parts(batch.rows, parts)):
            given = batch.part(rows, device)
            with self._synchronized(number == parts - 1 or world.size == 1):
                with autocast(self.config.precision, device):
                    sums = self.objective(None if state is None else rows_of(state, rows), *given)
                # Processes' gradients are averaged.
                (sums.objective * (scale * world.size / batch.targets)).backward()
            loss += sums.loss
            states.append(sums.state)
        return float(loss), joined(states)

    def _synchronized(self, together: bool) -> AbstractContextManager[None]:
        """Processes exchange the gradients of the last part only."""
        return nullcontext() if together else getattr(self.objective, "no_sync", nullcontext)()

    def clip(self, scale: float) -> float:
        """Divide the gradients by the loss's scale and clip them; their norm before clipping."""
        parameters = self.parameters()
        if scale != 1.0:
            torch._foreach_mul_([p.grad for p in parameters if p.grad is not None], 1.0 / scale)
        return float(clip_gradients(parameters, self.config))

    def step(self, lr: float) -> None:
        """Change the weights by their gradients."""
        set_rate(self.optimizers, lr)
        for optimizer in self.optimizers:
            optimizer.step()

    def fresh(self, state: State) -> State:
        """A state of the same rows as before a text's beginning."""
        rows = len(state[0][0])
        return self.model.restarted(detached(state), torch.ones(rows, dtype=torch.bool, device=self.model.device))

    def add_to_average(self, progress: Progress) -> None:
        """Take the weights of this step into the average, where it has begun."""
        config = self.config
        if self.average is None:
            return
        if progress.averaged or config.ema or (config.optimizer == "asgd" and _is_late(progress, config)):
            progress.averaged += 1
            share = ema_share(config.ema, progress.averaged) if config.ema else mean_share(progress.averaged)
            self.average.add(share)

    def begin_average(self, progress: Progress) -> None:
        """nt-asgd: begin to average once a validation is no better than the best before the last few."""
        if self.config.optimizer != "nt-asgd" or progress.averaged:
            return
        before = progress.valid_losses[: -self.config.nonmonotone - 1]
        if before and progress.valid_losses[-1] > min(before):
            assert self.average is not None
            progress.averaged = 1
            self.average.add(1.0)

    def averaged(self, progress: Progress) -> AbstractContextManager[None]:
        """The model has the average for its weights, where that has begun, while the block runs."""
        return self.average.in_place() if self.average is not None and progress.averaged else nullcontext()


def _is_late(progress: Progress, config: TrainConfig) -> bool:
    return progress.share(config) > config.average_from


def _parts(rows: int, parts: int) -> Iterator[slice]:
    for part in range(parts):
        yield slice(part * rows // parts, (part + 1) * rows // parts)
