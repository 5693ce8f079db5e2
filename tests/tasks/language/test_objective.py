"""What is minimised beside the nats, against torch's own losses and the formulas of the papers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from seqtool.models.loss import IGNORE
from seqtool.settings.training import TrainConfig
from seqtool.tasks.language.objective import Objective
from tests.zoo import V, zoo_model

IDS = torch.randint(2, V, (3, 9), generator=torch.Generator().manual_seed(0))
INPUTS, TARGETS = IDS[:, :-1], IDS[:, 1:]


def objective(config: TrainConfig, name: str = "lstm", **options: object):
    return Objective(zoo_model(name), config)(None, INPUTS, TARGETS, options.get("advance", 8))


def test_without_penalties_it_is_the_nats():
    total, nats, _ = objective(TrainConfig())
    logits, _ = zoo_model("lstm")(INPUTS)
    assert (
        total.item()
        == nats.item()
        == pytest.approx(F.cross_entropy(logits.flatten(0, 1), TARGETS.flatten(), reduction="sum").item())
    )


def test_label_smoothing_is_torchs():
    total, nats, _ = objective(TrainConfig(label_smoothing=0.1))
    logits, _ = zoo_model("lstm")(INPUTS)
    expected = F.cross_entropy(logits.flatten(0, 1), TARGETS.flatten(), reduction="sum", label_smoothing=0.1)
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert nats.item() != total.item()


def test_z_loss_is_the_squared_log_of_the_denominator():
    total, nats, _ = objective(TrainConfig(z_loss=0.5))
    logits, _ = zoo_model("lstm")(INPUTS)
    assert (total - nats).item() == pytest.approx(0.5 * logits.logsumexp(-1).square().sum().item(), abs=2e-5)


def test_ar_and_tar_are_those_of_awd_lstm():
    """alpha * mean(dropped^2) + beta * mean((h[1:] - h[:-1])^2), per token; ours divides TAR by all tokens too."""
    total, nats, _ = objective(TrainConfig(ar=2.0, tar=1.0))
    h = zoo_model("lstm").read(INPUTS).features_BTH
    tokens = INPUTS.numel()
    ar = 2.0 * h.square().mean() * tokens
    tar = (h[:, 1:] - h[:, :-1]).square().mean() * (h[:, 1:].shape[0] * h[:, 1:].shape[1])
    assert (total - nats).item() == pytest.approx((ar + tar).item(), rel=1e-5)


def test_what_is_ignored_is_not_punished():
    config = TrainConfig(ar=2.0, tar=1.0, label_smoothing=0.1, z_loss=0.1)
    targets = TARGETS.clone()
    targets[:, 4:] = IGNORE
    module = Objective(zoo_model("lstm"), config)
    cut = module(None, INPUTS[:, :4], TARGETS[:, :4], 4)[0]
    padded = module(None, INPUTS, targets, 8)[0]
    assert padded.item() == pytest.approx(cut.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn tanh", "ffn"])
def test_k1_and_k2_carry_the_state_after_k1_tokens(name: str):
    """Reading in two parts gives the same loss and gradients, and the state in the middle."""
    whole, parts = Objective(zoo_model(name), TrainConfig()), Objective(zoo_model(name), TrainConfig())
    total, _, _ = whole(None, INPUTS, TARGETS, 8)
    total_in_parts, _, state = parts(None, INPUTS, TARGETS, 3)
    assert total_in_parts.item() == pytest.approx(total.item(), rel=1e-5)
    total.backward()
    total_in_parts.backward()
    for ours, theirs in zip(parts.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    _, expected = zoo_model(name)(INPUTS[:, :3])
    for ours, theirs in zip(state, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other)


def test_unseen_symbols_take_no_part_in_smoothing():
    model = zoo_model("lstm", seen=V, vocab_size=2 * V)
    total, nats, _ = Objective(model, TrainConfig(label_smoothing=0.1))(None, INPUTS, TARGETS, 8)
    logits = model(INPUTS)[0]
    added = 0.1 * (logits.gather(-1, TARGETS.unsqueeze(-1)).squeeze(-1) - logits[..., :V].mean(-1)).sum()
    assert (total - nats).item() == pytest.approx(added.item(), abs=2e-5)
