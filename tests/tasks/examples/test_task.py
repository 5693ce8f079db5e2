"""The task of answering examples: outputs in order, the objective over tokens, what validation fits."""

from __future__ import annotations

import numpy as np
import torch

from seqtool.models.example_model import build_example_model
from seqtool.settings.examples import ExampleShape
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import TrainConfig
from seqtool.tasks.classify import Classes
from seqtool.tasks.examples.sets import ArrayExamples
from seqtool.tasks.examples.task import ExampleObjective, first_rows, flat, outputs_of

LENGTHS = np.random.default_rng(0).integers(1, 30, 70)
STARTS = np.concatenate([[0], np.cumsum(LENGTHS)])
IDS = np.random.default_rng(1).integers(0, 20, (int(STARTS[-1]), 1))
CLASSES = Classes(("a", "b", "c"), False, (1, 1, 1), 3)


def model(each: bool):
    shape = ExampleShape(tables=(20,), outputs=3, each=each, fitted=1)
    return build_example_model(ModelConfig(model="gru", hidden=8, bidirectional=True), shape).eval()


def test_outputs_are_in_the_order_of_the_rows():
    examples = ArrayExamples(np.arange(70) % 3, STARTS, IDS)
    rows = np.arange(70)[::-1].copy()
    found = outputs_of(model(False), examples, rows)
    assert found is not None
    outputs, targets = found
    assert targets.tolist() == (rows % 3).tolist()
    for place in (0, 33):
        alone = outputs_of(model(False), examples, rows[place : place + 1])
        assert alone is not None
        assert torch.allclose(alone[0][0], outputs[place], atol=1e-6)
    assert outputs_of(model(False), examples, rows, lambda: True) is None


def test_tokens_are_answered_one_after_the_other():
    targets = np.arange(int(STARTS[-1])) % 3
    found = outputs_of(model(True), ArrayExamples(targets, STARTS, IDS, each=True), np.arange(70))
    assert found is not None
    assert found[1].tolist() == targets.tolist()
    assert found[0].shape == (int(STARTS[-1]), 3)


def test_the_objective_is_a_sum_over_targets_and_weighs_examples():
    examples = ArrayExamples(
        np.arange(int(STARTS[-1])) % 3, STARTS, IDS, weights_N=np.full(70, 2, np.float32), each=True
    )
    taken = examples.take(np.arange(5))
    sums = ExampleObjective(model(True), CLASSES, TrainConfig())(None, *taken)
    with torch.no_grad():
        outputs, targets, _ = flat(model(True)(taken.x), taken.targets, None)
    nats = torch.nn.functional.cross_entropy(outputs, targets, reduction="sum")
    assert torch.allclose(sums.loss, nats)
    assert torch.allclose(sums.objective, 2 * nats)
    assert sums.state == ()


def test_a_sample_of_rows_is_spread_evenly():
    assert first_rows(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert first_rows(100, 3).tolist() == [0, 49, 99]
