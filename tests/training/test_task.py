"""What is common to all tasks."""

from __future__ import annotations

import math

import pytest

from seqtool.tasks.language.task import LanguageTask
from seqtool.training.task import Task, Validation, Validator


def test_a_loss_is_the_sum_divided_by_the_targets():
    assert Validation(6.0, 4).loss == 1.5
    assert Validation(0.0, 0).loss == math.inf


@pytest.mark.parametrize("task", [LanguageTask])
def test_a_task_has_all_that_training_asks_for(task: type):
    asked = {name for protocol in (Task, Validator) for name in vars(protocol) if not name.startswith("_")}
    assert {"batches", "objective", "validate", "write"} <= asked
    given = {name for name in asked if hasattr(task, name)} | set(task.__annotations__)
    assert asked <= given
