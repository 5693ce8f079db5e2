"""A net that looks back at its states, beside a plain loop over them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from seqtool.errors import UsageError
from seqtool.models.cached import Cached
from seqtool.models.predictor import advance
from seqtool.scoring.scorer import Scorer
from tests.models.test_mixture import BEGIN, V, net, text

CARRYING = pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
WEIGHT, FLATNESS = 0.3, 2.0


def cached(name: str = "lstm", size: int = 7) -> Cached:
    return Cached(net(name), size, WEIGHT, FLATNESS)


@torch.inference_mode()
def by_a_loop(model: Cached, ids: list[int], size: int) -> list[np.ndarray]:
    """p of all tokens after each of the ids."""
    features = model.net.features(torch.tensor([ids]), None)[0][0]
    p_TV = model.net.head(features).softmax(-1).double().numpy()
    found = []
    for t in range(len(ids)):
        held = range(max(0, t - size), t)
        mixed = p_TV[t]
        if len(held):
            scores = np.array([FLATNESS * float(features[t].double() @ features[i].double()) for i in held])
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            from_cache = np.zeros(V)
            for i, share in zip(held, shares, strict=True):
                from_cache[ids[i + 1]] += share
            mixed = (1 - WEIGHT) * p_TV[t] + WEIGHT * from_cache
        found.append(mixed)
    return found


@CARRYING
def test_it_is_what_a_plain_loop_computes(name: str):
    ids = text(1, 40)
    model = cached(name)
    expected = by_a_loop(model, [BEGIN, *ids.tolist()], 7)
    scored = Scorer(model).score(ids, [0])
    assert scored == pytest.approx(
        [-math.log(p[token]) for p, token in zip(expected, ids.tolist(), strict=False)], abs=1e-4
    )


@CARRYING
def test_no_score_depends_on_what_follows_nor_on_how_the_text_arrives(name: str):
    model, ids = cached(name), text(2, 60)
    whole = Scorer(model).score(ids, [0, 25])
    other = ids.copy()
    other[40:] = 3
    assert Scorer(model).score(other, [0, 25])[:40] == pytest.approx(whole[:40], abs=1e-6)
    scorer = Scorer(model, batch_size=1)
    pieces = [scorer.score(ids[:9], [0]), scorer.score(ids[9:30], [16]), scorer.score(ids[30:], [])]
    assert np.concatenate(pieces) == pytest.approx(whole, abs=1e-5)


@torch.inference_mode()
def test_the_stepper_and_all_tokens_at_once_are_the_loop_and_sum_to_1():
    model = cached(size=3)
    stepper, texts = model.stepper(), [[3, 4], [2]]
    log_p_BV = stepper.begin(texts)
    for chosen in text(3, 8).tolist():
        for row, known in enumerate(texts):
            expected = by_a_loop(model, [BEGIN, *known], 3)[-1]
            assert log_p_BV[row].exp().numpy() == pytest.approx(expected, abs=1e-5)
            assert float(log_p_BV[row].double().exp().sum()) == pytest.approx(1, abs=1e-6)
            known.append(chosen)
        log_p_BV = advance(stepper, texts, torch.tensor([chosen, chosen]), log_p_BV)
    stepper.keep(torch.tensor([1, 1]))
    log_p_BV = stepper.step(torch.tensor([5, 5]))
    assert log_p_BV[0].tolist() == log_p_BV[1].tolist()
    stepper.read_again([0], [[3]], log_p_BV)
    assert log_p_BV[0].tolist() == model.stepper().begin([[3]])[0].tolist()
    assert model.stepper(barred=4).begin([[3]])[0, 4] == -math.inf
    with pytest.raises(UsageError, match="fp32"):
        model.stepper("int8")


def test_a_text_that_repeats_itself_is_told_better():
    ids = np.tile(text(4, 30), 5)
    model = Cached(net("lstm"), 100, 0.5, 50.0)
    assert Scorer(model).score(ids, [0])[60:].mean() < Scorer(model.net).score(ids, [0])[60:].mean() - 0.3
