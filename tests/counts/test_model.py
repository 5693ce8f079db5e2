"""A text is scored as its tokens are predicted one by one, in any parts, side by side, and by what came before alone."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.counts import model as model_module
from seqtool.counts.counting import NgramCounts
from seqtool.counts.kneser_ney import estimate
from seqtool.counts.model import NgramModel, text_nats
from tests.counts.oracle import hostile_documents, joined

V, BEGIN = 12, 1
TEXT = np.array([3, 4, 5, 3, 4, 5, 0, V - 1, 3, 3, 2, 4, 5, 3, 4, 4, 6, 7, 8])


@pytest.fixture(scope="module", params=[1, 2, 5])
def ngrams(request: pytest.FixtureRequest) -> NgramModel:
    counts = NgramCounts(joined(hostile_documents(0, V, BEGIN), BEGIN), V, BEGIN)
    for _ in range(request.param - 1):
        counts.grow()
    return estimate(counts, request.param)


def stepped(model: NgramModel, text: np.ndarray) -> np.ndarray:
    """log p of each token, a token at a time, from all that could come."""
    contexts_1K, found = model.no_contexts(1), []
    for before, token in zip([BEGIN, *text[:-1]], text, strict=True):
        contexts_1K = model.advance(contexts_1K, np.array([before]))
        found.append(model.next_log_p(contexts_1K)[0, token])
    return np.array(found)


def scored(model: NgramModel, text: np.ndarray) -> np.ndarray:
    return model.score(np.array([[BEGIN, *text[:-1]]]), text[None], model.no_contexts(1)).log_p_BT[0]


def test_scoring_is_predicting_each_token_once(ngrams: NgramModel):
    assert scored(ngrams, TEXT) == pytest.approx(stepped(ngrams, TEXT), rel=1e-12)


def test_scores_do_not_depend_on_parts_nor_on_what_follows(ngrams: NgramModel):
    whole, ids = scored(ngrams, TEXT), np.array([[BEGIN, *TEXT]])
    for cut in range(1, len(TEXT)):
        first = ngrams.score(ids[:, :cut], ids[:, 1 : cut + 1], ngrams.no_contexts(1))
        rest = ngrams.score(ids[:, cut:-1], ids[:, cut + 1 :], first.contexts_BK)
        assert np.array_equal(np.concatenate([first.log_p_BT[0], rest.log_p_BT[0]]), whole)
        assert np.array_equal(scored(ngrams, TEXT[:cut]), whole[:cut])


def test_texts_side_by_side_are_as_each_alone(ngrams: NgramModel):
    texts = np.stack([TEXT, TEXT[::-1], np.roll(TEXT, 4)])
    ids = np.concatenate([np.full((3, 1), BEGIN), texts], axis=1)
    together = ngrams.score(ids[:, :-1], ids[:, 1:], ngrams.no_contexts(3)).log_p_BT
    assert np.array_equal(together, np.stack([scored(ngrams, text) for text in texts]))


def test_other_targets_than_what_follows_are_scored_at_their_place(ngrams: NgramModel):
    ids = np.array([[BEGIN, 3, 4, 5]])
    log_p = ngrams.score(ids, np.array([[5, 5, 5, 5]]), ngrams.no_contexts(1)).log_p_BT
    contexts_1K, expected = ngrams.no_contexts(1), []
    for token in ids[0]:
        contexts_1K = ngrams.advance(contexts_1K, np.array([token]))
        expected.append(ngrams.next_log_p(contexts_1K)[0, 5])
    assert log_p[0] == pytest.approx(expected, rel=1e-12)


def test_documents_of_a_text_are_scored_by_themselves_in_parts(ngrams: NgramModel, monkeypatch: pytest.MonkeyPatch):
    documents = [TEXT, TEXT[:1], TEXT[3:9]]
    expected = -sum(scored(ngrams, document).sum() for document in documents)
    ids = joined([document.tolist() for document in documents], BEGIN)
    for at_once in (1 << 13, 4, 1):
        monkeypatch.setattr(model_module, "READ_TOKENS", at_once)
        nats, tokens = text_nats(ngrams, ids)
        assert (nats, tokens) == (pytest.approx(expected, rel=1e-12), sum(map(len, documents)))
        assert text_nats(ngrams, ids[1:]) == (pytest.approx(expected, rel=1e-12), tokens)
