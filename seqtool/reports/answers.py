"""What runs answer to examples, drawn: how classes are confused, intervals over a history, where a translator looks.

Shapes: N rows, H steps ahead, O answers for each: the mean, then quantiles from the lowest level to the highest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.models.encoder_decoder import EncoderDecoder
from seqtool.reports.drawing import visible
from seqtool.reports.pictures import Chart, Heat, Line
from seqtool.runs.loading import ExampleRun
from seqtool.settings.examples import CLASSIFY, FORECAST, TRANSLATE
from seqtool.tasks import classify, forecast, translate
from seqtool.tasks.examples.asking import Asking, Looked, answered_with_targets
from seqtool.tasks.examples.series import histories_of, reopened

MOST_LABELS = 30  # of a confusion matrix that is drawn
MOST_SERIES = 6
MOST_STEPS = 400  # of a history
HORIZONS = 3  # that are shown of a history, at least
MOST_TEXTS = 8
TRUTH, TOLD, END = 9, 0, 1  # colours


def drawn_answers(place: int, run: ExampleRun, path: str, errors: str) -> dict[str, Any] | None:
    """What the run at `place` answers to the examples of a file; None of a task that nothing is drawn of.

    InputError where the file is none for it.
    """
    draw = {CLASSIFY: _classes, FORECAST: _forecasts, TRANSLATE: _texts}.get(run.config.task["name"])
    if draw is None:
        return None
    about, charts, heats = draw(run, path, Asking(errors=errors))
    return {
        "run": place,
        "about": about,
        "charts": [chart.described() for chart in charts],
        "heats": [heat.described() for heat in heats],
    }


Drawn = tuple[str, list[Chart], list[Heat]]


def _classes(run: ExampleRun, path: str, asking: Asking) -> Drawn:
    """Confusions; of two classes also what other thresholds would give."""
    classes, fitted = classify.answers(run.config.task), run.fitted.cpu()
    outputs, values, left_out = answered_with_targets(run, [path], asking)
    report = classes.report(outputs, [value for (value,) in values], fitted)
    about = f"{len(values):,} rows of {visible(path)} were answered"
    about += f", {left_out:,} left out." if left_out else "."
    heats, charts = [], []
    confusion, names = report.get("confusion"), [str(row["label"]) for row in report["labels"]]
    if confusion is not None and len(names) <= MOST_LABELS:
        about += (
            f" {report['accuracy']:.1%} are right; {report['baseline_accuracy']:.1%} would be by the commonest label."
        )
        counts_LL = np.array(confusion)
        shares_LL = counts_LL / np.maximum(1, counts_LL.sum(axis=1, keepdims=True))
        title = "Rows: the true label. Columns: what was told, how often, and as a share of the row"
        heats.append(Heat(title, names, names, shares_LL.tolist(), confusion))
    else:
        about += f" A table of confusions is drawn of one label a row, and of up to {MOST_LABELS} labels."
    if classes.binary:
        scores_N, threshold = classes.decided(outputs, fitted)
        is_so_N = np.array([classes.label_of(value) == classes.labels[1] for (value,) in values])
        charts.append(_thresholds(classes.labels[1], is_so_N, scores_N, threshold))
    return about, charts, heats


def _thresholds(label: str, is_so_N: npt.NDArray[np.bool_], scores_N: npt.NDArray[np.float64], chosen: float) -> Chart:
    """Precision, recall and F1 of a label by the threshold from which on it is told."""
    thresholds = np.linspace(0, 1, 101)
    told = scores_N[None] >= thresholds[:, None]
    right = (told & is_so_N).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = right / told.sum(axis=1), right / is_so_N.sum()
        f1 = 2 * right / (told.sum(axis=1) + is_so_N.sum())
    lines = [
        Line(name, thresholds.tolist(), values.tolist(), "mean", hue)
        for hue, (name, values) in enumerate({"precision": precision, "recall": recall, "F1": f1}.items())
    ]
    at = int(np.abs(thresholds - chosen).argmin())
    ring = (2, float(thresholds[at]), float(f1[at]), f"the run's own: {chosen:.2f}")
    return Chart(f"Rows called {label}, by the threshold from which on they are", "threshold", lines, rings=[ring])


def _forecasts(run: ExampleRun, path: str, asking: Asking) -> Drawn:
    """Of the first series the last horizon that is known, as it was forecast, and where it can be what comes after."""
    task = run.config.task
    levels, horizon = forecast.answers(task).levels, forecast.cutting_of(task).horizon
    histories = histories_of(reopened([path], task, asking.errors))
    charts, within, known = [], 0, 0
    for history in histories[:MOST_SERIES]:
        end = len(history.values_T)
        cuts = [cut for cut in (end - horizon,) if cut > 0]
        if not forecast.problem(history, horizon, task):
            cuts.append(end)
        if not cuts:
            continue
        store = forecast.store_of([history], task)
        told_CHO = forecast.forecast(run, store, np.zeros(len(cuts), np.int64), np.array(cuts, np.int64))
        first = max(0, end - min(MOST_STEPS, max(HORIZONS * horizon, forecast.cutting_of(task).window)))
        charts.append(_forecast(history.name, history.values_T, first, cuts, told_CHO, levels))
        if cuts[0] < end:
            truth_H = history.values_T[cuts[0] : end]
            inside_H = (truth_H >= told_CHO[0, :, 1]) & (truth_H <= told_CHO[0, :, -1])
            within, known = within + int(inside_H.sum()), known + int(np.isfinite(truth_H).sum())
    about = f"The first {len(charts):,} of {len(histories):,} series of {visible(path)}."
    if known:
        about += (
            f" Of {known:,} values that were held back from the forecasts of the last horizon {within / known:.1%} lie "
            f"between the quantiles {levels[0]:g} and {levels[-1]:g}."
        )
    return about, charts, []


def _forecast(
    name: str,
    values_T: npt.NDArray[np.float32],
    first: int,
    cuts: Sequence[int],
    told_CHO: npt.NDArray[np.float64],
    levels: Sequence[float],
) -> Chart:
    """A history from its step `first` on, and the mean and the outer quantiles behind each cut."""
    steps = list(range(first + 1, len(values_T) + 1))
    lines = [Line("known", steps, values_T[first:].tolist(), "mean", TRUTH)]
    for number, (cut, told_HO) in enumerate(zip(cuts, told_CHO, strict=True)):
        ahead = list(range(cut + 1, cut + 1 + len(told_HO)))
        outer = {"forecast mean": (0, "valid"), f"quantile {levels[0]:g}": (1, "level")}
        outer[f"quantile {levels[-1]:g}"] = (told_HO.shape[1] - 1, "level")
        for one, (column, kind) in outer.items():
            lines.append(Line("" if number else one, ahead, told_HO[:, column].tolist(), kind, TOLD))
    return Chart(name or "The series", "step", lines)


def _texts(run: ExampleRun, path: str, asking: Asking) -> Drawn:
    """Where it looked when it wrote the first texts, the mean of layers and heads."""
    if not isinstance(run.model, EncoderDecoder) or not run.model.looks_back or run.vocabulary is None:
        return "It was trained without attention to words (--attention none), and looks back at nothing.", [], []
    looked: list[Looked] = []
    next(translate.predictions(run, [path], asking._replace(batch_size=MOST_TEXTS, looked=looked)), None)
    heats = [Heat(one.title, one.target, one.source, one.looks_LHTS.mean(axis=(0, 1)).tolist()) for one in looked]
    return f"The first {len(heats)} texts of {visible(path)}: a row for each token that was written.", [], heats
