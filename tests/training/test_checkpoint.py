"""A checkpoint that was damaged in any way is refused with one sentence, and takes no memory or time to refuse."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import shutil
import struct
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from seqtool.errors import DivergedError, InputError
from seqtool.files.tensors import METADATA
from seqtool.settings.training import OPTIMIZER_NAMES
from seqtool.training.checkpoint import read_checkpoint, write_checkpoint
from seqtool.training.progress import Progress
from tests.training.trainer import SHORT, SMALL, Trainer

TRIALS = 1000


def damaged(content: bytes, draw: random.Random) -> bytes:
    """One of the ways in which a file goes bad: cut, flipped, overwritten, edited where it says what it is."""
    place = draw.randrange(len(content))
    header_bytes = struct.unpack("<Q", content[:8])[0]
    kind = draw.randrange(8)
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]
    if kind == 2:
        place = draw.randrange(8 + header_bytes)
        return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]
    if kind == 3:
        return content[:place] + draw.randbytes(draw.randrange(1, 64)) + content[place:]
    if kind == 4:
        return (
            content[:place] + bytes(4096) + content[place + 4096 :]
            if any(content[place : place + 4096])
            else content[:place]
        )
    if kind == 5:
        return content + draw.randbytes(draw.randrange(1, 64))
    if kind == 6:
        return draw.randbytes(draw.randrange(64))
    header = json.loads(content[8 : 8 + header_bytes])
    metadata = json.loads(header["__metadata__"][METADATA])
    progress = json.loads(metadata["progress"])
    name = draw.choice([*progress])
    progress[name] = draw.choice([-1, 10**9, "x", None, [], float("nan"), {}])
    metadata["progress"] = json.dumps(progress)
    header["__metadata__"][METADATA] = json.dumps(metadata)
    edited = json.dumps(header).encode()
    return struct.pack("<Q", len(edited)) + edited + content[8 + header_bytes :]


def test_a_checkpoint_damaged_in_1000_ways_is_refused_1000_times(trainer: Trainer):
    trainer("run", SMALL, SHORT)
    config = trainer.config(SMALL, SHORT)
    run = trainer.folder / "run"
    file = run / "checkpoint" / "state.safetensors"
    whole, draw = file.read_bytes(), random.Random(0)
    read_checkpoint(run, config)
    slowest = 0.0
    for trial in range(TRIALS):
        content = damaged(whole, draw)
        assert content != whole
        file.write_bytes(content)
        began = time.monotonic()
        with pytest.raises(InputError) as refused:
            read_checkpoint(run, config)
        slowest = max(slowest, time.monotonic() - began)
        assert str(file) in str(refused.value), trial
        assert "\n" not in str(refused.value)
    assert slowest < 5.0
    file.write_bytes(whole)
    assert read_checkpoint(run, config).progress.step == 40


@pytest.mark.parametrize("damage", ["missing", "other"])
def test_a_checkpoint_of_another_run_is_refused(trainer: Trainer, damage: str):
    trainer("run", SMALL, SHORT)
    file = trainer.folder / "run" / "checkpoint" / "state.safetensors"
    if damage == "other":
        trainer("other", {**SMALL, "hidden": 20}, SHORT)
        shutil.copy(trainer.folder / "other" / "checkpoint" / "state.safetensors", file)
    else:
        file.unlink()
    with pytest.raises(InputError):
        trainer("run", SMALL, SHORT, resume=True)


def test_a_signed_checkpoint_of_other_shapes_is_refused(trainer: Trainer):
    """One who can sign can write what they like; it must still fit, and no more."""
    trainer("run", SMALL, SHORT)
    run, config = trainer.folder / "run", trainer.config(SMALL, SHORT)
    tensors = dict(read_checkpoint(run, config).tensors)
    progress = read_checkpoint(run, config).progress
    for changes in (
        {"state/0/0": torch.zeros(3, 24)},
        {"optimizer/0/x/step": torch.zeros(1)},
        {"optimizer/7/0/step": torch.zeros(1)},
        {"random/cpu/0": torch.zeros(3, dtype=torch.uint8)},
        {"model/output.weight": torch.zeros(2, 2)},
    ):
        write_checkpoint(run, config, {**tensors, **changes}, progress)
        with pytest.raises(InputError):
            trainer("run", SMALL, SHORT, resume=True)


@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
def test_whatever_an_optimizer_keeps_must_have_exactly_its_shape_and_type(trainer: Trainer, optimizer: str):
    """torch's fused kernels would read and write past the end of a smaller tensor."""
    settings = {**SHORT, "steps": 2, "optimizer": optimizer, "momentum": 0.9 if optimizer in ("sgd", "muon") else 0.0}
    longer = {**settings, "steps": 3}
    trainer("run", SMALL, settings)
    run, config = trainer.folder / "run", trainer.config(SMALL, settings)
    whole = read_checkpoint(run, config)
    rooms = ("optimizer/", "average/")
    firsts = {name.split("/")[-1]: name for name in whole.tensors if name.startswith(rooms) and not name.endswith("/0")}
    assert firsts or optimizer == "sgd"
    for name in firsts.values():
        tensor = whole.tensors[name]
        forms = [tensor.double(), tensor.unsqueeze(0), tensor.new_zeros(0), tensor.new_zeros(2), tensor.bfloat16()]
        if tensor.dim():
            forms += [tensor.flatten()[0], tensor.flatten()[:1], tensor[:1], tensor[..., :1]]
        for changes in [{name: form} for form in forms if form.shape != tensor.shape or form.dtype != tensor.dtype]:
            write_checkpoint(
                run,
                config,
                {**whole.tensors, **{k: t.contiguous().clone() for k, t in changes.items()}},
                whole.progress,
            )
            with pytest.raises(InputError, match="is not a checkpoint of this version"):
                trainer("run", SMALL, longer, resume=True)
        write_checkpoint(run, config, {k: v for k, v in whole.tensors.items() if k != name}, whole.progress)
        with pytest.raises(InputError, match="is not a checkpoint of this version"):
            trainer("run", SMALL, longer, resume=True)
    write_checkpoint(run, config, whole.tensors, whole.progress)
    assert trainer("run", SMALL, longer, resume=True).step == 3


@pytest.mark.parametrize("changes", [
    {"optimizer/0/0/step": torch.tensor(float("nan"))}, {"optimizer/0/0/step": torch.tensor(-1.0)},
    {"optimizer/0/0/step": torch.tensor(1e30)}, {"optimizer/0/99/step": torch.tensor(1.0)}, {"average/0": torch.zeros(3)},
    {"other": torch.zeros(3)}, {"model/other": torch.zeros(3)}, {"state/0/9": torch.zeros(4, 24)}, {"state/x": torch.zeros(4)},
    {"model/head.bias": torch.zeros(3, dtype=torch.complex64)}, {"random/cpu/0": torch.zeros(5056, dtype=torch.uint8)},
    {"random/cpu/0": torch.zeros(5056)}, {"state/0/0": torch.zeros(4, 24).double()}, {"state/0/0": torch.zeros(())},
], ids=str)  # fmt: skip
def test_a_signed_checkpoint_with_anything_else_in_it_is_refused(trainer: Trainer, changes: dict[str, torch.Tensor]):
    settings = {**SHORT, "steps": 2}
    trainer("run", SMALL, settings)
    run, config = trainer.folder / "run", trainer.config(SMALL, settings)
    whole = read_checkpoint(run, config)
    write_checkpoint(
        run, config, {**whole.tensors, **{k: t.contiguous().clone() for k, t in changes.items()}}, whole.progress
    )
    with pytest.raises(InputError):
        trainer("run", SMALL, {**settings, "steps": 3}, resume=True)


@pytest.mark.parametrize("changes", [
    {"tokens": 10**400}, {"elapsed_s": math.inf}, {"elapsed_s": 10**400}, {"step": True}, {"falls": 10**400}, {"loss_scale": 1e300},
    {"loss_scale": math.nan}, {"valid_losses": [math.inf]}, {"valid_losses": [[]]}, {"best_step": 9}, {"validated": 9}, {"step": 2.0},
], ids=str)  # fmt: skip
def test_a_signed_checkpoint_of_an_impossible_progress_is_refused(trainer: Trainer, changes: dict[str, Any]):
    settings = {**SHORT, "steps": 2}
    trainer("run", SMALL, settings)
    run, config = trainer.folder / "run", trainer.config(SMALL, settings)
    whole = read_checkpoint(run, config)
    write_checkpoint(run, config, whole.tensors, dataclasses.replace(whole.progress, **changes))
    with pytest.raises(InputError):
        read_checkpoint(run, config)


def test_weights_that_are_no_numbers_are_not_written(trainer: Trainer, tmp_path: Path):
    trainer("run", SMALL, SHORT)
    run, config = trainer.folder / "run", trainer.config(SMALL, SHORT)
    before = (run / "checkpoint" / "state.safetensors").read_bytes()
    tensors = read_checkpoint(run, config).tensors
    with pytest.raises(DivergedError, match="lower --lr"):
        write_checkpoint(run, config, {**tensors, "model/head.bias": torch.full((3,), float("inf"))}, Progress(step=5))
    assert (run / "checkpoint" / "state.safetensors").read_bytes() == before


def test_the_checkpoint_is_tensors_and_json(trainer: Trainer):
    trainer("run", SMALL, {**SHORT, "ema": 0.9})
    file = trainer.folder / "run" / "checkpoint" / "state.safetensors"
    rooms = {name.split("/")[0] for name in safetensors.torch.load_file(file)}
    assert rooms == {"model", "optimizer", "average", "state", "random"}
    with safetensors.safe_open(str(file), "pt") as content:
        metadata = json.loads(content.metadata()[METADATA])
    assert set(json.loads(metadata["progress"])) == {item.name for item in dataclasses.fields(Progress)}
