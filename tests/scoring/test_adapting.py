"""Dynamic evaluation beside a plain loop in torch, and what it must never do: see what follows, or change the run."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from seqtool.errors import UsageError
from seqtool.models.language_model import LanguageModel, build_model
from seqtool.models.mixture import Mixture
from seqtool.scoring.adapting import AdaptiveScorer
from seqtool.scoring.scorer import Scorer
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.scoring import EvalConfig
from tests.models.test_mixture import counted

V, BEGIN = 12, 1
EVERY_MODEL = pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "ffn", "mingru", "gdn", "transformer"])


def net(name: str, **settings: float) -> LanguageModel:
    config = ModelConfig(model=name, embed=8, hidden=8, heads=2, context=6, **settings)
    seen = {token: token + 1 for token in range(V)}
    return build_model(config, Symbols(V, BEGIN, len(seen), 100), seen, 3).eval()


def adaptive(model: LanguageModel | Mixture, **settings: float) -> AdaptiveScorer:
    return AdaptiveScorer(model, EvalConfig(adapt=True, **{"adapt_rate": 0.01, "adapt_every": 7, **settings}))


def text(seed: int, length: int) -> np.ndarray:
    ids = np.random.default_rng(seed).integers(2, V, length)
    return ids.astype(np.uint16)


@EVERY_MODEL
def test_a_rate_of_0_gives_the_static_nats(name: str):
    model, ids = net(name), text(0, 60)
    for starts in ([0], [0, 13, 13, 50]):
        expected = Scorer(model).score(ids, starts)
        assert adaptive(model, adapt_rate=0.0).score(ids, starts) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_is_what_a_plain_loop_computes(decay: float):
    model, ids = net("gru"), text(1, 50)
    plain = copy.deepcopy(model)
    trained = [weight.detach().clone() for weight in plain.parameters()]
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01, betas=(0.9, 0.99))
    state, expected, before = None, [], [BEGIN]
    for start in range(0, 50, 7):
        segment = ids[start : start + 7].astype(np.int64).tolist()
        logits, state = plain(torch.tensor([[*before, *segment[:-1]]]), state)
        nats = F.cross_entropy(logits[0], torch.tensor(segment), reduction="none")
        expected += nats.tolist()
        optimizer.zero_grad()
        nats.mean().backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
        state, before = tuple(tuple(part.detach() for part in layer) for layer in state), segment[-1:]
        with torch.no_grad():
            for weight, origin in zip(plain.parameters(), trained, strict=True):
                weight += decay * (origin - weight)
    assert adaptive(model, adapt_decay=decay).score(ids, [0]) == pytest.approx(expected, abs=1e-5)


@EVERY_MODEL
def test_no_score_depends_on_what_follows(name: str):
    ids = text(2, 60)
    other = ids.copy()
    other[31:] = 3
    found = [adaptive(net(name)).score(one, [0, 20]) for one in (ids, other)]
    assert found[0][:31].tolist() == found[1][:31].tolist()
    assert found[0][31:].tolist() != found[1][31:].tolist()


@EVERY_MODEL
def test_each_token_is_scored_once_and_the_model_stays_as_it_is(name: str):
    model, ids = net(name), text(3, 45)
    before = copy.deepcopy(model.state_dict())
    found = adaptive(model).score(ids, [0, 9])
    assert found.shape == ids.shape
    assert found.tolist() == adaptive(model).score(ids, [0, 9]).tolist()
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


@EVERY_MODEL
def test_a_text_that_repeats_itself_is_learned(name: str):
    model, ids = net(name), np.tile(text(4, 12), 30)
    static, found = Scorer(model).score(ids, [0]), adaptive(model, adapt_every=12).score(ids, [0])
    assert found[-60:].mean() < 0.8 * static[-60:].mean()


@EVERY_MODEL
@pytest.mark.parametrize("cuts", [[28], [31], [1, 2, 3, 30, 30], list(range(1, 56))], ids=str)
def test_a_text_that_arrives_in_parts_gives_the_same(name: str, cuts: list[int]):
    ids, starts = text(5, 56), [0, 10, 10, 45]
    whole = adaptive(net(name)).score(ids, starts)
    scorer, parts = adaptive(net(name)), []
    for begin, end in pairwise([0, *cuts, 56]):
        parts.append(scorer.score(ids[begin:end], [start - begin for start in starts if begin <= start < end]))
    assert np.concatenate(parts) == pytest.approx(whole, abs=1e-6)


def test_of_a_mixture_the_nets_learn_and_the_counts_stay():
    parts, ids = [counted(), net("lstm")], np.tile(text(6, 12), 20)
    mixture = Mixture(parts, [0.5, 0.5])
    static = Scorer(mixture).score(ids, [0])
    assert adaptive(mixture, adapt_rate=0.0).score(ids, [0]) == pytest.approx(static, abs=1e-5)
    assert adaptive(mixture).score(ids, [0])[-60:].mean() < static[-60:].mean()
    assert Scorer(mixture).score(ids, [0]).tolist() == static.tolist()


def test_counts_alone_have_nothing_to_learn():
    for model in (counted(), Mixture([counted(), counted()], [0.5, 0.5])):
        with pytest.raises(UsageError, match="counts have no weights to go on learning"):
            adaptive(model)
