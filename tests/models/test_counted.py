"""Counts behind the protocol: what scoring and generation see of an n-gram model is what it says itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtool.counts.counting import NgramCounts
from seqtool.counts.kneser_ney import estimate
from seqtool.errors import UsageError
from seqtool.models.counted import CountedModel
from seqtool.models.predictor import advance
from seqtool.scoring.scorer import Scorer
from tests.counts.oracle import hostile_documents, joined

V, BEGIN = 12, 1
TEXTS = [[3, 4, 5, 3, 4], [], [2], [5, 5, 3, 4, 5, 0, 7, 8, 11]]


@pytest.fixture(params=[1, 2, 5])
def model(request: pytest.FixtureRequest) -> CountedModel:
    counts = NgramCounts(joined(hostile_documents(0, V, BEGIN), BEGIN), V, BEGIN)
    for _ in range(request.param - 1):
        counts.grow()
    return CountedModel(estimate(counts, request.param))


def log_p_after(model: CountedModel, text: list[int]) -> np.ndarray:
    contexts = model.ngrams.no_contexts(1)
    for token in [BEGIN, *text]:
        contexts = model.ngrams.advance(contexts, np.array([token]))
    return model.ngrams.next_log_p(contexts)[0]


def test_the_stepper_predicts_what_the_model_does(model: CountedModel):
    stepper, texts = model.stepper(), [list(text) for text in TEXTS]
    log_p_BV = stepper.begin(texts)
    assert stepper.room is None
    assert stepper.full == []
    for chosen in ([4, 2, 0, 3], [5, 5, 5, 5], [3, 9, 10, 11]):
        assert log_p_BV.numpy() == pytest.approx(np.stack([log_p_after(model, text) for text in texts]), rel=1e-6)
        for text, token in zip(texts, chosen, strict=True):
            text.append(token)
        log_p_BV = advance(stepper, texts, torch.tensor(chosen), log_p_BV)
    stepper.keep(torch.tensor([3, 0, 0]))
    kept = [texts[3] + [2], texts[0] + [2], texts[0] + [3]]
    assert stepper.step(torch.tensor([2, 2, 3])).numpy() == pytest.approx(
        np.stack([log_p_after(model, text) for text in kept]), rel=1e-6
    )
    log_p_BV = torch.zeros(3, V)
    stepper.read_again([1], [[3, 4]], log_p_BV)
    assert log_p_BV[1].numpy() == pytest.approx(log_p_after(model, [3, 4]), rel=1e-6)
    assert not log_p_BV[[0, 2]].any()


def test_a_barred_symbol_is_never_predicted(model: CountedModel):
    log_p_BV = model.stepper(barred=4).begin(TEXTS)
    assert log_p_BV[:, 4].tolist() == [-torch.inf] * len(TEXTS)


def test_a_scorer_scores_each_token_once(model: CountedModel):
    nats = Scorer(model).score(np.concatenate(TEXTS).astype(np.uint16), [0, 5, 5, 6])
    expected = [-log_p_after(model, text[:place])[text[place]] for text in TEXTS for place in range(len(text))]
    assert nats == pytest.approx(expected, rel=1e-6)


def test_counts_have_no_weights_of_fewer_bits(model: CountedModel):
    with pytest.raises(UsageError, match="--precision int8"):
        model.stepper("int8")
