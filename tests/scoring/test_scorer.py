"""Every token once, the same nats however the work is cut, and equal to a computation by hand from the logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from seqtool.errors import UsageError
from seqtool.scoring import scorer as scoring
from seqtool.scoring.scorer import Scorer, check_window, score_documents, windows
from tests.zoo import BEGIN, ZOO, V, zoo_model

EVERY = pytest.mark.parametrize("name", ZOO)


def ids_of(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2, V, size).astype(np.uint16)


def scores(model, documents, **options) -> list[np.ndarray]:
    """The nats of each document, joined."""
    found: list[list[np.ndarray]] = [[]]
    for part in score_documents(model, documents, **options):
        found[-1].append(part.nats)
        if part.ends:
            found.append([])
    assert found.pop() == []
    return [np.concatenate(parts) for parts in found]


@torch.no_grad()
def by_hand(model, ids: np.ndarray, context: int = 0, stride: int = 0) -> np.ndarray:
    """-log softmax(logits)[target] from plain forward passes, one token after another, in float64."""
    nats = []
    for position, target in enumerate(ids.tolist()):
        begin = (position - context) // stride * stride + stride if context and position >= context else 0
        given = torch.tensor([[BEGIN, *ids[begin:position].tolist()]])
        logits = model(given)[0][0, -1].double()
        nats.append(float(torch.logsumexp(logits, 0) - logits[target]))
    return np.array(nats)


@EVERY
def test_scores_equal_a_computation_by_hand(name: str):
    model = zoo_model(name)
    ids = ids_of(23)
    (ours,) = scores(model, [ids])
    np.testing.assert_allclose(ours, by_hand(model, ids, model.context or 0, 12), rtol=0, atol=1e-5)


@pytest.mark.slow
@EVERY
def test_any_batch_size_and_chunking_gives_the_same_total(name: str, monkeypatch: pytest.MonkeyPatch):
    model = zoo_model(name)
    documents = [ids_of(size, size) for size in (300, 1, 7, 1100, 0, 64, 2)]
    expected = scores(model, documents)
    assert [len(nats) for nats in expected] == [len(ids) for ids in documents]
    total = sum(nats.sum(dtype=np.float64) for nats in expected)
    for batch_size, gathered, logits in [(1, 1 << 16, 1 << 25), (2, 17, 1 << 20), (64, 500, 2000), (5, 128, 100)]:
        monkeypatch.setattr(scoring, "TOKENS_AT_ONCE", gathered)
        monkeypatch.setattr(scoring, "CALL_LOGITS", logits)
        again = scores(model, documents, batch_size=batch_size)
        assert sum(nats.sum(dtype=np.float64) for nats in again) == pytest.approx(total, rel=1e-6)
        for one, other in zip(expected, again, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 2, 9, 10, 11, 57, 100])
@pytest.mark.parametrize(("context", "stride"), [(10, 5), (10, 10), (10, 1), (1, 1), (10, 7)])
def test_windows_score_each_token_once_with_enough_before_it(tokens: int, context: int, stride: int):
    found = list(windows(0, tokens, context, stride))
    assert [window.score_from for window in found[1:]] == [window.stop for window in found[:-1]]
    assert found[0].score_from == 0
    assert found[-1].stop == tokens
    for window in found:
        assert window.stop - window.start <= context
        assert window.start % stride == 0
        assert window.score_from == 0 or window.score_from - window.start >= context - stride


@EVERY
def test_what_follows_never_changes_a_score(name: str):
    """A token has the same nats whatever comes after it, windows or not."""
    model, ids = zoo_model(name), ids_of(90)
    (whole,) = scores(model, [ids])
    for tokens in (1, 23, 24, 25, 37, 61):
        (beginning,) = scores(model, [ids[:tokens]])
        np.testing.assert_allclose(beginning, whole[:tokens], rtol=0, atol=1e-5)


@EVERY
def test_a_text_in_pieces_scores_as_the_whole(name: str):
    """Pieces of any size, in which documents begin anywhere, or nowhere, or several at once, or with no token."""
    model = zoo_model(name)
    documents = [ids_of(size, size) for size in (70, 3, 0, 200, 1, 0, 26)]
    expected = np.concatenate(scores(model, documents))
    text = np.concatenate(documents)
    starts = np.cumsum([0, *map(len, documents[:-1])])
    for size in (1, 7, 64, 71, 300):
        scorer, parts, begun = Scorer(model, batch_size=3), [], 0
        for begin in range(0, len(text), size):
            inside = starts[begun:][starts[begun:] < begin + size]
            begun += len(inside)
            parts.append(scorer.score(text[begin : begin + size], (inside - begin).tolist()))
        np.testing.assert_allclose(np.concatenate(parts), expected, rtol=0, atol=1e-5)


@EVERY
def test_logits_of_chunks_equal_those_of_the_whole(name: str):
    model = zoo_model(name)
    ids_BT = torch.from_numpy(np.stack([ids_of(24, 1), ids_of(24, 2)]).astype(np.int64))
    whole, _ = model(ids_BT)
    for size in (1, 5, 23):
        state, parts = None, []
        for part in ids_BT.split(size, dim=1):
            logits, state = model(part, state)
            parts.append(logits)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-4)


def test_a_smaller_stride_gives_more_context_and_other_scores():
    model = zoo_model("transformer rope swiglu rms")
    ids = ids_of(100)
    (fine,), (coarse,) = scores(model, [ids], stride=1), scores(model, [ids], stride=24)
    np.testing.assert_allclose(fine[:24], coarse[:24], atol=1e-5)
    assert not np.allclose(fine[24:], coarse[24:], atol=1e-4)


def test_settings_that_do_not_fit_the_model():
    transformer, lstm = zoo_model("transformer rope swiglu rms"), zoo_model("lstm")
    assert check_window(transformer, 0, 0) == (24, 12)
    with pytest.raises(UsageError, match="at most 24"):
        check_window(transformer, 25, 0)
    with pytest.raises(UsageError, match="would skip"):
        check_window(transformer, 10, 11)
    with pytest.raises(UsageError, match="carries its state"):
        check_window(lstm, 10, 0)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    model = zoo_model("lstm")
    torch.nn.init.zeros_(model.head.output.weight)
    torch.nn.init.zeros_(model.head.bias)
    (nats,) = scores(model, [ids_of(50)])
    np.testing.assert_allclose(nats, math.log(V), rtol=1e-6)


@EVERY
@pytest.mark.parametrize("length", [1, 9, 40])
def test_given_ids_are_read_before_each_document_and_not_scored(
    name: str, length: int, monkeypatch: pytest.MonkeyPatch
):
    """The nats of a document behind what is given are those of the two as one, but for what is given."""
    model, given = zoo_model(name), ids_of(length, 99)
    documents = [ids_of(size, size) for size in (70, 3, 0, 31, 1)]
    expected = [nats[length:] for nats in scores(model, [np.concatenate([given, ids]) for ids in documents])]
    text, starts = np.concatenate(documents), np.cumsum([0, *map(len, documents[:-1])])
    for size, at_once in [(1000, 1 << 16), (1000, 2 * length), (7, 1 << 16), (1, 1 << 16)]:
        monkeypatch.setattr(scoring, "TOKENS_AT_ONCE", at_once)
        scorer, parts = Scorer(model, batch_size=3, given=given), []
        for begin in range(0, len(text), size):
            inside = [start - begin for start in starts.tolist() if begin <= start < begin + size]
            parts.append(scorer.score(text[begin : begin + size], inside))
        np.testing.assert_allclose(np.concatenate(parts), np.concatenate(expected), rtol=0, atol=1e-5)
