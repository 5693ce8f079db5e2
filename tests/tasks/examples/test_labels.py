"""Labels: what a run says of them, what they weigh, what is fitted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from seqtool.errors import InputError
from seqtool.tasks.examples.labels import FEW_EXAMPLES, balanced_weights, labels_from, shrunk

TASK = {"labels": ["a", "b"], "counts": [3, 1], "class_weights": [0.5, 2.0]}


def test_labels_come_back_as_they_were():
    assert labels_from(TASK) == (("a", "b"), (3, 1), (0.5, 2.0))


@pytest.mark.parametrize(
    "edit",
    [
        {"labels": ["a", "a"]}, {"labels": [1, 2]}, {"labels": []}, {"counts": [1]}, {"counts": [-1, 2]}, {"counts": [1, 10**400]},
        {"counts": "ab"}, {"class_weights": [1.0]}, {"class_weights": [0.0, 1.0]}, {"class_weights": ["x", 1]}, {"labels": 3},
    ],
)  # fmt: skip
def test_edited_ones_are_refused(edit: dict[str, Any]):
    with pytest.raises(InputError, match="edited"):
        labels_from({**TASK, **edit})


def test_balanced_labels_count_the_same():
    counts = Counter({"a": 3, "b": 1})
    weights = balanced_weights(["a", "b"], counts)
    assert [weight * counts[label] for weight, label in zip(weights, "ab", strict=True)] == [2, 2]


def test_what_few_examples_say_counts_little():
    assert shrunk(2.0, 0) == 0
    assert shrunk(2.0, FEW_EXAMPLES) == 1
    assert shrunk(2.0, 10**9) == pytest.approx(2)
