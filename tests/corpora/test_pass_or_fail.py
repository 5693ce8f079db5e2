from __future__ import annotations

import csv

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss

from tests.corpora.recipe import made

COURSES = {"day": 0.0, "evening": -1.5, "online": 0.8}
PETS = ("cat", "dog", "fish", "none")


def table(lines: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, the true probability by the formula of the docstring, and who passed."""
    rows = list(csv.DictReader(lines))
    hours, attendance, height = (np.array([float(row[c]) for row in rows]) for c in ("hours", "attendance", "height"))
    courses = np.array([[row["course"] == course for course in COURSES] for row in rows], dtype=float)
    pets = np.array([[row["pet"] == pet for pet in PETS] for row in rows], dtype=float)
    logit = -11 + 0.5 * hours + 0.1 * attendance + courses @ list(COURSES.values())
    features = np.column_stack([(hours - 8) / 4, (attendance - 85) / 12, courses, (height - 168) / 9, pets])
    return features, 1 / (1 + np.exp(-logit)), np.array([row["pass"] == "yes" for row in rows])


def test_what_it_says_of_these_rows_is_what_the_rows_give():
    lines, figures = made("pass_or_fail", "--rows", 3000, "--seed", 5)
    _, p, passed = table(lines)
    assert len(passed) == 3000
    best = [accuracy_score(passed, p >= 0.5), log_loss(passed, p)]
    assert figures["best possible, on these rows"] == pytest.approx(best, abs=6e-5)
    assert figures["majority, on these rows"][0] == pytest.approx(passed.mean(), abs=6e-5)


@pytest.mark.slow
def test_the_expected_optimum_is_that_of_many_rows_and_what_logistic_regression_reaches():
    (train, train_p, passed), (test, test_p, test_passed) = (
        table(made("pass_or_fail", "--rows", 40_000, "--seed", seed)[0]) for seed in (1, 2)
    )
    _, figures = made("pass_or_fail", "--rows", 1)
    p = np.concatenate([train_p, test_p])
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p)).mean()
    accuracy, nats = figures["best possible, expected"]
    assert [np.maximum(p, 1 - p).mean(), entropy] == pytest.approx([accuracy, nats], abs=0.003)
    assert figures["majority, expected"] == pytest.approx(
        [p.mean(), log_loss(passed, np.full(40_000, p.mean()))], abs=0.005
    )

    model = LogisticRegression(C=1e4, max_iter=1000).fit(train, passed)
    predicted = model.predict_proba(test)[:, 1]
    assert log_loss(test_passed, predicted) == pytest.approx(log_loss(test_passed, test_p), abs=0.001)
    assert accuracy_score(test_passed, predicted >= 0.5) == pytest.approx(accuracy, abs=0.007)
    nothing_said = model.coef_[0][5:] - [0, *[model.coef_[0][6:].mean()] * 4]
    assert np.abs(nothing_said).max() < 0.1
