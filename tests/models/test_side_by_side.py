"""Several models on one text: each says what it says alone, and has its own part of the state."""

from __future__ import annotations

import pytest
import torch

from seqtool.models.side_by_side import SideBySide
from tests.models.test_mixture import BEGIN, EVERY


@EVERY
@torch.inference_mode()
def test_each_says_what_it_says_alone(models):
    parts = models()
    together = SideBySide(parts)
    ids_BT, targets_BT = torch.tensor([[BEGIN, 3, 4]]), torch.tensor([[3, 4, 5]])
    nats, state = together.next_nats(ids_BT, targets_BT, None)
    log_p, again = together.log_p(ids_BT, None)
    assert len(state) == len(again)
    for part, own, all_of_it in zip(parts, nats, log_p, strict=True):
        assert own.tolist() == part.next_nats(ids_BT, targets_BT, None)[0].tolist()
        assert all_of_it.double().exp().sum(dim=-1).numpy() == pytest.approx(1, abs=1e-5)
        picked = all_of_it.gather(2, targets_BT[..., None])[..., 0]
        assert (-picked).numpy() == pytest.approx(own.numpy(), abs=1e-5)
    more, _ = together.next_nats(torch.tensor([[5]]), torch.tensor([[2]]), state)
    for part, own in zip(parts, more, strict=True):
        whole, _ = part.next_nats(torch.tensor([[BEGIN, 3, 4, 5]]), torch.tensor([[3, 4, 5, 2]]), None)
        assert float(own[0, 0]) == pytest.approx(float(whole[0, -1]), abs=1e-5)


@EVERY
@torch.inference_mode()
def test_steppers_give_each_models_log_p(models):
    parts = models()
    together, alone = SideBySide(parts).steppers("fp32"), [part.stepper() for part in parts]
    assert together.context == SideBySide(parts).context
    for told, expected in (
        (together.begin([[3], [4, 2]]), [one.begin([[3], [4, 2]]) for one in alone]),
        (together.step(torch.tensor([5, 6])), [one.step(torch.tensor([5, 6])) for one in alone]),
    ):
        for own, other in zip(told, expected, strict=True):
            assert own.tolist() == other.tolist()
    assert together.full == sorted({row for one in alone for row in one.full})
