"""Inside a net: the units and the attention are those that it computes with, and a unit made to follow a text is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtool.models import delta_rule
from seqtool.models.cores import mixers
from seqtool.models.state import State
from seqtool.scoring.inside import Units, attention_shares, correlations, followers, gates, hidden_units, properties
from tests.zoo import ZOO, V, zoo_model

IDS = np.random.default_rng(0).integers(3, V, 20).astype(np.uint8)


@pytest.mark.parametrize("name", [name for name in ZOO if "transformer" not in name and "ffn" not in name])
def test_units_are_what_the_model_carries_on(name: str):
    """The last hidden state of a recurrent net is what it answers with, for a whole text at once."""
    model = zoo_model(name)
    units = hidden_units(model, IDS, [0, 12])
    if "gdn" in name:
        assert units is None
        return
    with torch.inference_mode():
        read = torch.tensor([[model.begin_id, *IDS[:12].tolist()]])
        features_BTH, state = model.features(read)
    assert len(units.names) == units.values_TU.shape[1]
    assert units.names[0] == "layer 1, hidden 1"
    vectors = [part[0] for layer in state for part in layer if part.dim() == 2 and part.is_floating_point()]
    np.testing.assert_allclose(units.values_TU[11], torch.cat(vectors).numpy(), atol=1e-5)
    if name.startswith(("rnn", "gru")):
        width = features_BTH.shape[2]
        np.testing.assert_allclose(units.values_TU[:12, -width:], features_BTH[0, 1:].numpy(), atol=1e-5)
    again = hidden_units(model, IDS[12:], [0])
    np.testing.assert_allclose(units.values_TU[12:], again.values_TU, atol=1e-5)


def carried(name: str) -> tuple[list[State], list[dict[str, np.ndarray]]]:
    """What a net carries on after `<s>` and after each token, stepped a token at a time as `generate` does, and its gates."""
    model = zoo_model(name)
    stepper = model.stepper()
    states = []
    with torch.inference_mode():
        stepper.begin([[]])
        for index in [None, *IDS.tolist()]:
            if index is not None:
                stepper.step(torch.tensor([index]))
            states.append([tuple(part.clone() for part in layer) for layer in stepper._steps._state])
    return states, gates(model, IDS, [0])


def by_token(states: list[State], layer: int, part: int = 0) -> np.ndarray:
    return np.stack([state[layer][part][0].float().numpy() for state in states])


@pytest.mark.parametrize("name", ["lstm", "lstm one-hot", "lstm tied"])
def test_gates_of_an_lstm_make_the_cells_that_the_stepper_carries(name: str):
    """c_t - f c_(t-1) lies within i, and h_t = o tanh(c_t)."""
    states, found = carried(name)
    for number, layer in enumerate(found):
        h, c = by_token(states, number), by_token(states, number, 1)
        np.testing.assert_allclose(layer["output"] * np.tanh(c[1:]), h[1:], atol=1e-5)
        assert (np.abs(c[1:] - layer["forget"] * c[:-1]) <= layer["input"] + 1e-5).all()
        written = (c[1:] - layer["forget"] * c[:-1]) / layer["input"]
        x = candidates(name, number, h)
        np.testing.assert_allclose(written, np.tanh(x), atol=1e-4)


def candidates(name: str, number: int, h: np.ndarray) -> np.ndarray:
    """What an lstm's layer offers its cells, before tanh, by its weights."""
    model = zoo_model(name)
    W_ih, W_hh, b_ih, b_hh = (weight.detach().numpy() for weight in model.core.layers[number].weights)
    rows = slice(2 * h.shape[1], 3 * h.shape[1])
    if number:
        below, _ = carried(name)
        x_TG = by_token(below, number - 1)[1:] @ W_ih[rows].T
    elif model.inputs.embedding is None:
        x_TG = W_ih[rows].T[IDS]
    else:
        x_TG = model.inputs.embedding.weight.detach().numpy()[IDS] @ W_ih[rows].T
    return x_TG + b_ih[rows] + h[:-1] @ W_hh[rows].T + b_hh[rows]


@pytest.mark.parametrize("name", ["gru", "gru one-hot"])
def test_gates_of_a_gru_make_the_states_that_the_stepper_carries(name: str):
    """h_t = (1 - z) n + z h_(t-1), where n is told by r."""
    states, found = carried(name)
    model = zoo_model(name)
    for number, layer in enumerate(found):
        h = by_token(states, number)
        W_ih, W_hh, b_ih, b_hh = (weight.detach().numpy() for weight in model.core.layers[number].weights)
        rows = slice(2 * h.shape[1], None)
        if number:
            x_TG = by_token(states, number - 1)[1:] @ W_ih[rows].T
        elif model.inputs.embedding is None:
            x_TG = W_ih[rows].T[IDS]
        else:
            x_TG = model.inputs.embedding.weight.detach().numpy()[IDS] @ W_ih[rows].T
        n = np.tanh(x_TG + b_ih[rows] + layer["reset"] * (h[:-1] @ W_hh[rows].T + b_hh[rows]))
        z = layer["update"]
        np.testing.assert_allclose((1 - z) * n + z * h[:-1], h[1:], atol=1e-5)


@pytest.mark.parametrize("name", ["mingru", "mingru signed"])
def test_the_decay_of_a_mingru_is_what_the_step_in_c_keeps_by(name: str):
    """h_t = decay h_(t-1) + (1 - decay) candidate: two runs that differ in h alone differ by decay afterwards."""
    model = zoo_model(name)
    found = gates(model, IDS, [0])
    states, _ = carried(name)
    with torch.inference_mode():
        ids = torch.tensor([[model.begin_id, *IDS.tolist()]])
        x, _ = model.inputs(ids, None)
        y = x.dense()
        for number, layer in enumerate(model.core.layers):
            _, offered = layer.mixer.gates_candidates(layer.mixer_norm(y)).chunk(2, dim=-1)
            y, _ = layer(y, None)
            h, decay = by_token(states, number), found[number]["decay"]
            expected = decay * h[:-1] + (1 - decay) * offered[0, 1:].numpy()
            np.testing.assert_allclose(expected, h[1:], atol=1e-5)


@pytest.mark.parametrize("name", ["gdn", "gdn of 2 mirrors tied", "gdn and attention"])
def test_gates_of_a_gdn_are_those_that_its_rule_is_given(name: str, monkeypatch: pytest.MonkeyPatch):
    given = []

    def rule(qkv, log_alpha, beta, table):
        given.append((log_alpha.exp()[0, 1:].numpy(), beta[0, 1:].flatten(1).numpy()))
        return delta_rule.gated_delta_product(qkv, log_alpha, beta, table)

    model = zoo_model(name)
    found = [layer for layer in gates(model, IDS, [0]) if layer]
    monkeypatch.setattr(mixers, "gated_delta_product", rule)
    with torch.inference_mode():
        model(torch.tensor([[model.begin_id, *IDS.tolist()]]))
    assert len(found) == len(given)
    for layer, (decay, beta) in zip(found, given, strict=True):
        np.testing.assert_allclose(layer["decay"], decay, atol=1e-5)
        np.testing.assert_allclose(layer["writing"], beta, atol=1e-5)


def test_gates_begin_anew_with_a_document_and_an_rnn_has_none():
    model = zoo_model("gru")
    whole, again = gates(model, IDS, [0, 12]), gates(model, IDS[12:], [0])
    for layer, own in zip(whole, again, strict=True):
        np.testing.assert_allclose(layer["reset"][12:], own["reset"], atol=1e-6)
        assert layer["reset"].shape == (len(IDS), 16)
    assert gates(zoo_model("rnn tanh"), IDS, [0]) == gates(zoo_model("ffn"), IDS, [0]) == []
    assert gates(zoo_model("transformer plain"), IDS, [0]) == []


@pytest.mark.parametrize("name", [name for name in ZOO if "transformer" in name])
def test_attention_is_what_the_model_gathers_with(name: str):
    model = zoo_model(name, layers=2)
    looks_LHTT = attention_shares(model, IDS)
    assert looks_LHTT.shape == (2, 2, len(IDS), len(IDS))
    np.testing.assert_allclose(looks_LHTT.sum(-1), 1, atol=1e-5)
    assert not np.triu(looks_LHTT, 1).any()
    seen = []

    def keep(module, given, returned):
        x_BTC = given[0]
        values_BTGD = module.queries_keys_values(x_BTC).split(module.widths, dim=-1)[2].unflatten(-1, (-1, 8))
        values_HTD = values_BTGD[0].transpose(0, 1).repeat_interleave(module.sharing, 0)
        seen.append((values_HTD, returned[0][0], module.output))

    for layer in model.core.layers:
        layer.attention.register_forward_hook(keep)
    with torch.inference_mode():
        model(torch.tensor([[model.begin_id, *IDS[:-1].tolist()]]))
        for number, (values_HTD, gathered_TC, output) in enumerate(seen):
            expected = output((torch.from_numpy(looks_LHTT[number]) @ values_HTD).transpose(0, 1).flatten(1))
            np.testing.assert_allclose(gathered_TC.numpy(), expected.numpy(), atol=1e-5)


def test_nets_without_one_or_the_other_have_none():
    assert hidden_units(zoo_model("transformer plain"), IDS, [0]) is None
    assert hidden_units(zoo_model("ffn"), IDS, [0]) is None
    assert attention_shares(zoo_model("lstm"), IDS) is None


def test_properties_are_those_after_each_piece():
    pieces = ["if ", "x:", "\n", "  \t", "y", '"a', 'b"', "\n", "“a", "\n\n", "b"]
    found = properties(pieces)
    assert found["inside quotes"].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0]
    assert found["place in the line"].tolist() == [3, 5, 0, 3, 4, 6, 8, 0, 2, 0, 1]
    assert found["indentation"].tolist() == [0, 0, 0, 10, 10, 10, 10, 0, 0, 0, 0]


def test_a_unit_that_follows_is_found_on_one_half_and_judged_on_the_other():
    random = np.random.default_rng(1)
    values_TU = random.standard_normal((400, 6)).astype(np.float32)
    place_T = np.arange(400) % 17.0
    values_TU[:, 4] = -2 * place_T
    values_TU[:200, 2] = place_T[:200] + 3 * random.standard_normal(200)  # follows it on the first half only
    values_TU[:, 5] = 1.0
    units = Units([f"unit {number}" for number in range(6)], values_TU)
    first, second = followers(units, {"place in the line": place_T, "never": np.zeros(400)}, 2)
    assert (first.unit, first.name, first.property) == (4, "unit 4", "place in the line")
    assert first.r == pytest.approx(-1)
    assert second.unit == 2
    assert abs(second.r) < 0.3
    expected = [np.corrcoef(values_TU[:, unit], place_T)[0, 1] for unit in range(5)]
    assert correlations(values_TU, place_T)[:5] == pytest.approx(expected)
    assert correlations(values_TU, place_T)[5] == 0
