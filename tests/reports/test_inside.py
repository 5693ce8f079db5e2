"""Inside the model, on the page: the values are those of the units and of attention, only where there are any."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from seqtool.reports.inside import SHARES, inside
from seqtool.scoring.inside import attention_shares, followers, gates, hidden_units, properties
from seqtool.scoring.surprise import CloseReading
from tests.zoo import V, zoo_model

PIECES = ["if", " ", "x:", "\n", "  ", '"a', 'b"', "\n"] * 10


def reading() -> CloseReading:
    ids = np.random.default_rng(0).integers(3, V, len(PIECES)).astype(np.uint8)
    likely, p = np.zeros((len(ids), 10), np.int64), np.zeros((len(ids), 10), np.float32)
    return CloseReading(ids, [0, 50], [], np.ones(len(ids), np.float32), likely, p, True)


def test_units_are_told_with_the_values_that_they_had():
    model, read = zoo_model("lstm"), reading()
    told = inside(model, read, PIECES, 60)
    units = hidden_units(model, read.ids, read.starts)
    found = followers(units, properties(PIECES), 3)
    assert [unit["name"].split(":")[0] for unit in told["units"]] == [one.name for one in found]
    assert (told["unit_tokens"], told["unit_count"]) == (80, len(units.names))
    for unit, one in zip(told["units"], found, strict=True):
        assert f"{one.property}, r {one.r:.2f}" in unit["name"]
        values = np.array(unit["values"]) * unit["largest"] / 100
        np.testing.assert_allclose(values, units.values_TU[:60, one.unit], atol=0.006 * unit["largest"])
    assert "attention" not in told
    assert len(told["gates"]) == 2 * 3
    forget = told["gates"][4]
    mean_T = gates(model, read.ids[:60], [0, 50])[1]["forget"].mean(1)
    assert (forget["name"], forget["low"]) == ("layer 2, forget gates", pytest.approx(float(mean_T.min())))
    shown = forget["low"] + np.array(forget["values"]) * (forget["high"] - forget["low"]) / 100
    np.testing.assert_allclose(shown, mean_T, atol=0.006 * (forget["high"] - forget["low"]))


def test_attention_is_told_up_to_the_context_and_the_document():
    model, read = zoo_model("transformer plain", layers=2), reading()
    told = inside(model, read, PIECES, 60)["attention"]
    assert (told["layers"], told["heads"], told["tokens"]) == (2, 2, 24)
    shares = np.frombuffer(base64.b64decode(told["shares"]), np.uint8).reshape(2, 2, 24, 24) / 255
    np.testing.assert_allclose(shares, attention_shares(model, read.ids[:24]), atol=0.003)
    assert SHARES >= 4 * 24**2
    assert inside(model, read._replace(starts=[0, 7]), PIECES, 60)["attention"]["tokens"] == 7
    assert "units" not in inside(model, read, PIECES, 60)


def test_others_have_neither():
    assert inside(zoo_model("ffn"), reading(), PIECES, 60) == {}
    assert set(inside(zoo_model("gdn"), reading(), PIECES, 60)) == {"gates"}
    assert set(inside(zoo_model("rnn tanh"), reading(), PIECES, 60)) == {"units", "unit_tokens", "unit_count"}
