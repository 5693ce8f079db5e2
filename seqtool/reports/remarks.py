"""What a page says of runs in sentences: where each is best, whether it overfits, and whether they had equal time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.reports.curves import RunRecord, names_of, rivals_of
from seqtool.reports.thinning import mean
from seqtool.runs.mixtures import MixtureConfig

RISE = 0.005  # of the loss, as a share of it: less is no overfitting
UNEQUAL = 1.1  # times the seconds of the shortest training


def remark(record: RunRecord) -> str:
    """In a sentence, what the curves of a run say."""
    steps, validations, best = record.metrics.steps, record.metrics.validations, record.metrics.best
    if isinstance(record.config, MixtureConfig):
        return "A mixture of other runs, which has no metrics of its own: name its parts to see theirs."
    if best is None:
        return "There are no validations yet." if len(steps["step"]) else "No metrics yet."
    step, loss = int(validations["step"][best]), float(validations["valid_loss"][best])
    if record.counted:
        return f"n-grams of up to {step} tokens are best, with a validation loss of {loss:.4f}; nothing was trained."
    if _ends_best(record):
        return f"The last validation, at step {step:,}, is the best: a longer training may be better."
    last = float(validations["valid_loss"][-1])
    if last - loss > RISE * abs(loss):
        fell = _fall(steps, step)
        trained = f" while the training loss fell by {fell:.3f}: it overfits" if fell > 0 else ""
        return f"Best at step {step:,}; after it the validation loss rose by {last - loss:.3f}{trained}."
    return f"Best at step {step:,}; after it the validation loss stayed about the same."


def remarks(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """What is said of runs: the places of those that a sentence is about, and the sentence, once where it is the same.

    Runs whose losses compare, and whose seconds of training differ by more than a tenth, have a sentence on that too.
    """
    ending = [place for place, record in enumerate(records) if _ends_best(record)]
    trained = [place for place, record in enumerate(records) if _trained(record)]
    said: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        text = remark(record)
        if place in ending and len(ending) > 1:
            text = "The last validation of each is its best: a longer training may be better."
            if ending == trained:
                text = "No run overfits: each run's last validation is its best, and a longer training may be better."
        said.setdefault(text, []).append(place)
    found = [{"runs": places, "text": text} for text, places in said.items()]
    return found + [time for places in rivals_of(records) if (time := _unequal_time(records, places))]


def _trained(record: RunRecord) -> bool:
    return record.metrics.best is not None and not record.counted


def _ends_best(record: RunRecord) -> bool:
    return _trained(record) and record.metrics.best == len(record.metrics.validations["step"]) - 1


def _unequal_time(records: Sequence[RunRecord], places: Sequence[int]) -> dict[str, Any] | None:
    """That some of these runs trained longer than others; None where they did not, or nothing is known of it."""
    seconds = {place: _seconds(records[place]) for place in places if _trained(records[place])}
    seconds = {place: value for place, value in seconds.items() if value > 0}
    if len(seconds) < 2:
        return None
    short, long = min(seconds, key=seconds.__getitem__), max(seconds, key=seconds.__getitem__)
    if seconds[long] <= UNEQUAL * seconds[short]:
        return None
    names = names_of(records)
    text = (
        f"The times of training differ: {seconds[short]:,.1f} s of {names[short]}, {seconds[long]:,.1f} s of "
        f"{names[long]}, {seconds[long] / seconds[short]:.1f} times as long. Draw the losses across seconds to compare "
        "them at equal times."
    )
    return {"runs": sorted(seconds), "text": text}


def _seconds(record: RunRecord) -> float:
    """The seconds until the last step or validation that was logged; 0 where there are none."""
    logged = [
        columns["elapsed_s"][np.isfinite(columns["elapsed_s"])]
        for columns in (record.metrics.steps, record.metrics.validations)
    ]
    return float(max((column.max() for column in logged if len(column)), default=0.0))


def _fall(steps: dict[str, npt.NDArray[np.float64]], since: int) -> float:
    """By how much the training loss fell from the tenth of the steps around `since` to the last tenth."""
    losses = steps["loss"]
    finite = np.isfinite(losses)
    places, losses = steps["step"][finite], losses[finite]
    if len(losses) < 4:
        return 0.0
    near = (places >= 0.9 * since) & (places <= since + 0.1 * (places[-1] - since))
    late = places >= places[-1] - 0.1 * (places[-1] - since)
    return mean(losses[near]) - mean(losses[late]) if near.any() and late.any() else 0.0
