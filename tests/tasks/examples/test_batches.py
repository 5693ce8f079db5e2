"""Mini-batches of examples are a function of the step: each example once in a pass, of like lengths."""

from __future__ import annotations

import numpy as np

from seqtool.settings.training import TrainConfig
from seqtool.tasks.examples.batches import ExampleBatches
from seqtool.tasks.examples.sets import ArrayExamples

LENGTHS = np.random.default_rng(0).integers(1, 50, 203)
STARTS = np.concatenate([[0], np.cumsum(LENGTHS)])
EXAMPLES = ArrayExamples(np.arange(203), STARTS, np.zeros((int(STARTS[-1]), 1), np.int32))
CONFIG = TrainConfig(batch_size=10, seed=4)


def test_each_example_comes_once_in_a_pass_and_another_pass_differs():
    batches = ExampleBatches(EXAMPLES, CONFIG)
    passes = [
        [batches.batch(step, slice(0, 10)).taken.targets.tolist() for step in range(20 * n, 20 * n + 20)]
        for n in (0, 1)
    ]
    for batch in passes:
        drawn = [row for own in batch for row in own]
        assert len(set(drawn)) == len(drawn) == 200
    assert passes[0] != passes[1]
    assert batches.steps_per_pass == 20.3


def test_a_batch_is_the_same_from_anywhere_and_its_rows_are_the_processes():
    batches = ExampleBatches(EXAMPLES, CONFIG)
    whole = batches.batch(33, slice(0, 10)).taken.targets.tolist()
    halves = [ExampleBatches(EXAMPLES, CONFIG).batch(33, rows) for rows in (slice(0, 5), slice(5, 10))]
    assert [row for half in halves for row in half.taken.targets.tolist()] == whole
    assert all(half.targets == 10 and half.rows == 5 for half in halves)


def test_examples_of_a_batch_are_of_like_lengths():
    batches = ExampleBatches(EXAMPLES, CONFIG)
    spread = [np.ptp(batches.batch(step, slice(0, 10)).taken.x.lengths_B.numpy()) for step in range(20)]
    assert np.mean(spread) < 10  # at random it would be over 40


def test_fewer_examples_than_a_batch():
    few = ArrayExamples(np.arange(3))
    assert sorted(ExampleBatches(few, CONFIG).batch(7, slice(0, 10)).taken.targets.tolist()) == [0, 1, 2]
