"""Mini-batches of pairs: each pair once a pass, of like lengths, within the tokens asked for, a function of the step."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.models.loss import IGNORE
from seqtool.settings.training import TrainConfig
from seqtool.tasks.examples.sets import ArrayExamples
from seqtool.tasks.pairs.batches import PairBatches, rows_of_tokens
from seqtool.tasks.pairs.sets import PairSet


def pairs(count: int = 403, longest: int = 60) -> PairSet:
    """Pairs of random lengths, each with its number as its only source tokens."""
    random = np.random.default_rng(0)
    lengths, own = random.integers(1, longest, count), random.integers(1, longest, count)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    source = ArrayExamples(np.zeros(count, np.int64), starts, np.repeat(np.arange(count), lengths).reshape(-1, 1))
    return PairSet(source, np.concatenate([[0], np.cumsum(own)]), np.full(int(own.sum()), 3), 1)


PAIRS = pairs()
WHOLE = slice(0, 12)


def numbers(batches: PairBatches, step: int, rows: slice = WHOLE) -> list[int]:
    return list(batches.batch(step, rows).taken.x.ids_BTK[:, 0, 0].tolist())


@pytest.mark.parametrize("tokens", [0, 400, 90])
def test_each_pair_comes_once_in_a_pass_and_another_pass_differs(tokens: int):
    batches = PairBatches(PAIRS, TrainConfig(batch_size=12, batch_tokens=tokens, seed=4))
    steps = int(batches.steps_per_pass)
    first, second = ([numbers(batches, n * steps + step) for step in range(steps)] for n in (0, 1))
    for passed in (first, second):
        assert sorted(row for batch in passed for row in batch) == list(range(403))
    assert first != second
    for step in range(steps):
        taken = batches.batch(step, WHOLE).taken
        padded = len(taken.targets_BT) * max(taken.targets_BT.shape[1], taken.x.ids_BTK.shape[1])
        assert not tokens or padded <= max(tokens, 61)
        assert tokens or len(taken.targets_BT) <= 12


def test_a_batch_is_the_same_from_anywhere_and_its_rows_are_the_processes():
    config = TrainConfig(batch_size=12, batch_tokens=400, seed=4)
    batches = PairBatches(PAIRS, config)
    whole = batches.batch(17, WHOLE)
    halves = [PairBatches(PAIRS, config).batch(17, rows) for rows in (slice(0, 6), slice(6, 12))]
    assert [row for rows in (slice(0, 6), slice(6, 12)) for row in numbers(batches, 17, rows)] == numbers(batches, 17)
    assert {half.targets for half in halves} == {whole.targets}
    scored = sum(int((half.taken.targets_BT != IGNORE).sum()) for half in halves)
    assert scored == whole.targets == int((whole.taken.targets_BT != IGNORE).sum())


def test_a_process_without_a_row_counts_nothing():
    batches = PairBatches(PAIRS.some(np.array([0])), TrainConfig(batch_size=12))
    shares = [batches.batch(0, slice(start, start + 6)) for start in (0, 6)]
    assert [share.rows for share in shares] == [1, 1]
    assert [int((share.taken.targets_BT != IGNORE).sum()) > 0 for share in shares] == [False, True]


def test_little_is_filled_up():
    batches = PairBatches(pairs(5000), TrainConfig(batch_size=12, batch_tokens=400))
    filled = scored = 0
    for step in range(int(batches.steps_per_pass)):
        taken = batches.batch(step, WHOLE).taken
        width = max(taken.targets_BT.shape[1], taken.x.ids_BTK.shape[1])
        longer = np.maximum(taken.x.lengths_B.numpy(), (taken.targets_BT != IGNORE).sum(1).numpy())
        filled, scored = filled + len(longer) * width, scored + int(longer.sum())
    assert filled < 1.1 * scored


def test_rows_of_so_many_tokens():
    assert rows_of_tokens(PAIRS, 400) == pytest.approx(400 / PAIRS.lengths_N.mean(), rel=0.35)
    assert rows_of_tokens(PAIRS, 1) == 8  # which divides by the processes there may be
