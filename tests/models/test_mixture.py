"""A mixture behind the protocol: the sum of what its models say, weighed, wherever and however it is asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtool.counts.counting import NgramCounts
from seqtool.counts.kneser_ney import estimate
from seqtool.errors import UsageError
from seqtool.models.counted import CountedModel
from seqtool.models.language_model import build_model
from seqtool.models.mixture import Mixture
from seqtool.models.predictor import Predictor, advance
from seqtool.scoring.scorer import Scorer
from seqtool.settings.model import ModelConfig, Symbols
from tests.counts.oracle import hostile_documents, joined

V, BEGIN = 12, 1
WEIGHTS = [0.3, 0.7]


def counted() -> CountedModel:
    counts = NgramCounts(joined(hostile_documents(0, V, BEGIN), BEGIN), V, BEGIN)
    counts.grow()
    counts.grow()
    return CountedModel(estimate(counts, 3))


def net(model: str, seed: int = 0, **settings: int) -> Predictor:
    config = ModelConfig(model=model, embed=8, hidden=8, heads=2, **settings)
    seen = {token: token + 1 for token in range(V) if token != 5}
    return build_model(config, Symbols(V, BEGIN, len(seen), 100), seen, seed).eval()


MIXTURES = {
    "counts and lstm": lambda: [counted(), net("lstm")],
    "two nets": lambda: [net("gru"), net("ffn", 1, context=3)],
    "counts and transformer": lambda: [counted(), net("transformer", context=8)],
    "lstm and transformer": lambda: [net("lstm"), net("transformer", context=6)],
}
EVERY = pytest.mark.parametrize("models", [make for make in MIXTURES.values()], ids=list(MIXTURES))


def text(seed: int, length: int) -> np.ndarray:
    ids = np.random.default_rng(seed).integers(0, V, length)
    return np.where(ids == BEGIN, 2, ids).astype(np.uint16)


@EVERY
@torch.inference_mode()
def test_all_next_symbols_sum_to_1_and_are_the_weighed_sum(models):
    parts = models()
    mixture = Mixture(parts, WEIGHTS)
    for prompt in ([], [3], text(4, 5).tolist()):
        log_p_V = mixture.stepper().begin([prompt])[0]
        assert float(log_p_V.double().exp().sum()) == pytest.approx(1, abs=1e-6)
        own = sum(w * part.stepper().begin([prompt])[0].exp() for w, part in zip(WEIGHTS, parts, strict=True))
        assert log_p_V.exp().numpy() == pytest.approx(own.numpy(), abs=1e-6)


@EVERY
def test_scoring_is_the_weighed_sum_of_what_each_makes_of_the_same_windows(models):
    parts = models()
    mixture = Mixture(parts, WEIGHTS)
    ids = text(1, 100)
    scored = Scorer(mixture).score(ids, [0, 40])
    p_MT = np.exp([-Scorer(Mixture([part], [1.0], mixture.context)).score(ids, [0, 40]) for part in parts])
    assert scored == pytest.approx(-np.log(WEIGHTS @ p_MT), rel=1e-4)
    if mixture.context is None:
        alone = np.exp([-Scorer(part).score(ids, [0, 40]) for part in parts])
        assert p_MT == pytest.approx(alone, rel=1e-5)


@EVERY
def test_no_score_depends_on_what_follows_nor_on_how_the_text_arrives(models):
    mixture = Mixture(models(), WEIGHTS)
    ids = text(2, 90)
    whole = Scorer(mixture).score(ids, [0])
    other = ids.copy()
    other[50:] = 3
    assert Scorer(mixture).score(other, [0])[:50] == pytest.approx(whole[:50], abs=1e-6)
    scorer = Scorer(mixture, batch_size=1)
    pieces = [scorer.score(ids[start : start + 7], [0] if start == 0 else []) for start in range(0, 90, 7)]
    assert np.concatenate(pieces) == pytest.approx(whole, abs=1e-5)


@EVERY
@torch.inference_mode()
def test_the_stepper_predicts_what_scoring_does(models):
    mixture = Mixture(models(), WEIGHTS)
    stepper, texts = mixture.stepper(), [[3, 4], [2, 2]]
    log_p_BV = stepper.begin(texts)
    most = (mixture.context or 100) - 4
    for chosen in text(3, min(most, 10)).tolist():
        for row, known in enumerate(texts):
            nats = Scorer(mixture).score(np.array([*known, chosen], np.uint16), [0])
            assert -float(log_p_BV[row, chosen]) == pytest.approx(float(nats[-1]), abs=1e-4)
            known.append(chosen)
        log_p_BV = advance(stepper, texts, torch.tensor([chosen, chosen]), log_p_BV)
    stepper.keep(torch.tensor([1]))
    assert len(stepper.step(torch.tensor([4]))) == 1


@torch.inference_mode()
def test_a_full_row_goes_on_with_the_end_of_its_text():
    mixture = Mixture([counted(), net("transformer", context=8)], WEIGHTS)
    stepper, texts = mixture.stepper(), [[3] * 6, [2]]
    log_p_BV = stepper.begin(texts)
    for step in range(20):
        chosen = torch.tensor([step % 3 + 2, 4])
        for row, token in enumerate(chosen.tolist()):
            texts[row].append(token)
        log_p_BV = advance(stepper, texts, chosen, log_p_BV)
        assert stepper.room is None or stepper.room >= 0
        assert log_p_BV.double().exp().sum(dim=-1).numpy() == pytest.approx(1, abs=1e-5)


@torch.inference_mode()
def test_what_is_barred_is_never_predicted_and_fewer_bits_are_for_nets():
    mixture = Mixture([net("lstm"), net("gru", 1)], WEIGHTS)
    assert mixture.stepper(barred=4).begin([[3]])[0, 4] == -torch.inf
    assert torch.isfinite(mixture.stepper("int8").begin([[3]])).any()
    with pytest.raises(UsageError, match="one of a mixture"):
        Mixture([counted(), net("lstm")], WEIGHTS).stepper("int8")


def test_a_model_of_weight_0_says_nothing():
    parts = [counted(), net("lstm")]
    ids = text(5, 30)
    assert Scorer(Mixture(parts, [0.0, 1.0])).score(ids, [0]) == pytest.approx(
        Scorer(parts[1]).score(ids, [0]), abs=1e-6
    )
