"""What `auto` comes to on this machine: the precision, by rule, and whether a step is compiled, by trying."""

from __future__ import annotations

import dataclasses
import time

import torch
from torch import nn

from seqtool.errors import UsageError
from seqtool.models import recurrence
from seqtool.models.device import autocast, multiplies_bf16
from seqtool.models.net import Net
from seqtool.runs.config import RunConfig
from seqtool.settings.architectures import having
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import TrainConfig
from seqtool.training.task import Batches, Task
from seqtool.training.world import World

TRIALS, TRIAL_S = 5, 1.0
NOT_SHARDED = ("adagrad", "adafactor")  # torch's own do not take split weights, or give other results
COMPILE_FROM_S = 1800.0  # a training shorter than this ends before compiling has paid


def with_machine(config: RunConfig, device_name: str, world: World) -> RunConfig:
    """The configuration with this machine's device and precision.

    `compile` stays `auto` where only a trial with the model tells. UsageError for what the model or the processes
    cannot do.
    """
    training = dataclasses.replace(config.training, device=device_name)
    if training.shard and (world.size == 1 or not config.model.architecture.shards):
        which = ", ".join(having("shards"))
        raise UsageError(f"--shard splits {which} over processes: start it with torchrun, or leave it out")
    if training.shard and training.optimizer in NOT_SHARDED:
        raise UsageError(f"--shard and --optimizer {training.optimizer} do not go together: choose another, as adamw")
    if training.precision == "auto":
        training = dataclasses.replace(training, precision=world.from_main(_precision(config.model, world.device)))
    if not may_compile(config.model, training):
        if training.compile == "on":
            which = " and ".join(having("compiles"))
            raise UsageError(f"--compile on is for {which} without --shard: leave it out")
        training = dataclasses.replace(training, compile="off")
    return dataclasses.replace(config, training=training)


def may_compile(model: ModelConfig, training: TrainConfig) -> bool:
    """Whether a step can be compiled: recurrent kernels cannot be taken apart."""
    return model.architecture.compiles and not training.shard


def _precision(model: ModelConfig, device: torch.device) -> str:
    """bf16 on a device that multiplies it; fp16 on a GPU that multiplies only that fast; else fp32.

    On a CPU only for layers that are wide enough to gain by it. A rule, not a trial: a trial would not come out the
    same each time, and with it the weights.
    """
    if device.type == "cuda":
        return "bf16" if multiplies_bf16(device) else "fp16"
    traits = model.architecture
    from_width = traits.bf16_from_width
    if not recurrence.multiplies(torch.bfloat16):
        from_width = traits.bf16_by_torch_from_width or from_width
    wide = model.hidden >= from_width and model.input == "learned"
    return "bf16" if wide and multiplies_bf16(device) else "fp32"


def compiling_pays(task: Task, model: Net, batches: Batches) -> bool:
    """Whether what compiled steps save is more than what compiling and this trial take."""
    training = task.config.training
    step_s = step_time_s(task, model, compiled=False)
    steps = training.steps or training.epochs * batches.steps_per_pass or training.time / step_s
    if steps * step_s < COMPILE_FROM_S:
        return False
    began = time.perf_counter()
    try:
        compiled_s = step_time_s(task, model, compiled=True)
    except Exception:  # whatever a compiler that is missing or fails raises
        return False
    return steps * (step_s - compiled_s) > time.perf_counter() - began


def step_time_s(task: Task, model: Net, compiled: bool) -> float:
    """Seconds of a forward and backward pass, the fastest of a few, or of as many as TRIAL_S allows.

    The weights stay as they are, and their gradients are forgotten.
    """
    training, device = task.config.training, model.device
    objective: nn.Module = task.objective(model)
    if compiled:
        objective.compile()
    example = task.example(training.batch_size // training.accumulate, training.bptt, device)
    times: list[float] = []
    while len(times) < TRIALS and (len(times) < 2 or sum(times) < TRIAL_S):
        began = time.perf_counter()
        with autocast(training.precision, device):
            sums = objective(None, *example)
        sums.objective.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    model.zero_grad(set_to_none=True)
    return min(times)
