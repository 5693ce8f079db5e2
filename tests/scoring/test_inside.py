"""Inside a net: the units and the attention are those that it computes with, and a unit made to follow a text is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtool.scoring.inside import Units, attention_shares, correlations, followers, hidden_units, properties
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
        values_BTHD = module.queries_keys_values(x_BTC).chunk(3, dim=-1)[2].unflatten(-1, (2, -1))
        seen.append((values_BTHD[0].transpose(0, 1), returned[0][0], module.output))

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
