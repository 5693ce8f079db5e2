"""Checkpoints: weights, optimizer, carried state and progress in one safetensors file, so that it is whole or not
there.

Batches are functions of the step, and dropout's generator is saved, so training goes on exactly where it was.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqtool.errors import InputError
from seqtool.models.language_model import LanguageModel
from seqtool.models.state import State
from seqtool.runs import CHECKPOINT, CONFIG, RunConfig, load_tensors, read_tensors, tensors_sha256, write_tensors
from seqtool.training.loop import Progress

MAX_COPIES = 4  # weights, and what an optimizer keeps of each
MAX_STATE_NUMBERS = 1 << 28  # carried states, random generators


def save_checkpoint(
    run: Path,
    config: RunConfig,
    model: LanguageModel,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    state: State | None,
) -> None:
    """Write the checkpoint of a run, atomically."""
    tensors = {f"model/{name}": tensor.detach() for name, tensor in model.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                tensors[f"optimizer/{index}/{name}"] = torch.as_tensor(value)
    for layer, parts in enumerate(state or ()):
        for index, part in enumerate(parts):
            tensors[f"state/{layer}/{index}"] = part.detach()
    tensors["random/cpu"] = torch.get_rng_state()
    if model.device.type == "cuda":
        tensors["random/cuda"] = torch.cuda.get_rng_state(model.device)
    tensors = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {
        "format": "seqtool checkpoint 1",
        "model_sha256": config.model_sha256,
        "training_sha256": config.training_sha256,
        "vocabulary_sha256": config.vocabulary_sha256,
        "tensors_sha256": tensors_sha256(tensors),
        "progress": json.dumps(dataclasses.asdict(progress)),
    }
    (run / CHECKPOINT).parent.mkdir(exist_ok=True)
    write_tensors(run / CHECKPOINT, tensors, metadata)


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
        raise InputError(f"{run} has no checkpoint to resume from: train again with --force")
    own = config.parameters + config.symbols.seen
    tensors, metadata = read_tensors(file, own, MAX_COPIES * own + MAX_STATE_NUMBERS)
    identity = (config.model_sha256, config.training_sha256, config.vocabulary_sha256)
    if tuple(metadata.get(name) for name in ("model_sha256", "training_sha256", "vocabulary_sha256")) != identity:
        raise InputError(f"{file} belongs to another run, or {CONFIG} was edited since")
    if metadata.get("tensors_sha256") != tensors_sha256(tensors):
        raise InputError(f"{file} holds other numbers than were written: it was damaged or edited")
    try:
        progress = Progress(**json.loads(metadata["progress"]))
        numbers = dataclasses.astuple(progress)
        if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
            raise ValueError("negative progress")
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{file} is not a checkpoint of this version of seqtool") from error
    return Checkpoint(file, tensors, progress)


def restore(
    checkpoint: Checkpoint, model: LanguageModel, optimizer: torch.optim.Optimizer, batch_size: int
) -> State | None:
    """Put weights, optimizer and random state back, in place; gives the carried state."""
    file, tensors = checkpoint.file, checkpoint.tensors
    try:
        load_tensors(model, {name: tensors[f"model/{name}"] for name in model.state_dict()}, file)
        saved: dict[int, dict[str, Any]] = {}
        layers: dict[int, dict[int, Tensor]] = {}
        for name, tensor in tensors.items():
            room, *rest = name.split("/")
            if room == "optimizer":
                saved.setdefault(int(rest[0]), {})[rest[1]] = tensor
            elif room == "state":
                if len(tensor) != batch_size:
                    raise ValueError("a state of another batch size")
                layers.setdefault(int(rest[0]), {})[int(rest[1])] = tensor.to(model.device)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": saved})
        torch.set_rng_state(tensors["random/cpu"])
        if "random/cuda" in tensors and model.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random/cuda"], model.device)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{file} is not a checkpoint of this version of seqtool") from error
    state = tuple(tuple(parts[index] for index in sorted(parts)) for _, parts in sorted(layers.items()))
    return state or None
