"""A training from data to run directory: what the loop's results become on disk."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Required, TypedDict

import torch

from seqtool.errors import SeqtoolError, UsageError
from seqtool.files.directories import built_aside, publish
from seqtool.files.writing import atomic_writer, cannot_write, locked, remove_strays
from seqtool.models.state import State
from seqtool.runs.config import CHECKPOINT, METRICS, WEIGHTS, RunConfig
from seqtool.runs.weights import write_weights
from seqtool.settings.training import LENGTHS, TrainConfig
from seqtool.training.averages import Average
from seqtool.training.checkpoint import collect, read_checkpoint, restore, write_checkpoint
from seqtool.training.learner import Learner
from seqtool.training.loop import train
from seqtool.training.machine import compiling_pays, may_compile
from seqtool.training.optimizers import make_optimizers
from seqtool.training.parallel import in_parallel, whole
from seqtool.training.progress import Progress
from seqtool.training.task import Batches, Stopped, Task
from seqtool.training.world import World

Report = Callable[[dict[str, Any]], None]


class Options(TypedDict, total=False):
    """How a training is watched, stopped and continued: see `train_run`."""

    report: Required[Report]
    stopped: Stopped
    resume: bool
    replace: bool
    on_publish: Callable[[Path, int], None]


@dataclass(frozen=True)
class Outcome:
    """How far a training came, and whether its run directory is in place."""

    progress: Progress
    kept: bool
    complete: bool
    first_step: int
    """The step that this training went on from; 0 for one that began."""


@dataclass
class RunKeeper:
    """Writes a run directory as training goes. It takes its name once it holds weights and a checkpoint.

    Until then it is built aside, so that a run under the same name (replaced by `--force`) outlives a training that
    fails. Of several processes only the first writes; the others help it to collect.
    """

    path: Path
    config: RunConfig
    learner: Learner
    report: Report
    folder: Path
    replace: bool
    on_publish: Callable[[Path, int], None]

    def __post_init__(self) -> None:
        self._own = os.stat(self.folder) if self.learner.world.main else None

    def _check_own(self) -> None:
        """SeqtoolError when `folder` is not the directory any more that this training has written so far."""
        try:
            if self._own is None or os.path.samestat(self._own, os.stat(self.folder)):
                return
        except OSError:
            pass
        raise SeqtoolError(
            f"{self.folder} was moved, removed or replaced while it was trained, and nothing more is written there: "
            "go on with the directory where it is now, by --resume"
        )

    @contextmanager
    def _own_folder(self) -> Iterator[None]:
        """Write into `folder`: where that fails because it was taken away meanwhile, this is what is said."""
        self._check_own()
        try:
            yield
        except SeqtoolError:
            self._check_own()
            raise

    def log(self, record: dict[str, Any]) -> None:
        """Append a line of metrics and pass it on."""
        if not self.learner.world.main:
            return
        self._check_own()
        file = self.folder / METRICS
        try:
            if not file.exists():
                self._check_own()  # it is made anew in no other directory
            with open(file, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")
        except OSError as error:
            raise cannot_write(file, error) from error
        self.report(record)

    def keep_best(self) -> None:
        """Write the best weights."""
        tensors = {name: whole(tensor).cpu().contiguous() for name, tensor in self.learner.model.state_dict().items()}
        if self.learner.world.main:
            with self._own_folder():
                write_weights(self.folder / WEIGHTS, tensors, self.config)

    def keep_checkpoint(self, progress: Progress, state: State | None, average: Average | None) -> None:
        """Write everything needed to go on; the first time, the run takes its name."""
        tensors = collect(self.learner, state)
        if self.learner.world.main:
            with self._own_folder():
                if self.folder != self.path:
                    (self.folder / CHECKPOINT).parent.mkdir(exist_ok=True)
                write_checkpoint(self.folder, self.config, tensors, progress)
            if self.folder != self.path and (progress.best_step or not self.path.exists()):
                publish(self.folder, self.path, self.replace)
                self.folder = self.path
                self.on_publish(self.path, 0)


def train_run(
    path: Path,
    task: Task,
    *,
    report: Report,
    stopped: Stopped = lambda: False,
    resume: bool = False,
    replace: bool = False,
    world: World,
    on_publish: Callable[[Path, int], None] = lambda path, step: None,
) -> Outcome:
    """Train a task's model and keep it in the run directory `path`; with `resume`, go on from its checkpoint.

    With `replace` a run of that name gives way as soon as the new one has been validated once.

    `stopped` is asked after each step; when it says yes, a checkpoint is kept and training ends. `on_publish` is told
    once the directory has its name, and the step that training goes on from.
    """
    batches = task.batches()
    with ExitStack() as opened:
        if resume and world.main:
            opened.enter_context(locked(path))
            remove_strays(path)
            remove_strays(path / "checkpoint")
        checkpoint = read_checkpoint(path, task.config) if resume else None
        config, learner = _learner(task, batches, world)
        progress, state = Progress(), None
        if checkpoint is not None:
            progress, state = checkpoint.progress, restore(checkpoint, learner, task)
        first_step = progress.step
        _set_length(progress, config.training, batches)
        world.wait()
        folder = path
        if checkpoint is None and world.main:
            folder = opened.enter_context(built_aside(path))
            task.write(folder, config)
        elif checkpoint is not None and world.main:
            task.write(path, config)
            _forget_metrics_after(path / METRICS, progress)
            on_publish(path, progress.step)
        keeper = RunKeeper(path, config, learner, report, folder, replace, on_publish)
        progress = train(learner, batches, task, keeper, progress, state, stopped=stopped)
        complete = progress.validated == progress.step and progress.over(config.training)
        return Outcome(progress, world.from_main(keeper.folder == path), complete, first_step)


def _learner(task: Task, batches: Batches, world: World) -> tuple[RunConfig, Learner]:
    """What learns, with its first weights; and the configuration, which says whether it is compiled."""
    config, training = task.config, task.config.training
    torch.manual_seed(training.seed)
    model = task.new_model().to(world.device)
    if training.compile == "auto":
        pays = world.from_main(may_compile(config.model, training) and compiling_pays(task, model, batches))
        training = dataclasses.replace(training, compile="on" if pays else "off")
        config = dataclasses.replace(config, training=training)
    objective = in_parallel(model, task.objective(model), world, training.shard)
    if training.compile == "on":
        objective.compile()
    optimizers = make_optimizers(model.weights(), training)
    averaging = training.ema or training.optimizer in ("asgd", "nt-asgd")
    average = Average([weight for _, weight in model.weights() if weight.requires_grad]) if averaging else None
    torch.manual_seed(training.seed + world.rank)  # dropout differs from process to process
    return config, Learner(model, objective, optimizers, average, training, world)


def _set_length(progress: Progress, training: TrainConfig, batches: Batches) -> None:
    """The steps in all; of --time, those that were planned before.

    A training that early stopping ended and that is made longer gets its patience anew. UsageError when it is to be
    shorter than what is done.
    """
    planned = progress.steps
    if training.epochs:
        progress.steps = max(1, round(training.epochs * batches.steps_per_pass))
    elif training.steps or progress.planned_for_s != training.time:
        progress.steps = training.steps
    if not progress.step:
        return
    length = next((name for name in LENGTHS if getattr(training, name)), "steps")
    if progress.steps < progress.step if progress.steps else planned and progress.elapsed_s > training.time:
        raise UsageError(
            f"--{length} {getattr(training, length):g} is over: {progress.step:,} steps are done, in "
            f"{progress.elapsed_s:,.0f}s; give more, or leave it out"
        )
    if not progress.steps or progress.steps > planned:
        progress.since_best = 0


def _forget_metrics_after(file: Path, progress: Progress) -> None:
    """Drop the lines that the checkpoint has not seen: they will be written again."""
    if not file.is_file():
        return
    kept = []
    with open(file, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                record = json.loads(line)
                seen = progress.step if "loss" in record else progress.validated
                if record["step"] <= seen:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                continue  # the line that a crash cut short
    with atomic_writer(file) as stream:
        stream.write("".join(kept).encode())
