from __future__ import annotations

import math

import pytest
import torch

from seqtool.errors import UsageError
from seqtool.models.cores.recurrent import Recurrent
from seqtool.models.loss import IGNORE, token_nats, total_nats
from seqtool.models.size import parameter_count
from seqtool.models.state import take_rows
from seqtool.settings.checking import check
from seqtool.settings.model import ModelConfig, Symbols
from tests.zoo import BEGIN, ZOO, V, zoo_model

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


def test_a_transformer_refuses_more_than_its_context():
    model = zoo_model("transformer rope swiglu rms")
    _, state = model(torch.zeros(1, 20, dtype=torch.long))
    with pytest.raises(ValueError, match="context of 24"):
        model(torch.zeros(1, 5, dtype=torch.long), state)


@EVERY
def test_unseen_symbols_share_one_count(name: str):
    """17 of 30 symbols occur in a text of 1,000 tokens: the other 13 get 1/1001 of the probability, in equal parts."""
    model = zoo_model(name, seen=17, vocab_size=30)
    probabilities = model(torch.randint(30, (2, 5)))[0].softmax(-1)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(2, 5))
    torch.testing.assert_close(probabilities[..., 17:].sum(-1), torch.full((2, 5), 1 / 1001))
    torch.testing.assert_close(probabilities[..., 17:], torch.full((2, 5, 13), 1 / 1001 / 13))


def test_the_first_guess_is_the_frequency_of_symbols():
    model = zoo_model("lstm")
    model.head.output.weight.data.zero_()
    counts = torch.arange(1, V + 1) + 0.1
    torch.testing.assert_close(model(torch.zeros(1, 1, dtype=torch.long))[0].softmax(-1)[0, 0], counts / counts.sum())


def test_tied_weights_are_one():
    tied, untied = zoo_model("lstm tied"), zoo_model("lstm tied", tied=False)
    assert tied.head.weight is tied.inputs.embedding.weight
    assert "output.weight" not in tied.state_dict()
    assert (
        parameter_count(untied.config, untied.symbols) - parameter_count(tied.config, tied.symbols) == V * 16 - 12 * 16
    )


def test_identity_initialisation():
    model = zoo_model("rnn relu identity")
    assert isinstance(model.core, Recurrent)
    kernel = model.core.layers[0].kernel
    assert torch.equal(kernel.weight_hh_l0, torch.eye(16))
    assert not kernel.bias_ih_l0.any()
    assert not kernel.bias_hh_l0.any()


def test_orthogonal_initialisation_is_by_gate_and_forget_bias_is_set():
    model = zoo_model("lstm", init="orthogonal", forget_bias=1.5)
    kernel = model.core.layers[0].kernel
    for W in kernel.weight_hh_l0.split(16):
        torch.testing.assert_close(W @ W.T, torch.eye(16), rtol=1e-5, atol=1e-5)
    assert torch.equal(
        kernel.bias_ih_l0 + kernel.bias_hh_l0, torch.cat([torch.zeros(16), torch.full((16,), 1.5), torch.zeros(32)])
    )


def test_the_same_seed_gives_the_same_weights():
    first, second, other = zoo_model("gru", seed=1), zoo_model("gru", seed=1), zoo_model("gru", seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.inputs.embedding.weight, other.inputs.embedding.weight)


def test_dropout_acts_in_training_only():
    model = zoo_model("lstm", dropout=0.5)
    ids = torch.zeros(1, 4, dtype=torch.long)
    assert torch.equal(model(ids)[0], model(ids)[0])
    model.train()
    assert not torch.equal(model(ids)[0], model(ids)[0])


def test_the_loss_is_minus_the_logarithm_of_the_probability():
    logits = torch.tensor([[[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]]])
    targets = torch.tensor([[1, IGNORE]])
    expected = -math.log(math.exp(2) / (math.exp(1) + math.exp(2) + math.exp(0.5)))
    assert token_nats(logits, targets).tolist() == [[pytest.approx(expected), 0.0]]
    assert total_nats(logits, targets).item() == pytest.approx(expected)


def test_sizes_beyond_reason_are_refused_before_memory_is_taken():
    with pytest.raises(UsageError, match="choose smaller"):
        parameter_count(ModelConfig(hidden=65536, layers=512), Symbols(10_000_000, BEGIN, 10_000_000, 10))


@EVERY
@pytest.mark.parametrize("changes", [{}, {"layers": 3}, {"embed": 8}, {"tied": True}])
def test_the_count_of_parameters_is_the_models(name: str, changes: dict):
    settings = {"hidden": 16, "layers": 1, "context": 24, "heads": 2, **ZOO[name], **changes}
    if check(ModelConfig(**settings)):
        pytest.skip("these settings do not go together")
    model = zoo_model(name, seen=17, vocab_size=30, **changes)
    assert parameter_count(model.config, model.symbols) == sum(p.numel() for p in model.parameters())
