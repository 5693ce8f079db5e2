from __future__ import annotations

import itertools

import pytest
import torch

from seqtool.errors import UsageError
from seqtool.generation import generating as generation
from seqtool.generation.constraint import Constraint, TokenBytes
from seqtool.generation.generating import Sample, generate
from seqtool.generation.steering import Steering
from seqtool.models.decoding.stepper import ModelStepper
from seqtool.scoring.scorer import score_documents
from seqtool.settings.generation import GenerateConfig
from tests.zoo import BEGIN, ZOO, V, zoo_model

EVERY = pytest.mark.parametrize("name", ZOO)
TRANSFORMERS = pytest.mark.parametrize("name", [name for name in ZOO if name.startswith("transformer")])


def written(model, prompts, pattern=None, **settings) -> list[Sample]:
    samples = [Sample(list(prompt), copy) for copy, prompt in enumerate(prompts)]
    config = GenerateConfig(**{"temperature": 1.0, **settings})
    for batch in generate(ModelStepper(model), samples, config, steering(config, pattern)):
        assert all(len(one.tokens) == len(one.token_nats) for one in batch)
    return samples


def steering(config: GenerateConfig, pattern: str | None, *banned: str) -> Steering:
    constraint = Constraint(pattern, TokenBytes(TOKENS), banned) if pattern is not None or banned else None
    return Steering(config, BEGIN, constraint=constraint)


def texts(model, prompts, **settings) -> list[list[int]]:
    return [one.tokens for one in written(model, prompts, **settings)]


@EVERY
def test_greedy_tokens_are_the_likeliest_given_all_before(name: str):
    model = zoo_model(name, seed=5)
    prompt = [3, 4, 5]
    (tokens,) = texts(model, [prompt], greedy=True, max_tokens=15)
    with torch.no_grad():
        for count in range(len(tokens)):
            logits, _ = model(torch.tensor([[BEGIN, *prompt, *tokens[:count]]]))
            assert tokens[count] == logits[0, -1].argmax().item()


@EVERY
def test_a_sample_is_the_same_alone_and_among_63_others(name: str):
    model = zoo_model(name)
    model.head.bias.data[BEGIN] = -3.0
    lengths = itertools.cycle([1, 2, 0, 5, 9, 30])
    prompts = [[2 + (number // 6 + number * place) % (V - 2) for place in range(next(lengths))] for number in range(64)]
    together = [Sample(prompt, 0) for prompt in prompts]
    config = GenerateConfig(temperature=1.0, seed=7, max_tokens=60)
    stepper = ModelStepper(model)
    list(generate(stepper, together, config))
    assert len({tuple(one.tokens) for one in together}) > 40
    for number in (0, 1, 5, 40):
        alone = Sample(prompts[number], 0)
        list(generate(stepper, [alone], config))
        assert (alone.tokens, alone.finished) == (together[number].tokens, together[number].finished)
    other = Sample(prompts[5], 1)
    list(generate(stepper, [other], config))
    assert other.tokens != together[5].tokens


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("name", ["lstm", "transformer rope swiglu rms"])
def test_a_batch_of_any_size_writes_the_same_in_every_precision(name: str, precision: str):
    stepper = ModelStepper(zoo_model(name), precision)
    found = []
    for batch_size in (1, 3, 16):
        samples = [Sample([3, 4], copy) for copy in range(16)]
        list(generate(stepper, samples, GenerateConfig(temperature=1.0, max_tokens=30, batch_size=batch_size)))
        found.append([one.tokens for one in samples])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("block", [1, 7])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch):
    model = zoo_model("gru")
    whole = texts(model, [[3], [4, 5], [6]], seed=2, max_tokens=40)
    monkeypatch.setattr(generation, "MAX_BLOCK", block)
    assert texts(model, [[3], [4, 5], [6]], seed=2, max_tokens=40) == whole


@TRANSFORMERS
def test_a_transformer_writes_beyond_its_context_as_scoring_in_windows_reads(name: str):
    model = zoo_model(name)
    model.head.bias.data[BEGIN] = -100.0
    samples = written(model, [[], list(range(2, 19)) * 4], max_tokens=100, seed=1)
    assert [len(one.tokens) for one in samples] == [100, 100]
    alone = samples[0]
    (again,) = written(model, [alone.prompt], max_tokens=100, seed=1)
    assert alone.tokens == again.tokens
    kept = model.context // 2
    begin = 0
    for position, nats in enumerate(alone.token_nats):  # what each token had before it, spelled out
        if position - begin >= model.context:
            begin = position - kept
        seen = [BEGIN, *alone.tokens[begin:position]]
        logits, _ = model(torch.tensor([seen]))
        assert nats == pytest.approx(-logits[0, -1].log_softmax(-1)[alone.tokens[position]].item(), abs=1e-4)


def test_a_context_of_one_token():
    model = zoo_model("transformer plain", context=1)
    model.head.bias.data[BEGIN] = -100.0
    assert [len(tokens) for tokens in texts(model, [[], [3, 4]], max_tokens=9)] == [9, 9]


def test_the_end_of_a_document_ends_a_text():
    model = zoo_model("lstm")
    model.head.bias.data[BEGIN] = 100.0
    (one,) = written(model, [[3]], max_tokens=5)
    assert (one.tokens, one.finished) == ([], "end")


def test_until_end_has_no_other_limit():
    model = zoo_model("lstm")
    model.head.bias.data[BEGIN] = -3.0
    samples = written(model, [[number] for number in range(2, 12)], max_tokens=3, until_end=True, seed=3)
    assert {one.finished for one in samples} == {"end"}
    assert max(len(one.tokens) for one in samples) > 60


@EVERY
def test_nats_are_those_that_scoring_gives(name: str):
    model = zoo_model(name)
    samples = written(model, [[], []], max_tokens=20, seed=3, temperature=0.7, top_k=5)
    for one in samples:
        (scored,) = score_documents(model, [torch.tensor(one.tokens).numpy().astype("uint16")])
        assert one.nats == pytest.approx(float(scored.nats.sum()), abs=1e-4)


def test_repetition_is_punished_in_prompt_and_text():
    model = zoo_model("lstm")
    model.head.bias.data[5] = 3.0
    often, seldom = (
        sum(tokens.count(5) for tokens in texts(model, [[5, 6]] * 40, max_tokens=3, seed=1, repetition_penalty=penalty))
        for penalty in (1.0, 100.0)
    )
    assert often > 90
    assert seldom < often / 3
    (first,) = texts(model, [[3, 4, *range(7, V)]], max_tokens=1, greedy=True, repetition_penalty=1e6)
    assert first[0] in (0, 2, 5, 6)


def test_no_tokens_wanted():
    assert texts(zoo_model("lstm"), [[3], [4]], max_tokens=0) == [[], []]


# A token for each letter, one for two letters, none for the first two ids.
TOKENS = [b"", b"", *(bytes([97 + number]) for number in range(V - 3)), b"ab"]


def spelled(tokens: list[int]) -> str:
    return b"".join(TOKENS[token] for token in tokens).decode()


@pytest.mark.parametrize("max_tokens", [3, 4, 9, 60])
@pytest.mark.parametrize("settings", [{}, {"greedy": True}, {"temperature": 2.0, "top_k": 2}])
def test_every_constrained_sample_matches(max_tokens: int, settings: dict):
    import re

    pattern = "(ab|cd)+e?|[c-f]{3,}"
    samples = written(zoo_model("gru"), [[4], [], [5, 6]] * 7, pattern, max_tokens=max_tokens, seed=4, **settings)
    for one in samples:
        assert re.fullmatch(pattern, spelled(one.tokens)), spelled(one.tokens)
        assert len(one.tokens) <= max_tokens
        assert one.finished in ("length", "end", "match")


def test_a_complete_match_that_nothing_may_follow_ends_the_text():
    (one,) = written(zoo_model("lstm"), [[]], "abc", max_tokens=50)
    assert (spelled(one.tokens), one.finished) == ("abc", "match")


def test_too_few_tokens_for_any_match():
    with pytest.raises(UsageError, match="--max-tokens 4: the shortest text that matches --constrain takes up to 5"):
        written(zoo_model("lstm"), [[]], "abcdef", max_tokens=4)


def test_vocabulary_size_is_the_zoos():
    assert all(zoo_model(name).vocab_size == V for name in ZOO)
