"""What a page tells of a run without running its model: its curves, where it is best, and its settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.reports.drawing import visible
from seqtool.reports.thinning import extremes, means
from seqtool.runs.config import METRICS, RunConfig, is_mixture, read_config
from seqtool.runs.metrics import Metrics, read_metrics
from seqtool.runs.mixtures import MixtureConfig, read_mixture
from seqtool.settings.examples import LANGUAGE, ExampleConfig
from seqtool.settings.unused import unused
from seqtool.tasks.planning import planner_of

POINTS = 4000  # of all runs together, in each curve
FEWEST_POINTS, MOST_POINTS = 50, 500
AXES = ("step", "tokens", "elapsed_s")
DRAWN = (*AXES, "loss", "lr", "grad_norm", "tokens_per_s")
MOST_SKIPS, MOST_PROBES = 200, 12
SHOWN_VALUE, SHOWN_COMMAND = 200, 1000  # characters of a setting or a path; of a command
SPLIT_BY_TIME = ("forecast",)  # tasks whose held-back share is the last of it; of others it is drawn by the seed


@dataclass(frozen=True)
class RunRecord:
    """What a run's directory says of it."""

    path: Path
    config: RunConfig | MixtureConfig
    metrics: Metrics

    @property
    def task(self) -> str:
        """What it learned, by the task's name."""
        return LANGUAGE if isinstance(self.config, MixtureConfig) else str(self.config.task["name"])

    @property
    def counted(self) -> bool:
        """Whether it has counts of n-grams and no training: its steps are orders."""
        return isinstance(self.config, RunConfig) and bool(self.config.ngrams)

    @property
    def units(self) -> tuple[str, str]:
        """What a target is, such as a token, and what the loss of one is counted in."""
        if isinstance(self.config, MixtureConfig):
            return "token", "nats"
        return planner_of(self.task, self.config.name).units(self.config)

    @property
    def judged_on(self) -> tuple[Any, ...]:
        """What validation losses must have in common to compare: the task, the vocabulary and the validation text.

        Of texts that are written for others the vocabulary is that of what is written; forecasts have the same horizon
        and quantiles.
        """
        data, vocabulary, target, asked = self.config.data, self.config.vocabulary_sha256, None, []
        held_back = [data.get(name) for name in ("valid_sha256", "valid_share", "valid_tokens", "held_back")]
        if isinstance(self.config, RunConfig):
            target = self.config.task.get("target")
            asked = [self.config.task.get(name) for name in ("horizon", "levels")]  # of a forecast
            vocabulary = self.config.task.get("target_vocabulary_sha256") or vocabulary
            if "valid_share" in data and self.task not in SPLIT_BY_TIME:
                held_back.append(self.config.training.seed)
        where = data.get("valid_sha256") or [data.get("sha256"), held_back]
        return self.task, vocabulary, str(target), str(asked), str(where), data.get("valid_tokens")


def read_record(path: Path) -> RunRecord:
    """Read the configuration and the metrics of a run; InputError when the directory is no run."""
    config = read_mixture(path) if is_mixture(path) else read_config(path)
    return RunRecord(path, config, read_metrics(path / METRICS))


def described(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """What the page's script draws of each run."""
    names = names_of(records)
    best = best_of(records)
    points = min(MOST_POINTS, max(FEWEST_POINTS, POINTS // max(1, len(records))))
    return [
        {
            "name": name,
            "path": visible(str(record.path), SHOWN_VALUE),
            "model": record.config.name,
            "task": record.task,
            "unit": "{1} per {0}".format(*record.units),
            "target": record.units[0],
            "parameters": record.config.parameters,
            "counted": record.counted,
            "is_best": place in best,
            **_curves(record.metrics, points),
        }
        for place, (name, record) in enumerate(zip(names, records, strict=True))
    ]


def best_of(records: Sequence[RunRecord]) -> set[int]:
    """The places of the runs with the least validation loss among those, at least two, whose losses compare."""

    def loss(place: int) -> float:
        metrics = records[place].metrics
        return float(metrics.validations["valid_loss"][metrics.best])

    return {min(places, key=loss) for places in rivals_of(records)}


def rivals_of(records: Sequence[RunRecord]) -> list[list[int]]:
    """The places of the runs that have a best validation loss, by groups of at least two whose losses compare."""
    rivals: dict[tuple[Any, ...], list[int]] = {}
    for place, record in enumerate(records):
        if record.metrics.best is not None:
            rivals.setdefault(record.judged_on, []).append(place)
    return [places for places in rivals.values() if len(places) > 1]


def _curves(metrics: Metrics, points: int) -> dict[str, Any]:
    steps, validations, best = metrics.steps, metrics.validations, metrics.best
    shown = extremes(steps, ("loss", "grad_norm"), points // 4)
    skips = np.flatnonzero(np.diff(steps["skipped"], prepend=0) > 0)
    judged = extremes(validations, ("valid_loss",), points // 2, kept=[] if best is None else [best])
    probes = metrics.gradient_by_lag
    chosen = sorted({round(place) for place in np.linspace(0, len(probes) - 1, min(len(probes), MOST_PROBES))})
    return {
        "logged": len(steps["step"]),
        "train": {name: _shortened(steps[name][shown]) for name in DRAWN},
        "mean": {name: _shortened(column) for name, column in means(steps, (*AXES, "loss"), points // 4).items()},
        "valid": {name: _listed(column[judged]) for name, column in validations.items() if name != "best_step"},
        "best": None if best is None else int(np.flatnonzero(judged == best)[0]),
        "skipped": _listed(steps["skipped"][-1:])[0] if len(steps["step"]) else None,
        "skips": {name: _shortened(steps[name][skips[-MOST_SKIPS:]]) for name in AXES},
        "watched": _watched(metrics),
        "lags": [{"step": probes[place][0], "norms": _shortened(np.array(probes[place][1]))} for place in chosen],
    }


def _watched(metrics: Metrics) -> dict[str, list[float | None]]:
    """The loss on the text of --watch, which is logged by step alone: on other axes it lies where the step does."""
    watched = {"step": np.array([step for step, _ in metrics.watched], np.float64)}
    watched["loss"] = np.array([loss for _, loss in metrics.watched], np.float64)
    kept = extremes(watched, ("loss",), FEWEST_POINTS)
    return {name: _shortened(column[kept]) for name, column in watched.items()}


def settings_table(records: Sequence[RunRecord]) -> dict[str, Any]:
    """The settings in which runs differ, and the others: rows of a name and the value of each run, or one for all.

    Nothing stands where a setting has no effect on a run; runs differ in a setting where those differ that use it.
    `commands` has what each run was made by.
    """
    told = [_settings(record) for record in records]
    without = [_without_effect(record.config) for record in records]
    names = list(dict.fromkeys(name for settings in told for name in settings))
    rows = [
        [name, *("" if name in none else _shown(own.get(name)) for own, none in zip(told, without, strict=True))]
        for name in names
    ]
    used = [[value for value, none in zip(row[1:], without, strict=True) if row[0] not in none] for row in rows]
    return {
        "differ": [row for row, values in zip(rows, used, strict=True) if len(set(values)) > 1],
        "same": [[row[0], values[0]] for row, values in zip(rows, used, strict=True) if len(set(values)) == 1],
        "commands": [visible(str(record.config.made_by.get("command") or ""), SHOWN_COMMAND) for record in records],
    }


def _without_effect(config: RunConfig | MixtureConfig) -> set[str]:
    return set() if isinstance(config, MixtureConfig) else unused(config.model, config.training)


def _settings(record: RunRecord) -> dict[str, Any]:
    config = record.config
    about = {
        "model": config.name,
        "task": record.task,
        "parameters": config.parameters,
        "vocabulary": config.vocabulary_sha256[:12],
    }
    data = {f"data: {name}": value for name, value in config.data.items() if not isinstance(value, dict)}
    data |= {f"data: {name}": value for name, value in _of_examples(config.data.get("examples")).items()}
    if isinstance(config, MixtureConfig):
        return {**about, "weights": list(config.weights), "parts": list(config.models), **data}
    training = {"seed": config.training.seed} if record.counted else dataclasses.asdict(config.training)
    return {**about, **config.model.told(), **training, **data}


def _of_examples(asked: Any) -> dict[str, Any]:
    """The settings of how a table was read that are not the defaults."""
    usual = dataclasses.asdict(ExampleConfig())
    return {name: value for name, value in asked.items() if value != usual.get(name)} if asked else {}


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
    if isinstance(value, bool):
        text = "yes" if value else "no"
    return visible(text, SHOWN_VALUE)


def names_of(records: Sequence[RunRecord]) -> list[str]:
    """Short names that tell the runs apart, as they are shown."""
    short = [record.path.resolve().name for record in records]
    names = short if len(set(short)) == len(short) else [str(record.path) for record in records]
    return [visible(name) for name in names]


def _listed(column: npt.NDArray[np.float64]) -> list[float | None]:
    """Numbers for JSON, exactly; None for what is not finite."""
    return [
        None if not math.isfinite(value) else int(value) if value == int(value) else value for value in column.tolist()
    ]


def _shortened(column: npt.NDArray[np.float64]) -> list[float | None]:
    """The same to six digits, as many as a drawing can show; whole numbers exactly."""
    return [
        None if not math.isfinite(value) else int(value) if value == int(value) else float(f"{value:.6g}")
        for value in column.tolist()
    ]
