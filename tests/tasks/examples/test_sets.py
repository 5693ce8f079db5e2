"""Examples as arrays: what is taken of them, and how they are split."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.models.loss import IGNORE
from seqtool.tasks.examples.sets import ArrayExamples, by_length, split_rows

EXAMPLES = ArrayExamples(
    targets=np.array([5, 6, 7]),
    starts=np.array([0, 2, 2 + 3, 2 + 3 + 1]),
    ids=np.arange(10, 16).reshape(-1, 1),
    numbers_ND=np.arange(6, dtype=np.float32).reshape(3, 2),
    categories_NC=np.array([[1], [2], [3]], np.int32),
    weights_N=np.array([1.0, 2.0, 3.0], np.float32),
    begin_id=1,
)


def test_some_are_taken_and_filled_up_with_the_beginning():
    taken = EXAMPLES.take(np.array([1, 2]))
    assert taken.x.ids_BTK is not None
    assert taken.x.ids_BTK[..., 0].tolist() == [[12, 13, 14], [15, 1, 1]]
    assert taken.x.lengths_B.tolist() == [3, 1]
    assert taken.targets.tolist() == [6, 7]
    assert taken.x.numbers_BN is not None
    assert taken.x.numbers_BN.tolist() == [[2, 3], [4, 5]]
    part = taken.part(slice(1, 2))
    assert part.x.ids_BTK is not None
    assert part.x.ids_BTK.shape == (1, 1, 1)


def test_some_of_some():
    some = EXAMPLES.some(np.array([2, 0])).some(np.array([1]))
    assert len(some) == 1
    assert some.lengths_N.tolist() == [2]
    assert some.take(np.array([0])).targets.tolist() == [5]
    assert EXAMPLES.some(np.array([2, 0])).symbol_counts(20) == {10: 1, 11: 1, 15: 1}


def test_targets_of_tokens_are_filled_up_with_none():
    each = ArrayExamples(np.arange(6), EXAMPLES.starts, EXAMPLES.ids, begin_id=1, each=True)
    assert each.take(np.array([0, 1])).targets.tolist() == [[0, 1, IGNORE], [2, 3, 4]]
    assert each.targets_in(np.array([0, 1])) == 5


def test_tokens_without_a_target_are_none_of_them():
    each = ArrayExamples(np.array([0, IGNORE, 2, IGNORE, 4, 5]), EXAMPLES.starts, EXAMPLES.ids, begin_id=1, each=True)
    assert each.targets_in(np.array([0, 1])) == 3
    assert each.some(np.array([1])).targets_in(np.array([0])) == 2


def test_batches_by_length_hold_every_row_once_and_few_tokens():
    lengths = np.random.default_rng(0).integers(1, 200, 500)
    batches = by_length(lengths, 64, 2000)
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    assert all(len(batch) == 1 or lengths[batch].max() * len(batch) <= 2000 for batch in batches)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 999])
def test_a_share_of_each_group_is_held_back(count: int):
    groups = np.arange(count) % 3 if count > 9 else None
    kept, held = split_rows(count, 0.1, 0, groups)
    assert sorted([*kept, *held]) == list(range(count))
    assert count == 1 or (len(held) and len(kept))
    if count == 999 and groups is not None:
        assert np.bincount(groups[held]).tolist() == pytest.approx([33.3] * 3, abs=1)
    assert [part.tolist() for part in split_rows(count, 0.1, 0, groups)] == [kept.tolist(), held.tolist()]
