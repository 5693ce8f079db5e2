"""Pairs as arrays: what a decoder is given and what it is to tell."""

from __future__ import annotations

import numpy as np
import torch

from seqtool.models.loss import IGNORE
from seqtool.tasks.examples.sets import ArrayExamples
from seqtool.tasks.pairs.sets import PairSet

BEGIN = 1
SOURCE = ArrayExamples(np.zeros(3, np.int64), np.array([0, 2, 3, 7]), np.arange(10, 17).reshape(-1, 1), begin_id=BEGIN)
PAIRS = PairSet(SOURCE, np.array([0, 3, 3, 4]), np.array([5, 6, 7, 8]), BEGIN)


def test_a_text_is_given_behind_its_beginning_and_told_with_its_end():
    taken = PAIRS.take(np.array([2, 0, 1]))
    assert taken.inputs_BT.tolist() == [[BEGIN, 8, BEGIN, BEGIN], [BEGIN, 5, 6, 7], [BEGIN] * 4]
    assert taken.targets_BT.tolist() == [
        [8, BEGIN, IGNORE, IGNORE],
        [5, 6, 7, BEGIN],
        [BEGIN, IGNORE, IGNORE, IGNORE],
    ]
    assert taken.x.lengths_B.tolist() == [4, 2, 1]
    part = taken.part(slice(0, 1))
    assert part.targets_BT.tolist() == [[8, BEGIN]]
    assert part.inputs_BT.shape == (1, 2)
    assert part.x.ids_BTK.shape == (1, 4, 1)
    assert part.to(torch.device("cpu")).inputs_BT.tolist() == [[BEGIN, 8]]


def test_lengths_are_those_of_the_longer_side_and_some_are_some():
    assert PAIRS.lengths_N.tolist() == [4, 1, 4]
    assert PAIRS.targets_in(np.array([0, 1])) == 5
    some = PAIRS.some(np.array([2, 1])).some(np.array([0]))
    assert len(some) == 1
    assert some.target_lengths_N.tolist() == [2]
    assert some.take(np.array([0])).targets_BT.tolist() == [[8, BEGIN]]
    assert some.targets_in(np.array([0])) == 2
