"""Checkpoints: weights, optimizers, averages, carried state, random generators and progress in one safetensors file, so
that it is whole or not there.

Batches are functions of the step, and dropout's generators are saved, so training goes on exactly where it was.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqtool.errors import DivergedError, InputError
from seqtool.files.tensors import open_tensors, write_tensors
from seqtool.files.writing import atomic_writer
from seqtool.models.device import autocast
from seqtool.models.language_model import evaluating
from seqtool.models.net import Net
from seqtool.models.state import State, map_state, rows_of
from seqtool.runs.config import CHECKPOINT, CONFIG, MAX_TOKENS, WEIGHTS, RunConfig
from seqtool.runs.weights import load_tensors, named_now, read_tensors
from seqtool.training.averages import Average
from seqtool.training.learner import Learner
from seqtool.training.loss_scale import FP16_MOST_SCALE
from seqtool.training.optimizers import set_rate
from seqtool.training.parallel import split_like, whole
from seqtool.training.progress import Progress
from seqtool.training.task import Sums, Task
from seqtool.training.world import World

FORMAT = "seqtool checkpoint 4"
READ = (FORMAT, "seqtool checkpoint 3")  # in which weights had other names
MAX_COPIES = 5  # weights, their average, and what an optimizer keeps of each
MAX_STATE_NUMBERS = 1 << 28  # carried states, random generators
MAX_STEPS = 10**9
OF_STEP = re.compile(r"step-(\d{1,10})\.safetensors")
MAX_PROGRESS = {
    "tokens": MAX_TOKENS,
    "steps": MAX_TOKENS,  # which are planned, not taken
    "elapsed_s": 1e12,
    "best_loss": math.inf,
    "valid_losses": sys.float_info.max,
    "loss_scale": FP16_MOST_SCALE,
}
"""What a progress can have come to at most; its counts of steps and validations to MAX_STEPS."""

BY_PROCESS = ("state", "random")  # tensors of which each process has a part

Optimizers = list[torch.optim.Optimizer]


def collect(learner: Learner, state: State | None) -> dict[str, Tensor]:
    """Copies on the CPU of all tensors that training goes on from; every process must ask, for each has a part."""
    model, world = learner.model, learner.world
    tensors = _learned(model, learner.optimizers, learner.average)
    for layer, parts in enumerate(state or ()):
        for index, part in enumerate(parts):
            tensors[f"state/{layer}/{index}"] = torch.cat(world.gather(part))
    for rank, generator in enumerate(world.gather(torch.get_rng_state())):
        tensors[f"random/cpu/{rank}"] = generator
    if model.device.type == "cuda":
        for rank, generator in enumerate(world.gather(torch.cuda.get_rng_state(model.device))):
            tensors[f"random/cuda/{rank}"] = generator
    elif model.device.type == "mps":
        tensors["random/mps/0"] = torch.mps.get_rng_state()
    return {name: whole(tensor).cpu().contiguous().clone() for name, tensor in tensors.items()}


def _learned(model: Net, optimizers: Optimizers, average: Average | None) -> dict[str, Tensor]:
    """The tensors themselves that steps change: weights, what optimizers keep of each, averages; by name."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, values in optimizer.state_dict()["state"].items():
            for name, value in values.items():
                if value is not None:
                    tensors[f"optimizer/{number}/{index}/{name}"] = torch.as_tensor(value)
    for index, tensor in enumerate(average.tensors if average is not None else ()):
        tensors[f"average/{index}"] = tensor
    return tensors


def write_checkpoint(run: Path, config: RunConfig, tensors: dict[str, Tensor], progress: Progress) -> None:
    """Write a checkpoint into its directory, atomically; DivergedError rather than weights that are not finite."""
    if not is_finite([tensor for name, tensor in tensors.items() if name.startswith(("model/", "average/"))]):
        raise DivergedError(
            f"training diverged: a weight at step {progress.step} is not a finite number (the checkpoint before is "
            "kept); lower --lr, or clip with --clip-norm"
        )
    metadata = {"format": FORMAT, **identity(config), "progress": json.dumps(dataclasses.asdict(progress))}
    _keep_before(run / CHECKPOINT, progress.step, config.training.keep_checkpoints)
    write_tensors(run / CHECKPOINT, tensors, metadata)


def _keep_before(file: Path, step: int, count: int) -> None:
    """Name the checkpoint that is about to be replaced at `step` after its own step, and keep `count` - 1 so named."""
    if count > 1 and file.is_file() and (done := _step_of(file)) < step:
        before = file.with_name(f"step-{done}.safetensors")
        before.unlink(missing_ok=True)
        try:
            os.link(file, before)
        except OSError:  # a file system without such links
            with atomic_writer(before, file.stat().st_size) as copy, open(file, "rb") as stream:
                shutil.copyfileobj(stream, copy)
    kept = {int(match[1]): path for path in file.parent.iterdir() if (match := OF_STEP.fullmatch(path.name))}
    earlier = sorted(number for number in kept if number < step)  # later ones are of a branch that was left
    for number in earlier[: max(0, len(earlier) - (count - 1))]:
        kept[number].unlink(missing_ok=True)


def _step_of(file: Path) -> int:
    """The step of a checkpoint that this program wrote."""
    with open_tensors(file) as content:
        return int(json.loads(content.metadata["progress"])["step"])


def identity(config: RunConfig) -> dict[str, str]:
    """What a checkpoint belongs to."""
    return {
        "model_sha256": config.model_sha256,
        "training_sha256": config.training_sha256,
        "vocabulary_sha256": config.vocabulary_sha256,
    }


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds, found whole and of this run."""

    file: Path
    tensors: dict[str, Tensor]
    progress: Progress


def read_checkpoint(run: Path, config: RunConfig) -> Checkpoint:
    """Read the checkpoint of a run; InputError when there is none, or it is damaged, or of other settings or data."""
    file = run / CHECKPOINT
    if not file.is_file():
        whole = (run / WEIGHTS).is_file()
        mend = f"begin a new run with its weights by --from {run}" if whole else "train again with --force"
        raise InputError(f"{run} has no checkpoint to resume from: {mend}")
    own = config.numbers
    tensors, metadata = read_tensors(file, own, MAX_COPIES * own + MAX_STATE_NUMBERS)
    if metadata.get("format") not in READ:
        raise InputError(f"{file} is not a checkpoint of this version of seqtool: train again with --force")
    if {name: metadata.get(name) for name in identity(config)} != identity(config):
        raise InputError(f"{file} belongs to another run, or {CONFIG} was edited since")
    tensors = {
        f"model/{named_now(name.removeprefix('model/'))}" if name.startswith("model/") else name: tensor
        for name, tensor in tensors.items()
    }
    return Checkpoint(file, tensors, _read_progress(file, metadata))


def _read_progress(file: Path, metadata: dict[str, str]) -> Progress:
    try:
        values = json.loads(metadata["progress"])
        progress = Progress(**values)
        for item in dataclasses.fields(Progress):
            value = getattr(progress, item.name)
            listed, kinds = item.type == "list[float]", (int,) if item.type == "int" else (int, float)
            most = MAX_PROGRESS.get(item.name, MAX_STEPS)
            if isinstance(value, list) != listed or not all(
                type(number) in kinds and 0 <= number <= most for number in (value if listed else [value])
            ):
                raise ValueError(item.name)
        if progress.loss_scale < 1 or max(progress.validated, progress.best_step) > progress.step:
            raise ValueError("impossible progress")
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{file} is not a checkpoint of this version of seqtool") from error
    return progress


def restore(checkpoint: Checkpoint, learner: Learner, task: Task) -> State | None:
    """Put weights, optimizers, average and random generators back, in place; gives this process's carried state."""
    file, tensors, batch_size = checkpoint.file, checkpoint.tensors, learner.config.batch_size
    model, optimizers, average, world = learner.model, learner.optimizers, learner.average, learner.world
    try:
        own = model.state_dict()
        learned = dict(model.named_parameters()).keys() | set(model.fitted_buffers)
        for name in own.keys() - learned:  # what the data say
            if not torch.equal(tensors[f"model/{name}"], own[name].cpu()):
                raise ValueError("other symbols than the text has")
        _fill(optimizers)  # before the weights are put back, for it spoils them
        set_rate(optimizers, learner.config.lr)
        _check_fits(checkpoint, _learned(model, optimizers, average))
        load_tensors(model, {name: split_like(tensors[f"model/{name}"], own[name]) for name in own}, file)
        saved: list[dict[int, dict[str, Any]]] = [{} for _ in optimizers]
        layers: dict[int, dict[int, Tensor]] = {}
        for name, tensor in tensors.items():
            room, *rest = name.split("/")
            if room == "optimizer":
                saved[int(rest[0])].setdefault(int(rest[1]), {})[rest[2]] = tensor
            elif room == "state":
                if len(tensor) != batch_size:
                    raise ValueError("a state of another batch size")
                layers.setdefault(int(rest[0]), {})[int(rest[1])] = tensor.to(model.device)
        for optimizer, values in zip(optimizers, saved, strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for index, numbers in values.items():
                for name in numbers:
                    numbers[name] = split_like(numbers[name], parameters[index])
            optimizer.load_state_dict({**optimizer.state_dict(), "state": values})
        for index, tensor in enumerate(average.tensors if average is not None else ()):
            tensor.copy_(split_like(tensors[f"average/{index}"], tensor))
        _restore_random(tensors, model, world)
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{file} is not a checkpoint of this version of seqtool") from error
    state = tuple(tuple(parts[index] for index in sorted(parts)) for _, parts in sorted(layers.items()))
    if state and _shapes(state) != _shapes(_state_of(learner, task)):
        raise InputError(f"{file} is not a checkpoint of this version of seqtool")
    return map_state(Tensor.clone, rows_of(state, world.rows(batch_size))) if state else None


@torch.no_grad()
def _state_of(learner: Learner, task: Task) -> State:
    """The state of a model that carries one, after a target."""
    model, training = learner.model, learner.config
    with autocast(training.precision, model.device), evaluating(model):
        sums: Sums = task.objective(model)(None, *task.example(training.batch_size, 1, model.device))
    return sums.state


def _shapes(state: State) -> list[list[tuple[torch.Size, torch.dtype]]]:
    return [[(part.shape, part.dtype) for part in layer] for layer in state]


def _fill(optimizers: Optimizers) -> None:
    """Have each optimizer make what it keeps of its parameters, by a step of rate 0 on gradients that are 0."""
    set_rate(optimizers, 0.0)
    for optimizer in optimizers:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        for parameter in parameters:
            parameter.grad = None


def _check_fits(checkpoint: Checkpoint, live: dict[str, Tensor]) -> None:
    """ValueError unless the checkpoint has tensors of exactly the names, shapes and types of the live ones.

    torch's fused kernels read and write what an optimizer keeps by the size of the weight, whatever size it has. Before
    the first step that was taken, an optimizer keeps nothing yet.
    """
    saved = {name: tensor for name, tensor in checkpoint.tensors.items() if name.split("/")[0] not in BY_PROCESS}
    if not any(name.startswith("optimizer/") for name in saved):
        live = {name: tensor for name, tensor in live.items() if not name.startswith("optimizer/")}
    if _forms(saved) != _forms(live):
        raise ValueError("tensors of other names, shapes or types than the run's")
    steps = [float(tensor) for name, tensor in saved.items() if name.endswith("/step")]
    if not all(0 <= step <= checkpoint.progress.step for step in steps):
        raise ValueError("an optimizer that has taken more steps than the training")


def is_finite(tensors: list[Tensor]) -> bool:
    """Whether all numbers are."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor.is_floating_point())


def _forms(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _restore_random(tensors: dict[str, Tensor], model: Net, world: World) -> None:
    """Each process's generator; as at the beginning where there were fewer processes before."""
    if f"random/cpu/{world.rank}" in tensors:
        torch.set_rng_state(tensors[f"random/cpu/{world.rank}"])
    if f"random/cuda/{world.rank}" in tensors and model.device.type == "cuda":
        torch.cuda.set_rng_state(tensors[f"random/cuda/{world.rank}"], model.device)
    if "random/mps/0" in tensors and model.device.type == "mps":
        torch.mps.set_rng_state(tensors["random/mps/0"])
