"""From what a user asks for to a run's whole configuration and data: the same way for every task."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Unpack

from seqtool.files.writing import refuse_directory
from seqtool.runs.config import CHECKPOINT, RunConfig, is_run, read_config
from seqtool.settings.architectures import ARCHITECTURES, DEFAULT
from seqtool.settings.examples import LANGUAGE
from seqtool.tasks.deciding import decide_task
from seqtool.tasks.request import Request
from seqtool.training.machine import with_machine
from seqtool.training.session import Options, Outcome
from seqtool.training.world import World, restarts


class Planner(Protocol):
    """What plans the trainings of a task, or of several of a kind: a module."""

    def begun(self, task: str, request: Request, device: str, world: World) -> tuple[RunConfig, Any]:
        """A new run's configuration and data."""

    def again(self, path: Path, request: Request, device: str, world: World) -> tuple[RunConfig, Any]:
        """A run's configuration, with what may change, and its data read again."""

    def train(self, path: Path, config: RunConfig, data: Any, world: World, **options: Unpack[Options]) -> Outcome:
        """Train, and keep the result in the run directory `path`."""

    def beside(self, config: RunConfig, data: Any, seconds: float) -> dict[str, Any]:
        """What a plain model gets on the validation data, to be reported after a training that took so long."""

    def notes(self, data: Any) -> list[str]:
        """What is to be said of the data before they are learned from."""

    def about(self, config: RunConfig) -> str:
        """What there is to learn from, in a few words."""

    def units(self, config: RunConfig) -> tuple[str, str]:
        """What a target is, such as a token, and what the loss of one is counted in, such as nats."""

    def planned(self, config: RunConfig) -> dict[str, Any]:
        """What --dry-run reports beside the settings."""


def planner_of(task: str, model: str) -> Planner:
    """The module that plans a task, for an architecture."""
    counted = model in ARCHITECTURES and ARCHITECTURES[model].counted  # what there is not is refused by the planner
    module = ("language.counting" if counted else "language.planning") if task == LANGUAGE else "examples.planning"
    planner: Planner = importlib.import_module(f"seqtool.tasks.{module}")
    return planner


class Plan(NamedTuple):
    """The whole configuration of a run, its data, and whether it goes on from a checkpoint."""

    config: RunConfig
    data: Any
    resume: bool

    @property
    def planner(self) -> Planner:
        """What made it."""
        return planner_of(self.config.task["name"], self.config.model.model)


def plan_run(path: Path, request: Request, device: str, resume: bool, dry_run: bool, world: World) -> Plan:
    """Plan the run at `path`: from the request to facts about the data, from these to settings.

    `device` is the name that is recorded; with `dry_run` nothing is tried out on the machine, nor refused for what lies
    at the run's place.
    """
    if resume:
        begun = read_config(path)
        planner = planner_of(begun.task["name"], begun.model.model)
        return Plan(*planner.again(path, request, device, world), True)
    named = (request.from_run, request.valid, request.watch)
    inputs = [*request.data, *(str(one) for one in named if one is not None)]
    restarted = restarts() > 0 and is_run(path) and (path / CHECKPOINT).is_file()
    if not dry_run and not restarted:
        refuse_directory(path, request.force, inputs)
    task = decide_task(request)
    planner = planner_of(task, request.settings.get("model", DEFAULT))
    run_config, prepared = planner.begun(task, request, device, world)
    if dry_run:
        return Plan(run_config, prepared, False)
    if restarted:  # torchrun has started this command before: go on with what it left, if it is what it began
        left = read_config(path)
        if _as_asked(left, run_config) == run_config:
            return Plan(left, prepared, True)
        refuse_directory(path, request.force, inputs)
    return Plan(with_machine(run_config, device, world), prepared, False)


def _as_asked(left: RunConfig, asked: RunConfig) -> RunConfig:
    """A run's configuration with `auto` again where it was asked for: what that comes to is not tried twice."""
    tried = {name: getattr(asked.training, name) for name in ("device", "precision", "compile")}
    decided = [name for name, value in tried.items() if value != "auto" and name != "device"]
    if any(getattr(left.training, name) != tried[name] for name in decided):
        return left
    return dataclasses.replace(left, training=dataclasses.replace(left.training, **tried), made_by=asked.made_by)
