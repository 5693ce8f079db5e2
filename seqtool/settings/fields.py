"""How a setting is declared: a dataclass field that knows its help text, choices and limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any

MAX_COUNT = 1_000_000_000  # of steps, validations, tokens: what nobody waits for


class Panel(StrEnum):
    """The headings under which `--help` groups options, in the order in which it shows them."""

    FIRST = "Most used"
    DATA = "Data"
    EXAMPLES = "Tasks on examples"
    FORECASTS = "Forecasts"
    TRANSLATION = "Sequence to sequence"
    VOCABULARY = "Vocabulary"
    MODEL = "Model"
    METHOD = "Method"
    NGRAMS = "Character n-grams"
    TRUNCATION = "Back-propagation through time"
    OPTIMIZER = "Optimizer"
    RATE = "Learning rate"
    REGULARISATION = "Regularisation"
    SCORING = "Scoring"
    ADAPTING = "Learning while scoring"
    SAMPLING = "Sampling"
    CONSTRAINTS = "Constraints"
    LENGTH = "Length"
    CHECKPOINTS = "Checkpoints"
    MACHINE = "Machine"
    PROGRESS = "Results and progress"


def setting(
    default: Any,
    help: str,
    *,
    panel: Panel,
    choices: Sequence[str] = (),
    low: float | None = None,
    high: float | None = None,
    below: float | None = None,
    flag: str = "",
    metavar: str = "",
    shown_default: str = "",
) -> Any:
    """A dataclass field that knows its help text, the panel of `--help` that shows it, its choices, and its closed
    range `low..high` (or open end `below`).
    """
    return field(
        default=default,
        metadata={
            "help": help,
            "panel": panel,
            "choices": tuple(choices),
            "low": low,
            "high": high,
            "below": below,
            "flag": flag,
            "metavar": metavar,
            "shown_default": shown_default,
        },
    )


def flag_of(item: dataclasses.Field[Any]) -> str:
    """The command-line flag of a setting, `--batch-size` for `batch_size`."""
    return str(item.metadata["flag"] or "--" + item.name.replace("_", "-"))
