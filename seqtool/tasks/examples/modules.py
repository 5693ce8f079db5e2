"""What a task on examples is: one module of seqtool.tasks, found by its name."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from seqtool.runs.config import RunConfig
from seqtool.runs.loading import ExampleRun
from seqtool.settings.examples import ExampleConfig
from seqtool.tasks.examples.prepared import Prepared
from seqtool.tasks.request import Request

if TYPE_CHECKING:
    from seqtool.tasks.examples.asking import Answer, Asking
    from seqtool.tasks.examples.task import Answers


class TaskModule(Protocol):
    """What the module of a task brings."""

    MEANT: tuple[str, ...]
    """Of the settings of examples, and of those of training that not every task has, the ones that it uses."""
    UNITS: tuple[str, str]
    """What a target is, such as an example, and what the loss of one is counted in, such as nats."""
    SEPARATOR: str
    """What stands between the cells of an answer."""
    BACKTESTED: bool
    """Whether it is judged on windows of series, which --backtest and --from choose."""

    def open_data(self, request: Request, examples: ExampleConfig) -> Any:
        """The data, opened: their `kind` is text, table, tags or series."""

    def prepare(
        self, request: Request, opened: Any, examples: ExampleConfig, settings: dict[str, Any], kept: RunConfig | None
    ) -> Prepared:
        """Examples as arrays; with a run that goes on, `kept`, as its configuration says."""

    def answers(self, task: Mapping[str, Any]) -> Answers:
        """What the outputs mean, by what a run's configuration says; InputError when it was edited."""

    def same_answers(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Whether the outputs of two runs mean the same."""

    def heading(self, run: ExampleRun) -> list[str]:
        """The names of the cells of an answer; none where each line is an answer."""

    def predictions(self, run: ExampleRun, paths: Sequence[str], asking: Asking) -> Iterator[list[Answer]]:
        """The answers to some files, in order, as they come."""

    def evaluation(self, run: ExampleRun, paths: Sequence[str], asking: Asking) -> dict[str, Any]:
        """Every metric beside a baseline."""


def task_module(task: str) -> TaskModule:
    """The module of a task."""
    return cast(TaskModule, importlib.import_module(f"seqtool.tasks.{task}"))
