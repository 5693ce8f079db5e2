from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from seqtool.generation.beam import beam_search
from seqtool.generation.constraint import Constraint, TokenBytes
from seqtool.generation.generating import Sample, generate
from seqtool.generation.healing import Healing
from seqtool.generation.steering import Steering
from seqtool.models.decoding.stepper import ModelStepper
from seqtool.settings.generation import GenerateConfig
from tests.zoo import BEGIN, ZOO, zoo_model

EVERY = pytest.mark.parametrize("name", ZOO)
ROWS = [b"", b"", b"a", b"b", b"c", b"d", b" ", b" a", b" ab", b" abc", b"bc", b"bcd", b"cd", b" d", b"dd", b"\n"]
ROWS += [b"a" * 3, b"e", b"f", b"g"]
IDS = {row: index for index, row in enumerate(ROWS)}


def ids(*rows: str) -> list[int]:
    return [IDS[row.encode()] for row in rows]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (("d", " "), 1),  # before a word
        (("d", " a"), 1),  # ` ab` goes on
        ((" ", "a", "b"), 3),  # ` abc`
        (("a", "b"), 1),  # `bc`
        (("b", "c"), 2),  # `bcd`
        (("a", "e"), 0),
        (("d", "\n"), 0),
        (("a", "a"), 2),
        ((), 0),
    ],
)
def test_as_many_tokens_are_taken_back_as_one_could_begin_with(prompt: tuple[str, ...], expected: int):
    assert Healing(ROWS).taken_back(ids(*prompt)) == expected


def test_characters_and_bytes_need_no_healing():
    assert Healing(ROWS).possible
    assert not Healing([b"", b"a", b" ", "é".encode(), *(bytes([byte]) for byte in range(256))]).possible


def log_p(model, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([[BEGIN, *tokens]]))[0][0, -1].double().log_softmax(-1)


def healed(name: str, prompt: list[int], count: int = 1, way=None, pattern=None, **settings) -> list[Sample]:
    config = GenerateConfig(**{"temperature": 1.0, "max_tokens": 6, "seed": 5} | settings | (way or {}))
    constraint = Constraint(pattern, TokenBytes(ROWS)) if pattern else None
    steering, stepper = Steering(config, BEGIN, constraint), ModelStepper(zoo_model(name, seed=2), barred=0)
    if config.beam:
        one = Sample(prompt)
        Healing(ROWS).heal(stepper, [one], [], config, steering)
        return beam_search(stepper, one, 1, config, steering)
    samples = [Sample(prompt, copy) for copy in range(count)]
    list(generate(stepper, samples, config, steering, Healing(ROWS)))
    return samples


def spelled(one: Sample) -> str:
    """The prompt and what was written."""
    return b"".join(ROWS[token] for token in one.prompt + one.tokens).decode()


@pytest.mark.parametrize("name", ["lstm", "ffn", "transformer rope swiglu rms", "transformer plain"])
def test_endings_come_as_often_as_their_probabilities_say(name: str):
    prompt, model = ids("d", " ", "a", "b"), zoo_model(name, seed=2)
    start = log_p(model, prompt[:1])
    after = [log_p(model, prompt[:count])[prompt[count]].item() for count in (1, 2, 3)]
    second, third = log_p(model, prompt[:2]), log_p(model, prompt[:3])
    expected = {
        " abc": start[IDS[b" abc"]].item(),
        "bc": after[0] + after[1] + third[IDS[b"bc"]].item(),
        "bcd": after[0] + after[1] + third[IDS[b"bcd"]].item(),
        "": sum(after),
    }
    assert second.isfinite().all()  # nothing begins with `ab`
    total = sum(map(math.exp, expected.values()))
    found = Counter()
    for one in healed(name, prompt, 2000, max_tokens=1, batch_size=2000):
        found[ROWS[one.tokens[0]].decode() if len(one.prompt) < len(prompt) else ""] += 1
    assert set(found) <= set(expected)
    for ending, nats in expected.items():
        assert found[ending] / 2000 == pytest.approx(math.exp(nats) / total, abs=0.04)


@EVERY
@pytest.mark.parametrize("way", [{}, {"greedy": True}, {"beam": 3}], ids=str)
def test_what_was_read_and_written_is_the_prompt_and_its_text(name: str, way: dict):
    prompt, model = ids("d", " a", "b"), zoo_model(name, seed=2)
    for one in healed(name, prompt, 12, way, alternatives=2):
        assert spelled(one).startswith("d ab")
        if len(one.prompt) < len(prompt):
            assert one.seam.skip == len("d ab") - len(b"".join(ROWS[token] for token in one.prompt))
        for place, (token, nats, likeliest) in enumerate(
            zip(one.tokens, one.token_nats, one.alternatives, strict=True)
        ):
            expected = log_p(model, one.prompt + one.tokens[:place])
            assert nats == pytest.approx(-expected[token].item(), abs=1e-4)
            expected[0] = -torch.inf
            assert [found for found, _ in likeliest] == expected.topk(2).indices.tolist()


@EVERY
def test_a_healed_sample_is_the_same_alone_and_among_others(name: str):
    prompts = [ids("d", " "), ids(" ", "a", "b"), ids("e"), [], ids("c", "b"), ids(*"abcdefg" * 6, " ")] * 4
    config = GenerateConfig(temperature=1.0, max_tokens=12, seed=3)
    stepper = ModelStepper(zoo_model(name))
    together = [Sample(prompt) for prompt in prompts]
    list(generate(stepper, together, config, None, Healing(ROWS)))
    for prompt, one in zip(prompts, together, strict=True):
        alone = Sample(prompt)
        list(generate(stepper, [alone], config, None, Healing(ROWS)))
        assert (alone.prompt, alone.tokens, alone.finished) == (one.prompt, one.tokens, one.finished)


@pytest.mark.parametrize("way", [{}, {"greedy": True}, {"beam": 3}], ids=str)
def test_a_constraint_judges_what_is_behind_the_prompt(way: dict):
    import re

    for max_tokens in (2, 3, 6):
        for one in healed("lstm", ids("d", " a", "b"), 40, way, "c(a|d)|cde?", max_tokens=max_tokens):
            assert re.fullmatch("c(a|d)|cde?", spelled(one).removeprefix("d ab"))
            assert len(one.tokens) <= max_tokens


def test_no_token_more_than_wanted():
    for most in (0, 1, 2):
        assert {len(one.tokens) for one in healed("gru", ids("d", " "), 20, max_tokens=most)} <= set(range(most + 1))
