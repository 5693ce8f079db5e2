"""Every task on examples is a module that brings all of what a task is."""

from __future__ import annotations

import inspect

import pytest

from seqtool.settings.examples import LANGUAGE, TASKS, ExampleConfig
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import TrainConfig
from seqtool.tasks.examples.modules import TaskModule, task_module
from seqtool.tasks.examples.planning import OF_TRAINING


@pytest.mark.parametrize("task", [task for task in TASKS if task != LANGUAGE])
def test_a_module_is_whole(task: str):
    module = task_module(task)
    named = [name for name in (*TaskModule.__annotations__, *vars(TaskModule)) if not name.startswith("_")]
    assert {"MEANT", "prepare", "predictions"} <= set(named)
    assert [name for name in named if not hasattr(module, name)] == []
    assert set(module.MEANT) <= {*vars(ExampleConfig()), *OF_TRAINING}
    assert set(OF_TRAINING) <= vars(TrainConfig()).keys() | vars(ModelConfig()).keys()
    assert list(inspect.signature(module.prepare).parameters)[2:] == ["examples", "settings", "kept"]
