"""The task of telling classes: one of two (sigmoid), one of several (softmax), or several at once (a sigmoid each).

Shapes: N examples, O outputs: 1 of two classes, else one for each class.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqtool.errors import InputError, UsageError
from seqtool.records.values import labels_of, number_of
from seqtool.runs.loading import ExampleRun
from seqtool.settings.examples import ExampleConfig
from seqtool.settings.training import TrainConfig
from seqtool.tasks.examples.asking import Answer, Asking, answered, answered_with_targets, no_heading
from seqtool.tasks.examples.labels import balanced_weights, labels_from, shrunk
from seqtool.tasks.examples.table import OF_TABLES, Table, open_table, prepare_table

MOST_LABELS = 1000
AGREEING = ("yes", "true", "y", "t", "pass", "spam", "positive", "pos")


@dataclass(frozen=True)
class Classes:
    """The classes, in order, and how an output becomes probabilities."""

    labels: tuple[str, ...]
    several: bool
    """Whether an example has any number of them, not exactly one."""
    counts: tuple[int, ...]
    """How many of the training examples are of each."""
    examples: int
    weights: tuple[float, ...] = ()
    """How much an example of each class counts in training; nothing: all the same."""
    by_f1: bool = False
    """Whether thresholds are those with the best F1 in validation, not a probability of a half."""
    format: str = "csv"
    """Of the table: how a value is one label or several."""

    @property
    def binary(self) -> bool:
        """Whether one output tells all: the log-odds of the second class."""
        return len(self.labels) == 2 and not self.several

    @property
    def outputs(self) -> int:
        """Numbers that a model gives."""
        return 1 if self.binary else len(self.labels)

    @property
    def thresholds(self) -> int:
        """Thresholds that validation fits."""
        return self.outputs if self.binary or self.several else 0

    @property
    def fitted(self) -> int:
        """Numbers that validation fits: the logarithm of a temperature, and thresholds as log-odds."""
        return 1 + self.thresholds

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """-log p of what each example is, in nats: binary cross-entropy, or cross-entropy; summed over labels."""
        if self.binary:
            return F.binary_cross_entropy_with_logits(outputs[:, 0], targets.float(), reduction="none")
        if self.several:
            return F.binary_cross_entropy_with_logits(outputs, targets, reduction="none").sum(-1)
        return F.cross_entropy(outputs, targets, reduction="none")

    def objective(self, outputs: Tensor, targets: Tensor, weights_N: Tensor | None, config: TrainConfig) -> Tensor:
        """The losses, smoothed and weighed as asked, summed."""
        smoothing = config.label_smoothing
        if not smoothing:
            losses_N = self.losses(outputs, targets)
        elif self.binary:
            soft_N = targets.float() * (1 - smoothing) + smoothing / 2
            losses_N = F.binary_cross_entropy_with_logits(outputs[:, 0], soft_N, reduction="none")
        elif self.several:
            soft_NO = targets * (1 - smoothing) + smoothing / 2
            losses_N = F.binary_cross_entropy_with_logits(outputs, soft_NO, reduction="none").sum(-1)
        else:
            losses_N = F.cross_entropy(outputs, targets, reduction="none", label_smoothing=smoothing)
        if config.z_loss and not (self.binary or self.several):
            losses_N = losses_N + config.z_loss * outputs.logsumexp(-1).square()
        if weights_N is not None:
            losses_N = losses_N * weights_N
        return losses_N.sum()

    def _shifts(self, dtype: torch.dtype) -> Tensor:
        """What weights of the classes have added to the outputs: their logarithms, (O,); of two classes the odds'."""
        if not self.weights:
            return torch.zeros(self.outputs, dtype=dtype)
        logs = torch.tensor(self.weights, dtype=dtype).log()
        return logs[1:] - logs[:1] if self.binary else logs

    def unweighted(self, outputs: Tensor) -> Tensor:
        """The outputs without what weights of the classes have added."""
        return outputs - self._shifts(outputs.dtype)

    def probabilities(self, outputs: Tensor, fitted: Tensor) -> Tensor:
        """The probability of each class, (N, classes): at the fitted temperature, as without weights of classes."""
        cooled = self.unweighted(outputs.double()) / float(fitted[0].double().exp())
        if self.binary:
            yes_N1 = cooled.sigmoid()
            return torch.cat([1 - yes_N1, yes_N1], dim=-1)
        return cooled.sigmoid() if self.several else cooled.softmax(-1)

    def chosen(self, outputs: Tensor, fitted: Tensor) -> Tensor:
        """The class of each example, (N,), or where there are several a 1 for each that it has, (N, classes).

        Weights of classes count here: what is chosen is the likeliest where all classes are as frequent as they say.
        """
        if not self.thresholds:
            return outputs.argmax(-1)
        above = outputs / float(fitted[0].exp()) >= fitted[1:]
        return above.long() if self.several else above[:, 0].long()

    def decided(self, outputs: Tensor, fitted: Tensor) -> tuple[np.ndarray, float]:
        """Of two classes: what `chosen` compares with the threshold, (N,), and that, both as probabilities."""
        cooled_N = outputs[:, 0].double() / float(fitted[0].double().exp())
        return cooled_N.sigmoid().numpy(), float(fitted[1].double().sigmoid())

    def fit(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The temperature with the least log loss (Guo et al. 2017); where F1 decides, the thresholds with the best."""
        from seqtool.scoring.metrics.fitting import fit_temperature, fit_threshold, two_logits

        logits = self.unweighted(outputs.double()).numpy()
        told = targets.numpy().astype(np.int64)
        fitted = torch.zeros(self.fitted)
        pairs = logits if not self.thresholds else two_logits(logits.reshape(-1))
        fitted[0] = shrunk(math.log(fit_temperature(pairs, told.reshape(-1))), len(told))
        if self.by_f1:
            cooled = (outputs / fitted[0].exp()).double()
            for place in range(self.thresholds):
                is_so = (told if self.binary else told[:, place]) > 0
                threshold = fit_threshold(is_so, cooled[:, place].sigmoid().numpy())
                odds = math.log(threshold / (1 - threshold)) if threshold < 1 else 30.0
                fitted[1 + place] = shrunk(odds, len(told))
        return fitted

    def score(self, outputs: Tensor, targets: Tensor, fitted: Tensor, by: str) -> float | None:
        """Accuracy, or F1: of the positive class, or the mean of all classes'; None where the loss decides."""
        if by == "loss":
            return None
        from seqtool.scoring.metrics import classes

        told, true = self.chosen(outputs, fitted).numpy(), targets.numpy().astype(np.int64)
        if by == "accuracy":
            return classes.subset_accuracy(true > 0, told > 0) if self.several else classes.accuracy(true, told)
        if self.several:
            return classes.label_set_counts(true > 0, told > 0).macro_f1()
        counts = classes.label_counts(true, told, len(self.labels))
        return float(np.nan_to_num(counts.f1[1])) if self.binary else counts.macro_f1()

    def report(self, outputs: Tensor, values: Sequence[str | None], fitted: Tensor) -> dict[str, Any]:
        """Every metric beside the baseline; a label that training has not seen counts as an error."""
        from seqtool.scoring.metrics import classes

        probabilities, told = self.probabilities(outputs, fitted).numpy(), self.chosen(outputs, fitted).numpy()
        counts = np.array(self.counts, np.int64)
        if self.several:
            sets = [set(labels_of(value, self.format)) for value in values]
            names = [*self.labels, *sorted(set().union(*sets) - set(self.labels))]
            number = {name: place for place, name in enumerate(names)}
            truth = np.zeros((len(sets), len(names)), bool)
            for row, labels in enumerate(sets):
                truth[row, [number[label] for label in labels]] = True
            return classes.label_sets_report(
                names, truth, probabilities, told > 0, training_counts_K=counts, training_rows=self.examples
            )
        own = [self.label_of(value) for value in values]
        names = [*self.labels, *sorted(set(own) - set(self.labels))]
        number = {name: place for place, name in enumerate(names)}
        truth = np.array([number[label] for label in own], np.int64)
        return classes.classes_report(names, truth, probabilities, training_counts_K=counts, predicted_N=told)

    def told(self, outputs: Tensor, fitted: Tensor, most: int) -> list[list[tuple[str, float]]]:
        """For each example its answer and that one's probability, then up to `most` in all of the likeliest others.

        Where there are several labels: those over their thresholds, the likeliest first.
        """
        probabilities, chosen = self.probabilities(outputs, fitted), self.chosen(outputs, fitted)
        found = []
        for row, own in zip(probabilities.tolist(), chosen.tolist(), strict=True):
            order = sorted(range(len(row)), key=lambda place: -row[place])
            if self.several:
                kept = [place for place in order if own[place]] if most < 1 else order[:most]
            else:
                kept = [own, *(place for place in order if place != own)][: max(1, most)]
            found.append([(self.labels[place], row[place]) for place in kept])
        return found

    def label_of(self, value: str | None) -> str:
        """The label in a value of a target that is one; several in one are a label that there is not."""
        return " ".join(labels_of(value, self.format))

    def targets_of(self, values: Sequence[str | None]) -> np.ndarray:
        """Numbers of the labels of some rows, -1 for one that is not known; several: (rows, classes)."""
        number = {label: place for place, label in enumerate(self.labels)}
        if not self.several:
            return np.array([number.get(self.label_of(value), -1) for value in values], np.int64)
        made = np.zeros((len(values), len(self.labels)), np.float32)
        for row, value in enumerate(values):
            for label in labels_of(value, self.format):
                if label in number:
                    made[row, number[label]] = 1.0
        return made


MEANT = (*OF_TABLES, "positive", "class_weight", "best_by")
UNITS = ("example", "nats")
SEPARATOR = "\t"
BACKTESTED = False
open_data, prepare, heading = open_table, prepare_table, no_heading


def described(
    values: Sequence[tuple[str, ...]], table: Table, examples: ExampleConfig, settings: dict[str, Any]
) -> dict[str, Any]:
    """The labels, in order, how many of each there are, and what they weigh."""
    if len(table.roles.target) > 1:
        raise UsageError("--target: classes are told of one column; name one")
    layout = table.records.layout.format
    rows = [labels_of(value, layout) for (value,) in values]
    several = any(len(row) != 1 for row in rows)
    counts = Counter(label for row in rows for label in row)
    labels = sorted(counts, key=_order)
    if len(labels) < 2:
        raise InputError(f"the target has one value only, {labels[0]!r}: there is nothing to tell apart")
    if len(labels) > MOST_LABELS:
        raise InputError(f"the target has {len(labels):,} values, more than {MOST_LABELS:,}: name another column")
    if positive := examples.positive:
        if len(labels) != 2 or positive not in labels:
            raise UsageError(f"--positive {positive}: the target's values are {', '.join(labels[:20])}")
        labels = [next(label for label in labels if label != positive), positive]
    weights: list[float] = []
    if settings.get("class_weight", "none") == "balanced":
        if several:
            raise UsageError("--class-weight balanced is for one class an example, not for several: leave it out")
        weights = balanced_weights(labels, counts)
    return {
        "labels": labels,
        "several": several,
        "counts": [counts[label] for label in labels],
        "examples": len(values),
        "class_weights": weights,
        "by_f1": settings.get("best_by") == "f1",
    }


def _order(label: str) -> tuple[int, float, str]:
    """Numbers by value, other labels by name, behind them; what says yes behind what says no."""
    number = number_of(label)
    return (0, number, label) if number == number else (1, float(label.lower() in AGREEING), label)


def targets(task: Mapping[str, Any], values: Sequence[tuple[str, ...]], source: str) -> np.ndarray:
    """The numbers of the labels; InputError for one that is not among those of the task."""
    classes = answers(task)
    made = classes.targets_of([value for (value,) in values])
    if not classes.several and (made < 0).any():
        unknown = sorted({values[row][0] for row in np.flatnonzero(made < 0).tolist()})
        raise InputError(
            f"{source} has labels that the training examples have not: {', '.join(unknown[:10])}; leave these rows out"
        )
    return made


def groups(targets: np.ndarray) -> np.ndarray | None:
    """The classes, where each example has one."""
    return targets if targets.ndim == 1 else None


def importance(task: Mapping[str, Any], targets: np.ndarray) -> np.ndarray | None:
    """The weights of the classes."""
    return np.array(task["class_weights"])[targets] if task["class_weights"] else None


def same_answers(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the outputs of two runs mean the same: labels in the same order."""
    return bool(one["labels"] == other["labels"] and one["several"] == other["several"])


def predictions(run: ExampleRun, paths: Sequence[str], asking: Asking) -> Iterator[list[Answer]]:
    """For each row its label and that one's probability, then the likeliest others, as they come."""
    classes, fitted = answers(run.config.task), run.fitted.cpu()
    return answered(
        run, paths, asking, lambda outputs: [_answer(told) for told in classes.told(outputs, fitted, asking.most)]
    )


def _answer(told: list[tuple[str, float]]) -> Answer:
    cells = tuple(cell for label, probability in told for cell in (label, f"{probability:.6f}"))
    content = {"labels": [label for label, _ in told], "probabilities": [probability for _, probability in told]}
    return Answer((cells or ("",),), content)


def evaluation(run: ExampleRun, paths: Sequence[str], asking: Asking) -> dict[str, Any]:
    """Every metric beside the baseline, on rows that have a target."""
    classes = answers(run.config.task)
    outputs, values, left_out = answered_with_targets(run, paths, asking)
    report = classes.report(outputs, [value for (value,) in values], run.fitted.cpu())
    return {"task": "classify", **report, "left_out": left_out}


def answers(task: Mapping[str, Any]) -> Classes:
    """The classes that a run's configuration names; InputError when it was edited."""
    labels, counts, weights = labels_from(task)
    try:
        return Classes(
            labels,
            task["several"] is True,
            counts,
            int(task["examples"]),
            weights,
            task["by_f1"] is True,
            str(task["layout"]["format"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError("a run's configuration does not say how its labels are told: it was edited") from error
