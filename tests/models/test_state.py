"""States of every architecture: taken apart and put together by rows."""

from __future__ import annotations

import pytest
import torch

from seqtool.models.state import State, detached, joined, map_state, rows_of, take_rows
from tests.zoo import ZOO, V, zoo_model

EVERY = pytest.mark.parametrize("name", ZOO)
IDS = torch.randint(V, (4, 6), generator=torch.Generator().manual_seed(0))


def parts(state: State) -> list[torch.Tensor]:
    return [part for layer in state for part in layer]


@EVERY
def test_the_rows_of_a_state_joined_again_are_the_state(name: str):
    _, state = zoo_model(name)(IDS)
    whole = joined([rows_of(state, slice(0, 1)), rows_of(state, slice(1, 4))])
    assert list(map(len, whole)) == list(map(len, state))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(parts(whole), parts(state), strict=True))
    assert joined([state]) is state


@EVERY
def test_rows_are_taken_in_any_order_and_more_than_once(name: str):
    _, state = zoo_model(name)(IDS)
    rows = torch.tensor([3, 0, 3])
    for ours, theirs in zip(parts(take_rows(state, rows)), parts(state), strict=True):
        assert torch.equal(ours, theirs[rows])


def test_a_function_is_applied_to_each_tensor():
    state = ((torch.ones(2), torch.zeros(2)), (), (torch.ones(1),))
    doubled = map_state(lambda part: part * 2, state)
    assert [[part.tolist() for part in layer] for layer in doubled] == [[[2, 2], [0, 0]], [], [[2]]]


def test_truncation_cuts_gradients_but_not_the_state():
    """With one lane, a batch's first logits depend on the batch before, through the state alone."""
    model = zoo_model("lstm")
    _, state = model(torch.tensor([[3, 4, 5]]))
    assert all(part.requires_grad for part in parts(state))
    assert not any(part.requires_grad for part in parts(detached(state)))
    carried, _ = model(torch.tensor([[6]]), detached(state))
    fresh, _ = model(torch.tensor([[6]]))
    assert not torch.allclose(carried, fresh)
