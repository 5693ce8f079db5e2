from __future__ import annotations

import pytest
import torch

from seqtool.models.loss import total_nats
from seqtool.models.state import take_rows
from tests.zoo import ZOO, V, zoo_model

EVERY = pytest.mark.parametrize("name", ZOO)


@EVERY
def test_a_future_token_never_changes_a_past_logit(name: str):
    model = zoo_model(name)
    ids = torch.randint(V, (2, 12), generator=torch.Generator().manual_seed(0))
    before, _ = model(ids)
    for place in (11, 6, 1):
        changed = ids.clone()
        changed[:, place] = (changed[:, place] + 3) % V
        after, _ = model(changed)
        torch.testing.assert_close(before[:, :place], after[:, :place], rtol=0, atol=0)
        assert not torch.allclose(before[:, place], after[:, place])


@EVERY
@pytest.mark.parametrize("sizes", [[1] * 12, [5, 7], [1, 1, 10], [11, 1]])
def test_reading_in_parts_on_the_state_is_reading_at_once(name: str, sizes: list[int]):
    model = zoo_model(name)
    ids = torch.randint(V, (2, 12), generator=torch.Generator().manual_seed(0))
    whole, _ = model(ids)
    state, parts = None, []
    for part in ids.split(sizes, dim=1):
        logits, state = model(part, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-5, atol=1e-5)


@EVERY
def test_rows_of_a_batch_do_not_know_each_other(name: str):
    model = zoo_model(name)
    ids = torch.randint(V, (3, 9), generator=torch.Generator().manual_seed(0))
    together, state = model(ids)
    alone, _ = model(ids[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-5, atol=1e-5)
    picked = take_rows(state, torch.tensor([2, 0]))
    next_ids = torch.tensor([[4], [5]])
    torch.testing.assert_close(
        model(next_ids, picked)[0],
        model(torch.tensor([[5], [6], [4]]), state)[0][[2, 0]],
        rtol=1e-5,
        atol=1e-5,
    )


@EVERY
def test_every_parameter_learns(name: str):
    model = zoo_model(name).train()
    ids = torch.randint(V, (4, 10), generator=torch.Generator().manual_seed(0))
    total_nats(model(ids)[0], ids.roll(-1, 1)).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", [name for name in ZOO if not name.startswith("transformer")])
def test_a_restarted_row_is_a_new_text(name: str):
    model = zoo_model(name)
    ids = torch.randint(V, (2, 8), generator=torch.Generator().manual_seed(0))
    _, state = model(ids)
    state = model.restarted(state, torch.tensor([False, True]))
    continued, _ = model(ids, state)
    anew, _ = model(ids)
    torch.testing.assert_close(continued[1], anew[1])
    if name != "ffn of one token":
        assert not torch.allclose(continued[0, 0], anew[0, 0])


def test_the_same_seed_gives_the_same_weights():
    first, second, other = zoo_model("gru", seed=1), zoo_model("gru", seed=1), zoo_model("gru", seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.inputs.embedding.weight, other.inputs.embedding.weight)
