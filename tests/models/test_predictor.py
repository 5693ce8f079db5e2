"""Going on where a row is full: with the newest half of what it saw, read again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from seqtool.models.decoding.stepper import ModelStepper
from seqtool.models.predictor import advance
from tests.zoo import BEGIN, V, zoo_model

CONTEXT = 8


class FakeStepper:
    """Keeps what it is asked: a symbol's log p is the number of tokens that the row has read."""

    begin_id, context, room = BEGIN, CONTEXT, None

    def __init__(self, texts: Sequence[Sequence[int]]) -> None:
        self.texts = [list(text) for text in texts]

    @property
    def full(self) -> list[int]:
        return [row for row, text in enumerate(self.texts) if len(text) + 1 >= CONTEXT]

    def log_p(self) -> Tensor:
        return torch.tensor([[float(len(text))] * V for text in self.texts])

    def step(self, ids_B: Tensor) -> Tensor:
        for text, token in zip(self.texts, ids_B.tolist(), strict=True):
            text.append(token)
        return self.log_p()

    def read_again(self, rows: list[int], prompts: Sequence[Sequence[int]], log_p_BV: Tensor) -> None:
        for row, prompt in zip(rows, prompts, strict=True):
            self.texts[row] = list(prompt)
            log_p_BV[row] = float(len(prompt))


def advanced(*lengths: int) -> tuple[FakeStepper, Tensor, Tensor]:
    """Rows that have read texts of these lengths, moved on by a token; with log p before and after."""
    texts = [list(range(10, 10 + length)) for length in lengths]
    stepper, chosen = FakeStepper(texts), torch.tensor([2 + row for row in range(len(texts))])
    before = stepper.log_p()
    written = [[*text, token] for text, token in zip(texts, chosen.tolist(), strict=True)]
    return stepper, before, advance(stepper, written, chosen, before)  # type: ignore[arg-type]


def test_rows_with_room_take_a_step():
    stepper, _, log_p = advanced(3, 5)
    assert stepper.texts == [[10, 11, 12, 2], [10, 11, 12, 13, 14, 3]]
    assert log_p[:, 0].tolist() == [4, 6]


def test_full_rows_read_their_newest_half_again_with_the_token_chosen():
    stepper, before, log_p = advanced(7, 7)
    assert stepper.texts == [[14, 15, 16, 2], [14, 15, 16, 3]]
    assert log_p[:, 0].tolist() == [4, 4]
    assert before[:, 0].tolist() == [7, 7], "log p of before is still the caller's"


def test_a_full_row_comes_to_the_same_beside_one_with_room():
    stepper, _, log_p = advanced(2, 7)
    assert stepper.texts == [[10, 11, 2], [14, 15, 16, 3]]
    assert log_p[:, 0].tolist() == [3, 4]


@torch.inference_mode()
@pytest.mark.parametrize("others", [[], [[5, 6]]], ids=["alone", "beside another"])
def test_a_text_longer_than_the_context_goes_on_as_its_newest_half_would(others: list[list[int]]):
    model = zoo_model("transformer rope swiglu rms", context=CONTEXT)
    texts, stepper = [[3, 4, 5, 6, 7, 8, 9], *others], ModelStepper(model)
    log_p, chosen = stepper.begin(texts), torch.tensor([10] * len(texts))
    assert stepper.full == [0]
    log_p = advance(stepper, [[*text, 10] for text in texts], chosen, log_p)
    expected = model(torch.tensor([[BEGIN, 7, 8, 9, 10]]))[0][0, -1].log_softmax(-1)
    torch.testing.assert_close(log_p[0], expected, atol=1e-4, rtol=0)
