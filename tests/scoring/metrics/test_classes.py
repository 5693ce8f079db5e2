"""Metrics of classification are those of scikit-learn, on random and odd input."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from seqtool.errors import InputError
from seqtool.scoring.metrics.classes import (
    accuracy,
    binary_log_loss,
    brier_score,
    calibration_error,
    classes_report,
    confusion_matrix,
    hamming_loss,
    label_counts,
    label_set_counts,
    label_sets_report,
    log_loss,
    precision_at_1,
    ranking_areas,
    subset_accuracy,
)

close = pytest.approx


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def case(seed: int, rows: int = 300, classes: int = 4, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """True labels, not equally frequent, and probabilities that know something of them, with ties."""
    random = np.random.default_rng(seed)
    truth = random.choice(classes, rows, p=softmax(random.normal(size=classes)))
    logits = np.round(random.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[truth], 1)
    return truth, softmax(logits).astype(dtype)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_classes_are_scored_as_scikit_learn_scores_them(seed: int, classes: int):
    truth, p = case(seed, classes=classes)
    predicted = p.argmax(1)
    counts = label_counts(truth, predicted, classes)
    assert accuracy(truth, predicted) == close(sk.accuracy_score(truth, predicted))
    assert counts.macro_f1() == close(sk.f1_score(truth, predicted, average="macro"))
    assert counts.micro_f1() == close(sk.f1_score(truth, predicted, average="micro"))
    assert counts.weighted_f1() == close(sk.f1_score(truth, predicted, average="weighted"))
    each = sk.precision_recall_fscore_support(
        truth, predicted, average=None, labels=range(classes), zero_division=np.nan
    )
    for ours, theirs in zip((counts.precision, counts.recall, counts.f1, counts.support), each, strict=True):
        np.testing.assert_allclose(ours, theirs)
    np.testing.assert_equal(
        confusion_matrix(truth, predicted, classes), sk.confusion_matrix(truth, predicted, labels=range(classes))
    )
    assert log_loss(truth, p) == close(sk.log_loss(truth, p, labels=range(classes)))
    y_proba = p[:, 1] if classes == 2 else p
    assert brier_score(truth, p) == close(sk.brier_score_loss(truth, y_proba, labels=range(classes)))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("digits", [0, 1, 6])
def test_areas_are_those_of_scikit_learn_with_ties(seed: int, digits: int):
    random = np.random.default_rng(seed)
    positive = random.random(200) < 0.3
    for dtype in (np.float32, np.float64):
        scores = np.round(random.normal(size=200) + positive, digits).astype(dtype)
        areas = ranking_areas(positive, scores)
        assert areas.roc_auc == close(sk.roc_auc_score(positive, scores))
        assert areas.pr_auc == close(sk.average_precision_score(positive, scores))


def test_areas_at_their_limits():
    yes, scores = np.array([False, False, True, True]), np.array([0.1, 0.2, 0.8, 0.9])
    assert ranking_areas(yes, scores) == (1.0, 1.0)
    assert ranking_areas(~yes, scores).roc_auc == 0.0
    assert ranking_areas(yes, np.zeros(4)) == (0.5, 0.5)
    np.testing.assert_equal(ranking_areas(np.zeros(4, bool), scores), (np.nan, np.nan))
    np.testing.assert_equal(ranking_areas(np.ones(4, bool), scores), (np.nan, 1.0))
    np.testing.assert_equal(ranking_areas(np.zeros(0, bool), np.zeros(0)), (np.nan, np.nan))


def test_areas_of_many_rows_do_not_overflow():
    positive = np.arange(200_000) % 2 == 0
    assert ranking_areas(positive, np.zeros(200_000, np.float32)).roc_auc == 0.5


@pytest.mark.parametrize("seed", range(4))
def test_calibration_error_by_its_definition(seed: int):
    truth, p = case(seed, rows=500)
    p = np.concatenate([p, np.eye(4), np.full((3, 4), 0.25), [[0.2, 0.2, 0.2, 0.4]]])  # on the borders of bins
    truth = np.concatenate([truth, np.arange(4), [0, 1, 2], [3]])
    expected = 0.0
    for number in range(15):
        inside = [n for n in range(len(p)) if number / 15 < max(p[n]) <= (number + 1) / 15]
        if inside:
            right = np.mean([p[n].argmax() == truth[n] for n in inside])
            expected += len(inside) / len(p) * abs(right - np.mean([max(p[n]) for n in inside]))
    assert calibration_error(truth, p) == close(expected)
    assert calibration_error(truth, np.eye(4)[truth]) == 0
    assert calibration_error(truth, np.eye(4)[(truth + 1) % 4]) == 1


def test_calibrated_probabilities_have_a_small_error_and_sharpened_ones_a_large_one():
    random = np.random.default_rng(0)
    p = softmax(random.normal(size=(100_000, 3)))
    truth = (random.random((100_000, 1)) > p.cumsum(1)).sum(1)
    assert calibration_error(truth, p) < 0.01
    assert calibration_error(truth, softmax(3 * np.log(p))) > 0.15


@pytest.mark.parametrize("seed", range(4))
def test_a_report_agrees_with_scikit_learn(seed: int):
    truth, p = case(seed)
    report = classes_report("abcd", truth, p, training_counts_K=np.array([5, 9, 3, 3]))
    assert report["balanced_accuracy"] == close(sk.balanced_accuracy_score(truth, p.argmax(1)))
    assert report["roc_auc"] == close(sk.roc_auc_score(truth, p, multi_class="ovr", average="macro"))
    assert report["pr_auc"] == close(sk.average_precision_score(np.eye(4)[truth], p, average="macro"))
    assert report["baseline_label"] == "b"
    assert report["baseline_accuracy"] == close(np.mean(truth == 1))
    assert report["baseline_macro_f1"] == close(sk.f1_score(truth, np.full(len(truth), 1), average="macro"))
    assert report["baseline_log_loss"] == close(-np.log(np.array([5, 9, 3, 3]) / 20)[truth].mean())
    assert report["f1"] is None
    assert report["positive"] is None
    assert [row["support"] for row in report["labels"]] == np.bincount(truth, minlength=4).tolist()
    assert np.array(report["confusion"]).sum() == report["rows"] == len(truth)
    json.dumps(report, allow_nan=False)


def test_of_two_labels_the_second_is_the_positive_one_and_a_threshold_may_decide():
    truth, p = case(1, classes=2)
    predicted = (p[:, 1] >= 0.2).astype(int)
    report = classes_report(["ham", "spam"], truth, p, training_counts_K=np.array([3, 1]), predicted_N=predicted)
    assert report["positive"] == "spam"
    assert report["precision"] == close(sk.precision_score(truth, predicted))
    assert report["recall"] == close(sk.recall_score(truth, predicted))
    assert report["f1"] == close(sk.f1_score(truth, predicted))
    assert report["accuracy"] == close(sk.accuracy_score(truth, predicted))
    assert report["roc_auc"] == close(sk.roc_auc_score(truth, p[:, 1]))
    assert report["pr_auc"] == close(sk.average_precision_score(truth, p[:, 1]))


def test_labels_never_seen_in_training_are_errors_and_named():
    truth, p = case(2)
    truth[:30] = 4
    truth[30] = 5
    report = classes_report([*"abcd", "new", "rare"], truth, p, training_counts_K=np.array([5, 9, 3, 3]))
    wide = np.pad(p, ((0, 0), (0, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert report["log_loss"] == close(sk.log_loss(truth, wide, labels=range(6)))
        assert report["macro_f1"] == close(sk.f1_score(truth, p.argmax(1), average="macro"))
        assert report["balanced_accuracy"] == close(sk.balanced_accuracy_score(truth, p.argmax(1)))
    assert report["brier_score"] == close(np.square(wide - np.eye(6)[truth]).sum(1).mean())
    assert report["accuracy"] == close(np.mean(truth == p.argmax(1)))
    assert (report["unseen_labels"], report["unseen"]) == (["new", "rare"], 31)
    new = report["labels"][4]
    assert (new["support"], new["predicted"], new["recall"], new["f1"]) == (30, 0, 0, 0)
    assert new["precision"] is None
    assert new["roc_auc"] is None
    assert np.shape(report["confusion"]) == (6, 6)
    json.dumps(report, allow_nan=False)


def test_one_class_only():
    p = softmax(np.random.default_rng(0).normal(size=(20, 3)))
    truth = np.zeros(20, int)
    report = classes_report("abc", truth, p, training_counts_K=np.array([1, 1, 1]))
    assert report["roc_auc"] is None
    assert report["pr_auc"] == 1
    assert report["macro_f1"] == close(sk.f1_score(truth, p.argmax(1), average="macro"))
    assert report["labels"][1]["recall"] is None


def test_perfect_predictions():
    truth = np.array([0, 1, 2, 1, 0])
    report = classes_report("abc", truth, np.eye(3)[truth], training_counts_K=np.array([2, 2, 1]))
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "weighted_f1", "roc_auc", "pr_auc"):
        assert report[name] == 1, name
    for name in ("log_loss", "brier_score", "calibration_error"):
        assert report[name] == close(0, abs=1e-12), name
    assert report["confusion"] == [[2, 0, 0], [0, 2, 0], [0, 0, 1]]


def test_confident_errors_are_finite():
    assert log_loss(np.array([0]), np.array([[0.0, 1.0]], np.float32)) == close(-math.log(np.finfo(float).eps))


def test_of_no_rows_everything_is_undefined():
    report = classes_report("ab", np.zeros(0, int), np.zeros((0, 2), np.float32), training_counts_K=np.array([2, 1]))
    assert report["rows"] == 0
    for name in ("accuracy", "macro_f1", "micro_f1", "f1", "log_loss", "brier_score", "calibration_error", "roc_auc"):
        assert report[name] is None, name


def test_probabilities_that_are_not_numbers_are_refused():
    p = np.full((3, 2), 0.5)
    p[1] = np.nan
    counts = np.array([1, 1])
    with pytest.raises(
        InputError, match="the probabilities hold 2 values that are not finite numbers, the first in row 2"
    ):
        classes_report("ab", np.zeros(3, int), p, training_counts_K=counts)
    with pytest.raises(InputError, match="probabilities"):
        label_sets_report("ab", p > 1, p, p > 1, training_counts_K=counts, training_rows=2)


def test_float32_gives_the_figures_of_float64():
    truth, p = case(3, rows=2000, dtype=np.float32)
    small, large = (
        classes_report("abcd", truth, each, training_counts_K=np.ones(4, int)) for each in (p, p.astype(np.float64))
    )
    assert small == {**large, "brier_score": close(large["brier_score"]), "log_loss": close(large["log_loss"])}


def sets_case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.random((250, 5)) < [0.5, 0.3, 0.1, 0.2, 0.05]
    truth[0] = True
    p = np.round(1 / (1 + np.exp(-random.normal(size=truth.shape) - 2 * truth + 1)), 2)
    return truth, p, p >= [0.5, 0.5, 0.4, 0.6, 0.3]


@pytest.mark.parametrize("seed", range(6))
def test_several_labels_are_scored_as_scikit_learn_scores_them(seed: int):
    truth, p, predicted = sets_case(seed)
    counts = label_set_counts(truth, predicted)
    for average, ours in (
        ("macro", counts.macro_f1()),
        ("micro", counts.micro_f1()),
        ("weighted", counts.weighted_f1()),
    ):
        assert ours == close(sk.f1_score(truth, predicted, average=average, zero_division=np.nan))
    assert subset_accuracy(truth, predicted) == close(sk.accuracy_score(truth, predicted))
    assert hamming_loss(truth, predicted) == close(sk.hamming_loss(truth, predicted))
    nats = [sk.log_loss(truth[:, k], p[:, k], labels=[False, True]) for k in range(5)]
    assert binary_log_loss(truth, p) == close(np.mean(nats))
    report = label_sets_report(
        "abcde", truth, p, predicted, training_counts_K=np.array([4, 3, 1, 2, 1]), training_rows=8
    )
    assert report["pr_auc"] == close(sk.average_precision_score(truth, p, average="macro"))
    assert report["roc_auc"] == close(sk.roc_auc_score(truth, p, average="macro"))
    assert report["labels_per_row"] == close(truth.sum() / 250)
    alone = np.tile(np.arange(5) == 0, (250, 1))
    shares = np.tile(np.array([4, 3, 1, 2, 1]) / 8, (250, 1))
    assert report["baseline_log_loss"] == close(binary_log_loss(truth, shares))
    assert report["baseline_label"] == "a"
    assert report["baseline_micro_f1"] == close(sk.f1_score(truth, alone, average="micro"))
    assert report["baseline_subset_accuracy"] == close(sk.accuracy_score(truth, alone))
    json.dumps(report, allow_nan=False)


def test_precision_at_1_is_how_often_the_most_probable_label_is_true():
    truth = np.array([[True, True, False], [False, False, True], [False, False, False]])
    p = np.array([[0.1, 0.9, 0.2], [0.8, 0.1, 0.3], [0.1, 0.2, 0.3]])
    assert precision_at_1(truth, p) == close(1 / 3)


def test_several_labels_never_seen_in_training_are_errors():
    truth, p, predicted = sets_case(1)
    wide = np.pad(truth, ((0, 0), (0, 1)))
    wide[:10, 5] = True
    report = label_sets_report("abcdef", wide, p, predicted, training_counts_K=np.arange(1, 6), training_rows=9)
    padded = np.pad(predicted, ((0, 0), (0, 1)))
    assert report["micro_f1"] == close(sk.f1_score(wide, padded, average="micro"))
    assert report["macro_f1"] == close(sk.f1_score(wide, padded, average="macro"))
    assert report["hamming_loss"] == close(sk.hamming_loss(wide, padded))
    assert report["subset_accuracy"] == close(sk.accuracy_score(wide, padded))
    nats = [sk.log_loss(wide[:, k], np.pad(p, ((0, 0), (0, 1)))[:, k], labels=[False, True]) for k in range(6)]
    assert report["log_loss"] == close(np.mean(nats))
    assert (report["unseen_labels"], report["unseen"]) == (["f"], 10)


def test_several_labels_of_no_rows_and_of_absent_labels():
    none = np.zeros((0, 2), bool)
    report = label_sets_report("ab", none, none.astype(float), none, training_counts_K=np.ones(2), training_rows=2)
    assert [report[name] for name in ("micro_f1", "subset_accuracy", "log_loss", "pr_auc")] == [None] * 4
    truth = np.array([[True, False], [True, False]])
    report = label_sets_report("ab", truth, truth * 0.9, truth, training_counts_K=np.ones(2), training_rows=2)
    assert report["macro_f1"] == report["weighted_f1"] == 1  # a label that is neither true nor predicted has no F1
    assert report["labels"][1]["f1"] is None
