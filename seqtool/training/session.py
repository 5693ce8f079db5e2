"""A training from data to run directory: what the loop's results become on disk."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seqtool.config import steps_of
from seqtool.errors import InputError, SeqtoolError
from seqtool.files import replace_directory
from seqtool.inference.scoring import Document
from seqtool.models.device import autocast, multiplies_bf16
from seqtool.models.language_model import LanguageModel, build_model
from seqtool.models.loss import total_nats
from seqtool.models.state import State
from seqtool.runs import METRICS, WEIGHTS, RunConfig, write_config, write_weights
from seqtool.text.vocabulary import Vocabulary
from seqtool.training.batches import Batches, IdSequence, Lanes, Windows
from seqtool.training.checkpoint import read_checkpoint, restore, save_checkpoint
from seqtool.training.loop import Progress, train
from seqtool.training.optimizers import make_optimizer

TRIALS = 5

Report = Callable[[dict[str, Any]], None]


def make_batches(ids: IdSequence, config: RunConfig) -> Batches:
    """Stateful lanes or stateless windows over the training ids."""
    training = config.training
    begin_id = config.symbols.begin_id
    if training.stateful:
        return Lanes(ids, training.batch_size, training.bptt, begin_id)
    return Windows(ids, training.batch_size, training.bptt, begin_id, training.seed)


@dataclass(frozen=True)
class Outcome:
    """How far a training came, and whether its run directory is in place."""

    progress: Progress
    kept: bool


@dataclass
class RunKeeper:
    """Writes a run directory as training goes. It takes its name once it holds a trained model's weights.

    Until then it is built aside, so that a run under the same name (replaced by `--force`) outlives a training that
    fails.
    """

    path: Path
    config: RunConfig
    vocabulary: Vocabulary
    model: LanguageModel
    optimizer: torch.optim.Optimizer
    report: Report
    folder: Path
    replace: bool

    def log(self, record: dict[str, Any]) -> None:
        """Append a line of metrics and pass it on."""
        with open(self.folder / METRICS, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        self.report(record)

    def keep_best(self, progress: Progress) -> None:
        """Write the best weights; the first time, the run takes its name."""
        write_weights(self.folder / WEIGHTS, self.model, self.config)
        self.publish()

    def keep_checkpoint(self, progress: Progress, state: State | None) -> None:
        """Write everything needed to go on."""
        save_checkpoint(self.folder, self.config, self.model, self.optimizer, progress, state)
        if not self.path.exists():
            self.publish()

    def publish(self) -> None:
        """Give the run its name, if it does not have it yet; SeqtoolError when another training took it meanwhile."""
        if self.folder == self.path:
            return
        if self.replace:
            replace_directory(self.folder, self.path)
        else:
            try:
                os.rename(self.folder, self.path)  # fails where a directory lies that is not empty
            except OSError as error:
                raise SeqtoolError(f"cannot make {self.path}: {error.strerror}; name another with -o") from error
        self.folder = self.path


def train_run(
    path: Path,
    config: RunConfig,
    vocabulary: Vocabulary,
    train_ids: IdSequence,
    valid_ids: Document,
    seen_counts: Mapping[int, int],
    *,
    device: torch.device,
    precision: str,
    valid_tokens: int,
    report: Report,
    stopped: Callable[[], bool] = lambda: False,
    resume: bool = False,
    replace: bool = False,
) -> Outcome:
    """Train a model of `config` and keep it in the run directory `path`; with `resume`, go on from its checkpoint.

    With `replace` a run of that name gives way as soon as the new one has been validated once.

    `stopped` is asked after each step; when it says yes, a checkpoint is kept and training ends.
    """
    training = config.training
    if not len(valid_ids):
        raise InputError("no text is left for validation: give more text, or --valid FILE")
    batches = make_batches(train_ids, config)
    checkpoint = read_checkpoint(path, config) if resume else None
    torch.manual_seed(training.seed)
    model = build_model(config.model, config.symbols, seen_counts, training.seed).to(device)
    optimizer = make_optimizer(model.parameters(), training)
    progress, state, folder = Progress(), None, path
    if checkpoint is not None:
        progress, state = checkpoint.progress, restore(checkpoint, model, optimizer, training.batch_size)
        _forget_metrics_after(path / METRICS, progress.step)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        folder.chmod(0o755)
        write_config(folder, config, vocabulary)
    keeper = RunKeeper(path, config, vocabulary, model, optimizer, report, folder, replace)
    try:
        progress = train(
            model,
            optimizer,
            batches,
            valid_ids,
            training,
            keeper,
            steps=steps_of(training, len(train_ids)),
            precision=precision,
            valid_tokens=valid_tokens,
            progress=progress,
            state=state,
            stopped=stopped,
        )
        return Outcome(progress, kept=keeper.folder == path)
    finally:
        if keeper.folder != path:
            shutil.rmtree(keeper.folder, ignore_errors=True)


def with_device(config: RunConfig, device: torch.device) -> RunConfig:
    """The configuration with the device and the precision that `auto` comes to: bf16 where a step is faster in it."""
    precision = config.training.precision
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(device) and _bf16_step_is_faster(config, device) else "fp32"
    return dataclasses.replace(
        config, training=dataclasses.replace(config.training, device=str(device), precision=precision)
    )


def _bf16_step_is_faster(config: RunConfig, device: torch.device) -> bool:
    """Try a few forward and backward passes in each: small models gain nothing from bf16, or lose."""
    if device.type != "cpu":
        return True
    training, symbols = config.training, config.symbols
    model = LanguageModel(config.model, symbols).to(device)
    ids = torch.zeros(training.batch_size, training.bptt, dtype=torch.long, device=device)
    fastest = {}
    for precision in ("fp32", "bf16"):
        times = []
        for _ in range(TRIALS):
            began = time.perf_counter()
            with autocast(precision, device):
                nats = total_nats(model(ids)[0], ids)
            nats.backward()
            times.append(time.perf_counter() - began)
        fastest[precision] = min(times)
    return fastest["bf16"] < fastest["fp32"]


def _forget_metrics_after(file: Path, step: int) -> None:
    """Drop the lines of steps that the checkpoint has not seen: they will be written again."""
    if not file.is_file():
        return
    kept = []
    with open(file, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                continue  # the line that a crash cut short
    aside = file.with_suffix(".partial")
    aside.write_text("".join(kept), encoding="utf-8")
    aside.replace(file)
