"""How fast the training loop runs on random text, and what share of the machine's rate of matrix products it reaches.

`seqtool.training.loop.train` runs as in any training: batches cut from a text, forward and backward pass, clipping,
update, and logging. Only validation and files are left out.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from seqtool.bench.memory import require
from seqtool.bench.setup import BEGIN_ID, COPIES, FP32_BYTES, TOKENS, Setup, make_model
from seqtool.bench.timing import LEAST_REPEATS, wait_for
from seqtool.models.net import Net
from seqtool.models.size import flops_per_token, parameter_count
from seqtool.models.state import State
from seqtool.settings.training import TrainConfig
from seqtool.tasks.language.batches import Lanes, Windows
from seqtool.tasks.language.objective import Objective
from seqtool.training.averages import Average
from seqtool.training.learner import Learner
from seqtool.training.loop import train
from seqtool.training.optimizers import make_optimizers
from seqtool.training.progress import Progress
from seqtool.training.task import Batches, Stopped, Validation
from seqtool.training.world import alone

WARM_UP_STEPS = 3  # in which kernels are chosen and buffers allocated
BATCH_FACTORS = (1, 2, 4)
ENDLESS_STEPS = 1 << 40  # so many that no validation comes among the timed steps


@dataclass(frozen=True)
class TrainingSpeed:
    """Training one model with one precision and batch size."""

    model: str
    layers: int
    hidden: int
    precision: str
    batch_size: int
    time: int
    """Tokens of each sequence in a batch."""
    flops_per_token: int
    tokens_per_s: float
    gflops_per_s: float
    matrix_gflops_per_s: float
    """Of the product of large matrices in this precision."""
    share: float
    """The share of that which training reaches."""


class _Nowhere:
    """Keeps no log, weights or checkpoint."""

    def log(self, record: dict[str, Any]) -> None:
        pass

    def keep_best(self) -> None:
        pass

    def keep_checkpoint(self, progress: Progress, state: State | None, average: Average | None) -> None:
        pass


class _Unvalidated:
    """A validator that must never be called, since no validation comes among the timed steps."""

    def validate(self, model: Net, stopped: Stopped | None) -> Validation | None:
        raise AssertionError("a validation among timed steps")

    def probes(self, model: Net) -> dict[str, Any]:
        return {}


def with_batch(setup: Setup, precision: str, factor: int) -> Setup:
    """The same setup with another precision and `factor` times its batch."""
    size = factor * setup.training.batch_size
    return dataclasses.replace(
        setup, training=dataclasses.replace(setup.training, precision=precision, batch_size=size)
    )


def training_bytes(setup: Setup) -> int:
    """The least memory that training takes: for weights, gradients, moments, and the logits with their gradient."""
    training, size = setup.training, setup.symbols.size
    logits = 2 * training.batch_size * training.bptt * size
    return FP32_BYTES * (COPIES * parameter_count(setup.model, setup.symbols) + logits)


def require_for_training(setup: Setup, device: torch.device) -> None:
    """SeqtoolError when there is too little memory to train this; UsageError when the sizes are beyond reason."""
    what = f"training {setup.model.model}"
    require(training_bytes(setup), device, what, "lower --batch-size, --hidden or --layers")


def training_speed(setup: Setup, device: torch.device, seconds: float, matrix_gflops_per_s: float) -> TrainingSpeed:
    """The speed of training, given the machine's rate of matrix products in its precision."""
    config, training = setup.model, setup.training
    step_s = statistics.median(step_times_s(setup, device, seconds))
    tokens_per_s = training.batch_size * training.bptt / step_s
    flops = flops_per_token(config, setup.symbols, training.bptt)
    gflops_per_s = flops * tokens_per_s / 1e9
    return TrainingSpeed(
        model=config.model,
        layers=config.layers,
        hidden=config.hidden,
        precision=training.precision,
        batch_size=training.batch_size,
        time=training.bptt,
        flops_per_token=flops,
        tokens_per_s=tokens_per_s,
        gflops_per_s=gflops_per_s,
        matrix_gflops_per_s=matrix_gflops_per_s,
        share=gflops_per_s / matrix_gflops_per_s,
    )


def step_times_s(setup: Setup, device: torch.device, seconds: float) -> list[float]:
    """Seconds of each step of training: after a warm-up, of as many steps as fill `seconds`, three at least."""
    training = dataclasses.replace(setup.training, schedule="constant", warmup=0.0)  # other schedules need a last step
    torch.manual_seed(training.seed)
    model = make_model(setup).to(device)
    ends: list[float] = []

    def enough() -> bool:
        wait_for(device)
        ends.append(time.perf_counter())
        timed = ends[WARM_UP_STEPS:]
        return len(timed) > LEAST_REPEATS and timed[-1] - timed[0] >= seconds

    optimizers = make_optimizers(model.weights(), training)
    learner = Learner(model, Objective(model, training), optimizers, None, training, alone(device))
    batches = _random_batches(training, setup.symbols.size)
    # `stopped` is called once in each step.
    train(learner, batches, _Unvalidated(), _Nowhere(), Progress(steps=ENDLESS_STEPS), stopped=enough)
    return [after - before for before, after in itertools.pairwise(ends[WARM_UP_STEPS:])]


def _random_batches(training: TrainConfig, vocab_size: int) -> Batches:
    """Batches of a text of random tokens."""
    length = max(TOKENS, training.batch_size, training.bptt + 1)
    ids = np.random.default_rng(training.seed).integers(BEGIN_ID + 1, vocab_size, length, dtype=np.uint32)
    if training.stateful:
        return Lanes(ids, training.batch_size, training.bptt, BEGIN_ID)
    return Windows(ids, training.batch_size, training.bptt, BEGIN_ID, training.seed)


def fastest(speeds: Iterable[TrainingSpeed]) -> dict[str, TrainingSpeed]:
    """The speed with the most tokens per second of each model."""
    best: dict[str, TrainingSpeed] = {}
    for speed in speeds:
        if speed.model not in best or speed.tokens_per_s > best[speed.model].tokens_per_s:
            best[speed.model] = speed
    return best
