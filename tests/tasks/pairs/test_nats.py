"""Nats of texts: of each what it has alone, and never of more at once than fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtool.models.loss import token_nats
from seqtool.tasks.pairs.nats import arrays_of, pair_nats
from tests.models.writers import OF_NUMBERS, read, writer
from tests.tasks.pairs.test_task import PAIRS


def test_nats_of_pairs_are_those_of_each_alone():
    model = writer("lstm bahdanau")
    together = pair_nats(model, PAIRS, np.array([2, 0, 1, 3]))
    for place, row in enumerate([2, 0, 1, 3]):
        taken = PAIRS.take(np.array([row]))
        alone = token_nats(model(taken.x, taken.inputs_BT), taken.targets_BT).sum()
        torch.testing.assert_close(together[place].float(), alone, rtol=1e-5, atol=1e-5)
    assert pair_nats(model, PAIRS, np.arange(4), stopped=lambda: True) is None


@pytest.mark.parametrize("numbers", [False, True])
def test_what_was_taken_is_arrays_again(numbers: bool):
    x = read(OF_NUMBERS) if numbers else read()
    again = arrays_of(x).some(np.array([2, 2, 0])).take(np.arange(3)).x
    expected = x.take(torch.tensor([2, 2, 0]))
    assert again.lengths_B.tolist() == expected.lengths_B.tolist()
    if numbers:
        assert torch.equal(again.numbers_BN, expected.numbers_BN)
        assert torch.equal(again.categories_BC, expected.categories_BC)
        return
    for row, length in enumerate(again.lengths_B.tolist()):
        assert torch.equal(again.ids_BTK[row, :length], expected.ids_BTK[row, :length])
