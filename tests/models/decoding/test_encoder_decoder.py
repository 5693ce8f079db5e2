"""A text for what is read, a token at a time: the model's own probabilities, whatever stands beside it."""

from __future__ import annotations

import pytest
import torch

from seqtool.models.decoding.encoder_decoder import WritingStepper
from tests.models.writers import OF_NUMBERS, OF_TEXT, WRITERS, read, told, writer

KEYS = [(row,) for row in range(5)]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("shape", [OF_TEXT, OF_NUMBERS])
def test_steps_give_what_the_model_gives(name: str, shape: object):
    model, ids_BT = writer(name, shape), told(shape)
    whole = model(read(shape), ids_BT).log_softmax(-1)
    stepper = WritingStepper(model, read(shape), KEYS)
    rows = [3, 0, 3, 4]  # one is asked for twice
    torch.testing.assert_close(stepper.begin([KEYS[row] for row in rows]), whole[rows, 0], rtol=0, atol=1e-5)
    torch.testing.assert_close(stepper.step(ids_BT[rows, 1]), whole[rows, 1], rtol=0, atol=1e-5)
    stepper.keep(torch.tensor([0, 2, 1, 1]))  # beams of the same, then others
    kept = [3, 3, 0, 0]
    torch.testing.assert_close(stepper.step(ids_BT[kept, 2]), whole[kept, 2], rtol=0, atol=1e-5)
    stepper.keep(torch.tensor([1, 0, 2, 3]))
    torch.testing.assert_close(stepper.step(ids_BT[kept, 3]), whole[kept, 3], rtol=0, atol=1e-5)
    assert stepper.room is None
    assert not stepper.full


def test_a_barred_symbol_is_never_likely():
    stepper = WritingStepper(writer("gru luong"), read(), KEYS, barred=4)
    assert bool((stepper.begin(KEYS)[:, 4] == -torch.inf).all())
    with pytest.raises(NotImplementedError):
        stepper.read_again([0], [(0,)], torch.zeros(1, 11))
