"""Scoring by gates that learn: once each, before it is learned, whatever comes after and however it arrives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtool.models.gated import Gated
from seqtool.scoring.learning import LearningScorer
from seqtool.scoring.scorer import document_parts
from tests.models.test_gated import gated, gates_for
from tests.models.test_mixture import BEGIN, EVERY, counted, net, text


def learning(model: Gated, **settings: int) -> LearningScorer:
    return LearningScorer(model, model.gates.copy(), **settings)


@EVERY
def test_it_is_reading_with_what_the_models_say(models):
    mixture, ids = gated(models()), text(1, 30)
    gates, expected = gates_for(len(mixture.all.models)), []
    for document in (ids[:13], ids[13:]):
        state_F, known = gates.begin(1)[0], [BEGIN]
        for t, token in enumerate(document.tolist()):
            context = mixture.context
            if context is not None:  # windows begin at multiples of half the context
                begin = 0 if t < context else ((t - context) // (context // 2) + 1) * (context // 2)
                known = [BEGIN, *document[begin:t].tolist()]
            with torch.inference_mode():
                told, _ = mixture.all.log_p(torch.tensor([known]), None)
            nats = gates.read(state_F, np.array([token]), [one[0, -1:].numpy() for one in told], learn=True)
            expected.append(float(nats[0]))
            known = [*known, token]
    assert learning(mixture).score(ids, [0, 13]) == pytest.approx(expected, abs=2e-3)


@EVERY
def test_no_score_depends_on_what_follows_nor_on_how_the_text_arrives(models):
    mixture, ids = gated(models()), text(2, 60)
    whole = learning(mixture).score(ids, [0, 20])
    other = ids.copy()
    other[31:] = 3
    assert learning(mixture).score(other, [0, 20])[:31] == pytest.approx(whole[:31], abs=1e-4)
    scorer = learning(mixture)
    parts = [scorer.score(ids[:9], [0]), scorer.score(ids[9:33], [11]), scorer.score(ids[33:], [])]
    assert np.concatenate(parts) == pytest.approx(whole, abs=1e-3)


def test_the_model_stays_and_what_was_learned_is_given():
    mixture, ids = gated([net("lstm")]), np.tile(text(3, 50), 3)
    before = mixture.gates.copy()
    scorer = learning(mixture)
    nats = scorer.score(ids, [0])
    assert nats[100:].mean() < 0.6 * nats[:50].mean()
    assert all(np.array_equal(mixture.gates.arrays[name], before.arrays[name]) for name in before.arrays)
    learned = scorer.finish()
    assert learned.gates.past_count == before.past_count + 150
    assert learned.all.models == mixture.all.models


def test_models_that_do_not_speak_are_not_asked():
    class Silent:
        def __getattr__(self, name: str) -> object:
            return getattr(model, name)

        def log_p(self, *arguments: object) -> object:
            raise AssertionError("asked")

    model = counted()
    mixture = gated([model])
    mixture.all.models[0] = Silent()
    assert np.isfinite(learning(mixture, speaking=False).score(text(4, 20), [0])).all()
    with pytest.raises(AssertionError, match="asked"):
        learning(mixture).score(text(4, 20), [0])


def test_documents_in_parts():
    ids = np.arange(6).astype(np.uint16)
    for starts, expected in (
        ([], [(False, [0, 1, 2, 3, 4, 5])]),
        ([0, 2, 2], [(True, [0, 1]), (True, []), (True, [2, 3, 4, 5])]),
        ([3], [(False, [0, 1, 2]), (True, [3, 4, 5])]),
    ):
        assert [(begins, part.tolist()) for begins, part in document_parts(ids, starts)] == expected
