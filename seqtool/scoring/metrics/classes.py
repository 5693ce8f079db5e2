"""Metrics of classification: one label a row, or a set of labels a row.

Shapes: N rows, K labels seen in training, L labels in all. Labels are numbers from 0 to L - 1, and those from K on were
never seen in training: a model gives them no probability and never predicts them, so each of their rows is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seqtool.scoring.metrics.values import (
    Flags,
    Floats,
    Integers,
    for_json,
    mean,
    mean_of_defined,
    ratio,
    require_finite,
    table,
)

EPSILON = float(np.finfo(np.float64).eps)
"""Probabilities are clipped to [EPSILON, 1 - EPSILON] before a logarithm is taken, as in scikit-learn's log_loss."""
CALIBRATION_BINS = 15
CONFUSION_LABELS = 256
"""A report holds the confusion matrix of at most this many labels."""


class LabelCounts(NamedTuple):
    """How often each label was predicted where it is true, predicted at all, and true: of one shape, (L,) or ()."""

    right: Integers
    predicted: Integers
    support: Integers

    @property
    def precision(self) -> Floats:
        """right / predicted, per label; NaN for a label that was never predicted."""
        return ratio(self.right, self.predicted)

    @property
    def recall(self) -> Floats:
        """right / support, per label; NaN for a label that is never true."""
        return ratio(self.right, self.support)

    @property
    def f1(self) -> Floats:
        """2 right / (predicted + support), per label; NaN for a label that is neither true nor predicted anywhere."""
        return ratio(2 * self.right, self.predicted + self.support)

    def pooled(self) -> LabelCounts:
        """The sums over the labels, of shape (): their precision, recall and F1 are the micro averages."""
        return LabelCounts(*(np.asarray(each.sum()) for each in self))

    def macro_f1(self) -> float:
        """The mean of the labels' F1, over the labels that are true or predicted somewhere."""
        return mean_of_defined(self.f1)

    def micro_f1(self) -> float:
        """F1 of the pooled counts; the accuracy where every row has one label."""
        return float(self.pooled().f1)

    def weighted_f1(self) -> float:
        """The mean of the labels' F1, weighted by their support."""
        return float(ratio(np.nansum(self.f1 * self.support), np.sum(self.support)))


def label_counts(truth_N: Integers, predicted_N: Integers, labels: int) -> LabelCounts:
    """Count each of `labels` labels where every row has one."""
    right_N = truth_N[truth_N == predicted_N]
    return LabelCounts(*(np.bincount(each, minlength=labels) for each in (right_N, predicted_N, truth_N)))


def label_set_counts(truth_NL: Flags, predicted_NL: Flags) -> LabelCounts:
    """Count each label where every row has a set of them."""
    return LabelCounts(*(np.count_nonzero(each, 0) for each in (truth_NL & predicted_NL, predicted_NL, truth_NL)))


def confusion_matrix(truth_N: Integers, predicted_N: Integers, labels: int) -> Integers:
    """(L, L): how often the label of the row was true and that of the column predicted."""
    pairs_N = truth_N.astype(np.int64) * labels + predicted_N
    return np.bincount(pairs_N, minlength=labels * labels).reshape(labels, labels)


def accuracy(truth_N: Integers, predicted_N: Integers) -> float:
    """The share of rows whose predicted label is the true one."""
    return mean(truth_N == predicted_N)


def log_loss(truth_N: Integers, probabilities_NK: Floats) -> float:
    """-1/N sum_n ln p[n, truth[n]] in nats; p is 0, clipped to EPSILON, for a label never seen in training."""
    return mean(-np.log(np.clip(_probability_of_truth(truth_N, probabilities_NK), EPSILON, 1 - EPSILON)))


def brier_score(truth_N: Integers, probabilities_NK: Floats) -> float:
    """1/N sum_n sum_k (p[n, k] - [truth[n] = k])^2, halved where K is 2, as in scikit-learn (Brier 1950).

    A label never seen in training is a class of probability 0.
    """
    squares = np.einsum("nk,nk->", probabilities_NK, probabilities_NK, dtype=np.float64)
    rows, classes = probabilities_NK.shape
    total = squares + np.sum(1 - 2 * _probability_of_truth(truth_N, probabilities_NK))
    return float(ratio(total, rows * (2 if classes == 2 else 1)))


def calibration_error(truth_N: Integers, probabilities_NK: Floats, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: sum_b n_b / N |accuracy_b - confidence_b| (Guo et al. 2017, equation 3).

    The confidence of a row is its highest probability, and the row is right if that label is true. The bins are
    intervals (b / bins, (b + 1) / bins] of the confidence, of equal width.
    """
    if not truth_N.size:
        return float("nan")
    confidence_N = probabilities_NK.max(1).astype(np.float64)
    right_N = probabilities_NK.argmax(1) == truth_N
    bin_N = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence_N, side="left")
    gaps = np.bincount(bin_N, right_N - confidence_N, minlength=bins)  # n_b (accuracy_b - confidence_b)
    return float(np.abs(gaps).sum() / truth_N.size)


class RankingAreas(NamedTuple):
    """The areas under the ROC curve and under the precision-recall curve."""

    roc_auc: float
    pr_auc: float


def ranking_areas(positive_N: Flags, scores_N: Floats) -> RankingAreas:
    """How well scores rank the positive rows before the negative ones.

    roc_auc is the share of pairs of a positive and a negative row in which the positive scores higher, ties counting
    half (Hanley and McNeil 1982); NaN unless there are rows of both kinds. pr_auc is the average precision,
    sum_t (R_t - R_(t-1)) P_t over the thresholds t, which is the mean over the positive rows of the precision at their
    score; NaN without positive rows. Both as in scikit-learn.
    """
    all_N, positive_P = np.sort(scores_N), np.sort(scores_N[positive_N])
    rows, positives = len(all_N), len(positive_P)
    below_all, below_positive = (np.searchsorted(each, positive_P, "left") for each in (all_N, positive_P))
    upto_all, upto_positive = (np.searchsorted(each, positive_P, "right") for each in (all_N, positive_P))
    # twice the negatives below a positive row, ties once
    won = (below_all - below_positive) + (upto_all - upto_positive)
    return RankingAreas(
        float(ratio(won.sum(dtype=np.float64), 2.0 * positives * (rows - positives))),
        mean((positives - below_positive) / (rows - below_all)),
    )


def classes_report(
    names: Sequence[str],
    truth_N: Integers,
    probabilities_NK: Floats,
    *,
    training_counts_K: Integers,
    predicted_N: Integers | None = None,
) -> dict[str, Any]:
    """Every metric of a classification of one label a row, ready for JSON, beside the baseline.

    `names` are those of all L labels. `predicted_N` is given where thresholds decide; otherwise it is the label of
    highest probability. Of two labels the second is the positive one, which `precision`, `recall`, `f1` and the areas
    are of; of more, the areas are means over the labels, one against the rest, and `labels` has each. The baseline
    always predicts the label that was most frequent in training, and its log loss is that of the labels' shares of the
    training rows.
    """
    require_finite("probabilities", probabilities_NK)
    rows, seen = probabilities_NK.shape
    labels = len(names)
    predicted_N = probabilities_NK.argmax(1) if predicted_N is None else predicted_N
    counts = label_counts(truth_N, predicted_N, labels)
    areas = [ranking_areas(truth_N == label, probabilities_NK[:, label]) for label in range(seen)]
    binary = seen == 2
    majority = int(training_counts_K.argmax())
    majority_N = np.full(rows, majority)
    shares_K = ratio(training_counts_K, training_counts_K.sum())
    report = {
        "rows": rows,
        "accuracy": accuracy(truth_N, predicted_N),
        "balanced_accuracy": mean_of_defined(counts.recall),
        "macro_f1": counts.macro_f1(),
        "micro_f1": counts.micro_f1(),
        "weighted_f1": counts.weighted_f1(),
        "positive": names[1] if binary else None,
        "precision": counts.precision[1] if binary else None,
        "recall": counts.recall[1] if binary else None,
        "f1": counts.f1[1] if binary else None,
        "log_loss": log_loss(truth_N, probabilities_NK),
        "brier_score": brier_score(truth_N, probabilities_NK),
        "calibration_error": calibration_error(truth_N, probabilities_NK),
        "roc_auc": areas[1].roc_auc if binary else mean_of_defined(np.array([each.roc_auc for each in areas])),
        "pr_auc": areas[1].pr_auc if binary else mean_of_defined(np.array([each.pr_auc for each in areas])),
        "baseline": "majority",
        "baseline_label": names[majority],
        "baseline_accuracy": accuracy(truth_N, majority_N),
        "baseline_macro_f1": label_counts(truth_N, majority_N, labels).macro_f1(),
        "baseline_log_loss": log_loss(truth_N, np.broadcast_to(shares_K, (rows, seen))),
        **_unseen(names, counts, seen),
        "labels": label_table(names, counts, areas),
        "confusion": confusion_matrix(truth_N, predicted_N, labels) if labels <= CONFUSION_LABELS else None,
    }
    return for_json(report)


def subset_accuracy(truth_NL: Flags, predicted_NL: Flags) -> float:
    """The share of rows whose predicted set of labels is exactly the true one."""
    return mean((truth_NL == predicted_NL).all(1))


def hamming_loss(truth_NL: Flags, predicted_NL: Flags) -> float:
    """The share of the N times L decisions about a label that are wrong."""
    return mean(truth_NL != predicted_NL)


def binary_log_loss(truth_NL: Flags, probabilities_NK: Floats) -> float:
    """-1/(N L) sum_n sum_l ln (p[n, l] if l is true of n, else 1 - p[n, l]) in nats, the mean over all decisions.

    p is 0, clipped to EPSILON, for a label never seen in training.
    """
    seen = probabilities_NK.shape[1]
    nats = -np.log(EPSILON) * np.count_nonzero(truth_NL[:, seen:])
    for label in range(seen):  # a label at a time, for memory's sake
        p_N = probabilities_NK[:, label].astype(np.float64)
        p_N = np.where(truth_NL[:, label], p_N, 1 - p_N)
        nats -= np.log(np.clip(p_N, EPSILON, 1 - EPSILON)).sum()
    return float(ratio(nats, truth_NL.size))


def precision_at_1(truth_NL: Flags, probabilities_NK: Floats) -> float:
    """The share of rows of which the label of highest probability is true: fastText's P@1."""
    return mean(np.take_along_axis(truth_NL, probabilities_NK.argmax(1)[:, None], 1))


def label_sets_report(
    names: Sequence[str],
    truth_NL: Flags,
    probabilities_NK: Floats,
    predicted_NK: Flags,
    *,
    training_counts_K: Integers,
    training_rows: int,
) -> dict[str, Any]:
    """Every metric of a classification of several labels a row, ready for JSON, beside the baseline.

    `names` are those of all L labels; `training_counts_K` says of how many of the training rows each label was true.
    The areas are means over the labels (pr_auc is the mean average precision), and `labels` has each. The baseline
    predicts the label that was most frequent in training and no other; its log loss is that of the labels' shares of
    the training rows.
    """
    require_finite("probabilities", probabilities_NK)
    rows, seen = probabilities_NK.shape
    predicted_NL = np.pad(predicted_NK, ((0, 0), (0, len(names) - seen)))
    counts = label_set_counts(truth_NL, predicted_NL)
    areas = [ranking_areas(truth_NL[:, label], probabilities_NK[:, label]) for label in range(seen)]
    frequent = int(training_counts_K.argmax())
    frequent_NL = np.broadcast_to(np.arange(len(names)) == frequent, truth_NL.shape)
    frequent_counts = label_set_counts(truth_NL, frequent_NL)
    shares_K = ratio(training_counts_K, training_rows)
    report = {
        "rows": rows,
        "labels_per_row": float(ratio(truth_NL.sum(), rows)),
        "subset_accuracy": subset_accuracy(truth_NL, predicted_NL),
        "macro_f1": counts.macro_f1(),
        "micro_f1": counts.micro_f1(),
        "weighted_f1": counts.weighted_f1(),
        "hamming_loss": hamming_loss(truth_NL, predicted_NL),
        "precision_at_1": precision_at_1(truth_NL, probabilities_NK),
        "log_loss": binary_log_loss(truth_NL, probabilities_NK),
        "roc_auc": mean_of_defined(np.array([each.roc_auc for each in areas])),
        "pr_auc": mean_of_defined(np.array([each.pr_auc for each in areas])),
        "baseline": "most frequent label",
        "baseline_label": names[frequent],
        "baseline_subset_accuracy": subset_accuracy(truth_NL, frequent_NL),
        "baseline_macro_f1": frequent_counts.macro_f1(),
        "baseline_micro_f1": frequent_counts.micro_f1(),
        "baseline_hamming_loss": hamming_loss(truth_NL, frequent_NL),
        "baseline_log_loss": binary_log_loss(truth_NL, np.broadcast_to(shares_K, (rows, seen))),
        **_unseen(names, counts, seen),
        "labels": label_table(names, counts, areas),
    }
    return for_json(report)


def label_table(names: Sequence[str], counts: LabelCounts, areas: Sequence[RankingAreas] = ()) -> list[dict[str, Any]]:
    """A row per label: its counts, precision, recall and F1, and the areas where there are any."""
    rows = table(
        label=names,
        support=counts.support.tolist(),
        predicted=counts.predicted.tolist(),
        precision=counts.precision.tolist(),
        recall=counts.recall.tolist(),
        f1=counts.f1.tolist(),
    )
    unranked = [RankingAreas(np.nan, np.nan)] * (len(rows) - len(areas))
    return [{**row, **area._asdict()} for row, area in zip(rows, [*areas, *unranked], strict=True)] if areas else rows


def _unseen(names: Sequence[str], counts: LabelCounts, seen: int) -> dict[str, Any]:
    """The labels never seen in training, and how often they are true."""
    return {"unseen_labels": list(names[seen:]), "unseen": int(counts.support[seen:].sum())}


def _probability_of_truth(truth_N: Integers, probabilities_NK: Floats) -> Floats:
    seen = probabilities_NK.shape[1]
    p_N1 = np.take_along_axis(probabilities_NK, np.minimum(truth_N, seen - 1)[:, None], 1)
    return np.where(truth_N < seen, p_N1[:, 0].astype(np.float64), 0.0)
