"""Reading `metrics.jsonl`: what a training has logged so far, as columns.

Shapes: S logged steps, V validations.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError

Column = npt.NDArray[np.float64]
STEP_COLUMNS = ("step", "tokens", "elapsed_s", "loss", "lr", "grad_norm", "skipped", "tokens_per_s")
VALID_COLUMNS = ("step", "tokens", "elapsed_s", "valid_loss", "valid_score", "best_step")
MAX_LAGS = 10_000


@dataclass(frozen=True)
class Metrics:
    """What was logged, in order; a number that is missing, or was not finite, is NaN."""

    steps: dict[str, Column]
    """STEP_COLUMNS, each (S,)."""
    validations: dict[str, Column]
    """VALID_COLUMNS, each (V,)."""
    watched: list[tuple[float, float]] = field(default_factory=list)
    """Steps, and the loss on the text of --watch."""
    gradient_by_lag: list[tuple[float, list[float]]] = field(default_factory=list)
    """Steps, and the norm of the gradient by lag, from 1 on."""

    @property
    def best(self) -> int | None:
        """The place among the validations of the one whose weights were kept; None before the first."""
        steps, best_steps = self.validations["step"], self.validations["best_step"]
        known = np.isfinite(self.validations["valid_loss"])
        found: list[int] = np.flatnonzero((steps == best_steps[-1]) & known).tolist() if len(steps) else []
        return found[0] if found else None


def read_metrics(file: Path) -> Metrics:
    """Read a file of metrics, which may be missing or still grow; a line that is cut short is left out.

    InputError when it cannot be read.
    """
    steps = {name: array("d") for name in STEP_COLUMNS}
    validations = {name: array("d") for name in VALID_COLUMNS}
    watched: list[tuple[float, float]] = []
    lags: list[tuple[float, list[float]]] = []
    for record in _records(file):
        if "loss" in record:
            _append(steps, record)
        elif "valid_loss" in record:
            _append(validations, record)
        if "watched_loss" in record:
            watched.append((record["step"], _number(record["watched_loss"])))
        if isinstance(norms := record.get("gradient_by_lag"), list):
            lags.append((record["step"], [_number(norm) for norm in norms[:MAX_LAGS]]))
    return Metrics(_arrays(steps), _arrays(validations), watched, lags)


def _records(file: Path) -> Iterator[dict[str, Any]]:
    """The lines that hold an object with a step."""
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(record, dict) and math.isfinite(_number(record.get("step"))):
                    yield record
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error


def _append(columns: dict[str, array[float]], record: dict[str, Any]) -> None:
    for name, column in columns.items():
        column.append(_number(record.get(name)))


def _number(value: Any) -> float:
    """A finite number as it is, NaN for anything else."""
    try:
        number = float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _arrays(columns: dict[str, array[float]]) -> dict[str, Column]:
    return {name: np.array(column, np.float64) for name, column in columns.items()}
