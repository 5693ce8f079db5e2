from __future__ import annotations

import itertools
import math
import random

import pytest
import torch

from seqtool.generation.beam import beam_search
from seqtool.generation.constraint import Constraint, TokenBytes
from seqtool.generation.favour import Favour
from seqtool.generation.generating import Sample, generate
from seqtool.generation.steering import SMALL_LAYER, SeenNGrams, Steering, Written
from seqtool.models.decoding.stepper import ModelStepper
from seqtool.settings.generation import GenerateConfig
from tests.zoo import BEGIN, ZOO, V, zoo_model

EVERY = pytest.mark.parametrize("name", ZOO)
WAYS = pytest.mark.parametrize("way", [{"temperature": 1.0}, {"greedy": True}, {"beam": 3}], ids=str)
# Letters, and longer tokens that spell the same texts; none for the first two ids.
TOKENS = [b"", b"", *(bytes([97 + number]) for number in range(V - 6)), b"ab", b"bc", b"abc", b"ca"]


def spelled(one: Sample) -> str:
    return b"".join(TOKENS[token] for token in one.tokens).decode()


def written(name: str, way: dict, prompts, banned=(), favours=(), model_bias=None, **settings) -> list[Sample]:
    model = zoo_model(name, seed=3)
    for token, bias in (model_bias or {}).items():
        model.head.bias.data[token] = bias
    config = GenerateConfig(**way, seed=2, **{"max_tokens": 25, **settings})
    tokens = TokenBytes(TOKENS)
    steering = Steering(
        config,
        BEGIN,
        Constraint(None, tokens, banned) if banned else None,
        [Favour(text, nats, tokens) for text, nats in favours],
    )
    stepper = ModelStepper(model, barred=0)
    if config.beam:
        return [one for prompt in prompts for one in beam_search(stepper, Sample(list(prompt)), 2, config, steering)]
    samples = [Sample(list(prompt), copy) for copy, prompt in enumerate(prompts)]
    list(generate(stepper, samples, config, steering))
    return samples


@EVERY
@WAYS
def test_what_is_banned_never_appears_however_it_is_spelled(name: str, way: dict):
    banned = ["ab", "ca", "hh", "d"]
    free = written(name, way, [[3], [], [4, 5]] * 5, model_bias={BEGIN: -9.0})
    found = written(name, way, [[3], [], [4, 5]] * 5, banned=banned, model_bias={BEGIN: -9.0})
    assert any(text in spelled(one) for one in free for text in banned)
    assert not any(text in spelled(one) for one in found for text in banned)
    assert max(len(one.tokens) for one in found) == 25


@WAYS
def test_a_text_for_which_everything_is_banned_ends(way: dict):
    found = written("gru", way, [[3]], banned=[chr(97 + number) for number in range(V)])
    assert {(tuple(one.tokens), one.finished) for one in found} == {((), "end")}


@EVERY
@WAYS
def test_a_barred_symbol_is_never_written(name: str, way: dict):
    found = written(name, way, [[3], [4]] * 5, model_bias={0: 9.0, BEGIN: -9.0})
    assert not any(0 in one.tokens for one in found)


@EVERY
@WAYS
def test_no_n_tokens_come_again(name: str, way: dict):
    prompts = [[3, 4, 5, 3, 4], [], [6, 6]] * 3
    for one in written(name, way, prompts, no_repeat_ngram=2, model_bias={BEGIN: -9.0, 7: 3.0}):
        tokens = one.prompt + one.tokens
        pairs = list(itertools.pairwise(tokens))[max(0, len(one.prompt) - 1) :]
        assert len(set(pairs)) == len(pairs)
        assert not set(pairs) & set(itertools.pairwise(one.prompt))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_ngrams_bar_what_would_make_one_come_again_in_every_version_of_a_text(size: int):
    rng = random.Random(size)
    versions = [(prompt, SeenNGrams.of(size, prompt)) for prompt in ([], [0], [0, 1, 0, 1, 1, 0, 2, 2])]
    for _ in range(400):
        tokens, ngrams = rng.choice(versions[-8:])  # several texts grow from one
        token = rng.randrange(4)
        versions.append(([*tokens, token], ngrams.added(token)))
    for tokens, ngrams in versions:
        seen = {tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)}
        expected = {token for token in range(4) if (*tokens[len(tokens) - size + 1 :], token) in seen}
        assert set(ngrams.barred) == expected


def test_a_token_copies_few_of_the_ngrams_before_it():
    ngrams, copied, tokens = SeenNGrams.of(3, []), 0, 4096
    for token in range(tokens):
        before, ngrams = ngrams, ngrams.added(token)
        kept = sum(new is old for new, old in zip(ngrams.layers, before.layers, strict=False))
        copied += sum(count for count, _ in ngrams.layers[kept:])
    assert copied <= tokens * (SMALL_LAYER + math.log2(tokens))


def test_a_text_whose_tokens_are_all_used_ends():
    (one,) = written("lstm", {"greedy": True}, [[]], no_repeat_ngram=1, min_tokens=100, max_tokens=200)
    assert (sorted(one.tokens), one.finished) == ([token for token in range(V) if token not in (0, BEGIN)], "end")


@EVERY
@WAYS
def test_a_text_does_not_end_before_its_least_tokens(name: str, way: dict):
    free = written(name, way, [[3], [4]] * 5, model_bias={BEGIN: 6.0})
    found = written(name, way, [[3], [4]] * 5, min_tokens=7, model_bias={BEGIN: 6.0})
    assert min(len(one.tokens) for one in free) < 7
    assert {len(one.tokens) >= 7 for one in found} == {True}
    assert {one.finished for one in found} == {"end"}


@pytest.mark.parametrize(
    "name", ["lstm", *(pytest.param(name, marks=pytest.mark.slow) for name in ("transformer plain", "ffn"))]
)
@WAYS
def test_a_favoured_text_comes_more_often_and_a_disfavoured_one_less(name: str, way: dict):
    counts = [
        sum(spelled(one).count("fgh") for one in written(name, way, [[3], [4], []] * 10, favours=favours))
        for favours in ([("fgh", 40.0)], [], [("fgh", -40.0)])
    ]
    assert counts[0] > 40
    assert counts[2] == 0 <= counts[1] < counts[0]


def test_a_steered_sample_is_the_same_alone_and_among_others():
    prompts = [[2 + number % 9, 3] for number in range(16)]
    rules = {"banned": ["ab", "hh"], "favours": [("cde", 3.0)], "no_repeat_ngram": 3, "min_tokens": 5}
    way = {"temperature": 1.0}
    together = written("transformer plain", way, prompts, batch_size=16, **rules)
    assert [one.tokens for one in together] == [
        one.tokens for one in written("transformer plain", way, prompts, batch_size=3, **rules)
    ]


def test_the_rules_leave_log_p_as_it_is_without_any():
    log_p = torch.randn(2, V)
    assert Steering(GenerateConfig(), BEGIN).scores(log_p, []) is log_p
    steering = Steering(GenerateConfig(min_tokens=2), BEGIN)
    assert steering.scores(log_p, [Written(), Written(length=2)]).isinf().sum() == 1
