"""Labels, which classes and tags have in common: how a run names them, what they weigh, what is fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from seqtool.errors import InputError

FEW_EXAMPLES = 50  # of which a fitted number counts half
MOST_COUNTED = 1 << 53


def labels_from(task: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[int, ...], tuple[float, ...]]:
    """The labels of a run, how many training targets have each, and their weights, which may be none.

    InputError when its configuration was edited.
    """
    try:
        labels, weights = tuple(task["labels"]), tuple(map(float, task["class_weights"]))
        counts = tuple(task["counts"])
        fits = (
            len(labels) >= 1
            and all(isinstance(label, str) for label in labels)
            and len(set(labels)) == len(labels) == len(counts)
            and all(type(count) is int and 0 <= count < MOST_COUNTED for count in counts)
            and len(weights) in (0, len(labels))
            and all(0 < weight < math.inf for weight in weights)
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _edited() from error
    if not fits:
        raise _edited()
    return labels, counts, weights


def _edited() -> InputError:
    return InputError("a run's configuration does not say which labels there are: it was edited")


def balanced_weights(labels: Sequence[str], counts: Mapping[str, int]) -> list[float]:
    """Weights with which each label counts the same in all, and a target 1 on average."""
    total = sum(counts.values())
    return [total / (len(labels) * counts[label]) for label in labels]


def shrunk(value: float, examples: int) -> float:
    """A fitted number, nearer to the 0 that it is without: by few examples little is known of it."""
    return value * examples / (examples + FEW_EXAMPLES)
