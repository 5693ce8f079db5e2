from __future__ import annotations

import numpy as np
import pytest

from seqtool.errors import InputError
from seqtool.training.batches import RESTART_STEPS, Lanes, Windows

BEGIN = 999
IDS = np.arange(100, dtype=np.uint16)


def test_lanes_go_on_from_where_they_were():
    lanes = Lanes(IDS, batch_size=4, time=5, begin_id=BEGIN)
    first, second = lanes.batch(0), lanes.batch(1)
    assert first.inputs_BT.shape == first.targets_BT.shape == (4, 5)
    assert (first.inputs_BT[:, 0] == BEGIN).all()
    assert first.restarts_B.all()
    for batch in (first, second):
        assert np.array_equal(batch.inputs_BT[:, 1:], batch.targets_BT[:, :-1])
    going_on = ~second.restarts_B
    assert np.array_equal(second.inputs_BT[going_on, 0], first.targets_BT[going_on, -1])


def test_lanes_read_every_token_once_a_pass():
    lanes = Lanes(IDS, batch_size=4, time=5, begin_id=BEGIN)
    seen = np.concatenate([lanes.batch(step).targets_BT.ravel() for step in range(5)])
    assert sorted(seen.tolist()) == list(range(100))


def test_a_lane_goes_round_the_end_of_the_text():
    lanes = Lanes(IDS[:7], batch_size=1, time=5, begin_id=BEGIN)
    assert lanes.batch(1).targets_BT.tolist() == [[5, 6, 0, 1, 2]]


def test_each_lane_begins_afresh_in_its_turn():
    lanes = Lanes(IDS, batch_size=4, time=5, begin_id=BEGIN)
    restarts = np.stack([lanes.batch(step).restarts_B for step in range(1, RESTART_STEPS + 1)])
    assert restarts.sum(axis=0).tolist() == [1, 1, 1, 1]
    assert restarts.sum(axis=1).max() == 1


def test_windows_begin_with_the_beginning_and_cover_the_text():
    windows = Windows(IDS, batch_size=3, time=5, begin_id=BEGIN, seed=0)
    batches = [windows.batch(step) for step in range(6)]
    for batch in batches:
        assert (batch.inputs_BT[:, 0] == BEGIN).all()
        assert np.array_equal(batch.inputs_BT[:, 1:], batch.targets_BT[:, :-1])
        assert (np.diff(batch.targets_BT) == 1).all()
    seen = np.concatenate([batch.targets_BT.ravel() for batch in batches])
    assert len(set(seen.tolist())) == 90


def test_batches_are_functions_of_the_step():
    for make in (lambda: Windows(IDS, 3, 5, BEGIN, 0), lambda: Lanes(IDS, 3, 5, BEGIN)):
        forward = [make().batch(step) for step in range(40)]
        one = make()
        for step in reversed(range(40)):
            for ours, theirs in zip(one.batch(step), forward[step], strict=True):
                assert np.array_equal(ours, theirs)


def test_seeds_shuffle_differently():
    first, second = (Windows(IDS, 3, 5, BEGIN, seed).batch(0).targets_BT for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_a_text_too_short_for_its_settings_is_refused():
    with pytest.raises(InputError, match="too short for --batch-size 4 and --bptt 200"):
        Lanes(IDS, 4, 200, BEGIN)
    with pytest.raises(InputError, match="too short for windows of 200"):
        Windows(IDS, 4, 200, BEGIN, 0)
