from __future__ import annotations

import numpy as np
import pytest

from seqtool.errors import InputError
from seqtool.models.loss import IGNORE
from seqtool.tasks.language.batches import (
    RESTART_STEPS,
    Chunks,
    DocumentLanes,
    DocumentWindows,
    Lanes,
    Resampled,
    Windows,
)

BEGIN = 999
ALL = slice(None)
IDS = np.arange(100, dtype=np.uint16)


def test_lanes_go_on_from_where_they_were():
    lanes = Lanes(IDS, batch_size=4, time=5, begin_id=BEGIN)
    first, second = lanes.batch(0, ALL), lanes.batch(1, ALL)
    assert first.inputs_BT.shape == first.targets_BT.shape == (4, 5)
    assert (first.inputs_BT[:, 0] == BEGIN).all()
    assert first.restarts_B.all()
    for batch in (first, second):
        assert np.array_equal(batch.inputs_BT[:, 1:], batch.targets_BT[:, :-1])
    going_on = ~second.restarts_B
    assert np.array_equal(second.inputs_BT[going_on, 0], first.targets_BT[going_on, -1])


def test_lanes_read_every_token_once_a_pass():
    lanes = Lanes(IDS, batch_size=4, time=5, begin_id=BEGIN)
    seen = np.concatenate([lanes.batch(step, ALL).targets_BT.ravel() for step in range(5)])
    assert sorted(seen.tolist()) == list(range(100))


def test_a_lane_goes_round_the_end_of_the_text():
    lanes = Lanes(IDS[:7], batch_size=1, time=5, begin_id=BEGIN)
    assert lanes.batch(1, ALL).targets_BT.tolist() == [[5, 6, 0, 1, 2]]


def test_each_lane_begins_afresh_in_its_turn():
    lanes = Lanes(IDS, batch_size=4, time=5, begin_id=BEGIN)
    restarts = np.stack([lanes.batch(step, ALL).restarts_B for step in range(1, RESTART_STEPS + 1)])
    assert restarts.sum(axis=0).tolist() == [1, 1, 1, 1]
    assert restarts.sum(axis=1).max() == 1


def test_windows_begin_with_the_beginning_and_cover_the_text():
    windows = Windows(IDS, batch_size=3, time=5, begin_id=BEGIN, seed=0)
    batches = [windows.batch(step, ALL) for step in range(6)]
    for batch in batches:
        assert (batch.inputs_BT[:, 0] == BEGIN).all()
        assert np.array_equal(batch.inputs_BT[:, 1:], batch.targets_BT[:, :-1])
        assert (np.diff(batch.targets_BT) == 1).all()
    seen = np.concatenate([batch.targets_BT.ravel() for batch in batches])
    assert len(set(seen.tolist())) == 90


def test_batches_are_functions_of_the_step():
    for make in (lambda: Windows(IDS, 3, 5, BEGIN, 0), lambda: Lanes(IDS, 3, 5, BEGIN)):
        forward = [make().batch(step, ALL) for step in range(40)]
        one = make()
        for step in reversed(range(40)):
            for ours, theirs in zip(one.batch(step, ALL), forward[step], strict=True):
                assert np.array_equal(ours, theirs)


def test_seeds_shuffle_differently():
    first, second = (Windows(IDS, 3, 5, BEGIN, seed).batch(0, ALL).targets_BT for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_a_text_too_short_for_its_settings_is_refused():
    with pytest.raises(InputError, match="too short for --batch-size 4 and --bptt 200"):
        Lanes(IDS, 4, 200, BEGIN)
    with pytest.raises(InputError, match="too short for windows of 200"):
        Windows(IDS, 4, 200, BEGIN, 0)


def test_rows_are_those_of_the_whole_batch_whoever_asks():
    makers = [
        lambda: Lanes(IDS, 4, 5, BEGIN),
        lambda: Lanes(IDS, 4, 6, BEGIN, advance=2),
        lambda: Lanes(IDS, 4, 12, BEGIN, jitter_seed=3),
        lambda: Windows(IDS, 4, 5, BEGIN, 0),
        lambda: DocumentLanes(chunks(5), 4, BEGIN),
        lambda: DocumentWindows(chunks(5), 4, BEGIN, 0),
    ]
    for make in makers:
        for step in (0, 3, 17):
            whole = make().batch(step, ALL)
            for rows in (slice(0, 2), slice(2, 4), slice(3, 4)):
                part = make().batch(step, rows)
                width = part.targets_BT.shape[1]
                assert np.array_equal(part.targets_BT, whole.targets_BT[rows, :width])
                assert np.array_equal(
                    part.inputs_BT[part.targets_BT != IGNORE], whole.inputs_BT[rows, :width][part.targets_BT != IGNORE]
                )
                assert np.array_equal(part.restarts_B, whole.restarts_B[rows])
                assert part.targets == whole.targets == (whole.targets_BT != IGNORE).sum()


def test_k1_and_k2_score_every_token_once():
    lanes = Lanes(IDS, batch_size=2, time=6, begin_id=BEGIN, advance=2)
    first = lanes.batch(0, ALL)
    assert first.advance == 2
    scored = [first.targets_BT.ravel()]
    for step in range(1, 23):
        batch = lanes.batch(step, ALL)
        assert (batch.targets_BT[:, :4] == IGNORE).all()
        assert batch.targets == 4
        assert batch.inputs_BT[0, 1] == (step * 2) % 100
        scored.append(batch.targets_BT[batch.targets_BT != IGNORE])
    assert sorted(np.concatenate(scored).tolist()) == list(range(100))


def test_jittered_lengths_join_and_are_distributed_as_awd_lstms():
    ids = np.arange(60_000, dtype=np.uint16)
    lanes = Lanes(ids, batch_size=2, time=70, begin_id=60_001, jitter_seed=0)
    position, sizes = 0, []
    for step in range(3000):
        batch = lanes.batch(step, ALL)
        assert batch.targets_BT[0, 0] == position % 60_000
        sizes.append(batch.targets_BT.shape[1])
        position += sizes[-1]
    whole = [size for size in sizes if size > 52]
    assert 0.93 < len(whole) / len(sizes) < 0.97
    assert abs(np.mean(whole) - 70) < 0.5
    assert abs(np.std(whole) - 5) < 0.5
    assert max(sizes) <= 90
    again = Lanes(ids, batch_size=2, time=70, begin_id=60_001, jitter_seed=0)
    assert np.array_equal(again.batch(2999, ALL).targets_BT, lanes.batch(2999, ALL).targets_BT)


DOCUMENTS = np.array([BEGIN, 1, 2, 3, BEGIN, BEGIN, 4, 5, 6, 7, 8, BEGIN, 9], dtype=np.uint16)


def chunks(time: int, ids: np.ndarray = DOCUMENTS) -> Chunks:
    return Chunks(ids, BEGIN, time)


def test_chunks_stay_within_documents():
    lanes = DocumentLanes(chunks(2), 1, BEGIN)
    assert lanes.steps_per_pass == 6
    rows = [[n for n in lanes.batch(step, ALL).targets_BT[0].tolist() if n != IGNORE] for step in range(6)]
    assert rows == [[1, 2], [3], [4, 5], [6, 7], [8], [9]]
    assert [bool(lanes.batch(step, ALL).restarts_B[0]) for step in range(6)] == [True, False, True, False, False, True]
    assert [int(lanes.batch(step, ALL).inputs_BT[0, 0]) for step in range(6)] == [BEGIN, 2, BEGIN, 5, 7, BEGIN]


def test_full_reads_whole_documents_once_a_pass():
    windows = DocumentWindows(chunks(5), 3, BEGIN, seed=1)
    batch = windows.batch(0, ALL)
    assert batch.targets == 9
    rows = sorted([n for n in row if n != IGNORE] for row in batch.targets_BT.tolist())
    assert rows == [[1, 2, 3], [4, 5, 6, 7, 8], [9]]
    assert (batch.inputs_BT[:, 0] == BEGIN).all()


def test_resampled_passes_go_on_where_they_should():
    def of_pass(number: int) -> Lanes:
        return Lanes(IDS[: 90 + number], 3, 5, BEGIN)

    resampled = Resampled(of_pass)
    assert resampled.steps_per_pass == 6
    for step in (0, 5, 6, 13, 2):
        text_pass, index = divmod(step, 6)
        ours, theirs = resampled.batch(step, ALL), of_pass(text_pass).batch(index, ALL)
        assert np.array_equal(ours.targets_BT, theirs.targets_BT)
