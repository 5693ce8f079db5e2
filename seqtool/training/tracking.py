"""Metrics for those who watch elsewhere: TensorBoard and trackio, each an extra that is loaded when it is asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from seqtool.errors import UsageError


class Tracker(NamedTuple):
    """Where metrics go: told each line, and that no more will come."""

    track: Callable[[dict[str, Any]], None]
    finish: Callable[[], None]


NAMES = {
    "loss": "train/loss",
    "lr": "train/lr",
    "grad_norm": "train/grad_norm",
    "tokens_per_s": "train/tokens_per_s",
    "skipped": "train/skipped",
    "valid_loss": "valid/loss",
}


def check_extra(flag: str, package: str) -> None:
    """UsageError, with how to install it, when the package that a flag needs is not there."""
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"{flag} needs the package {package}: pip install 'seqtool[{package}]'")


def tensorboard(run: Path, first_step: int) -> Tracker:
    """Writes scalars into `tensorboard/` in the run directory; those of a training before, after this step, go."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(run / "tensorboard"), purge_step=first_step + 1 if first_step else None)

    def track(record: dict[str, Any]) -> None:
        for name, value in scalars(record).items():
            writer.add_scalar(name, value, record["step"])
        writer.flush()

    return Tracker(track, writer.close)


def trackio(project: str, name: str, settings: dict[str, Any]) -> Tracker:
    """Logs to a trackio project (the interface of wandb), kept on this machine."""
    import trackio as client

    client.init(project=project, name=name, config=settings, resume="allow")

    def track(record: dict[str, Any]) -> None:
        if values := scalars(record):
            client.log(values, step=record["step"])

    return Tracker(track, client.finish)


class Tracking:
    """Passes metrics on to trackers, from when the run directory has its name; what came before is held until then."""

    def __init__(self, makers: list[Callable[[Path, int], Tracker]]) -> None:
        self._makers = makers
        self._trackers: list[Tracker] | None = None
        self._held: list[dict[str, Any]] = []

    def start(self, run: Path, first_step: int) -> None:
        """The run directory has its name; training goes on from `first_step`, or began."""
        self._trackers = [make(run, first_step) for make in self._makers]
        for record in self._held:
            self(record)
        self._held = []

    def __call__(self, record: dict[str, Any]) -> None:
        """Pass a line of metrics on."""
        if self._trackers is None:
            self._held.append(record)
        for tracker in self._trackers or ():
            tracker.track(record)

    def finish(self) -> None:
        """No more metrics will come."""
        for tracker in self._trackers or ():
            tracker.finish()


def scalars(record: dict[str, Any]) -> dict[str, float]:
    """The numbers of a metrics line, by the names that trackers group them under."""
    return {label: record[name] for name, label in NAMES.items() if record.get(name) is not None}
