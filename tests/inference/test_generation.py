from __future__ import annotations

import pytest
import torch

from seqtool.config import GenerateConfig
from seqtool.errors import UsageError
from seqtool.inference.generation import Sample, generate
from seqtool.inference.writing import Writer
from tests.zoo import BEGIN, ZOO, V, zoo_model

EVERY = pytest.mark.parametrize("name", ZOO)


def texts(model, prompts, **settings) -> list[list[int]]:
    found: dict[int, Sample] = {}
    for batch in generate(model, prompts, GenerateConfig(**{"temperature": 1.0, **settings})):
        found |= {one.number: one for one in batch}
    return [found[number].tokens for number in range(len(prompts))]


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
def test_a_sample_is_the_same_whatever_is_made_beside_it(name: str):
    model = zoo_model(name)
    prompts = [[3], [4, 5], [], [6], [3], [7, 8, 9, 10]]
    together = texts(model, prompts, seed=7, max_tokens=40)
    for batch_size in (1, 2, 4):
        assert texts(model, prompts, seed=7, max_tokens=40, batch_size=batch_size) == together
    assert together[0] != together[4]
    assert texts(model, prompts, seed=8, max_tokens=40) != together


def test_a_transformer_writes_beyond_its_context():
    model = zoo_model("transformer learned gelu layer")
    model.output_bias.data[BEGIN] = -100.0
    for prompt in ([], list(range(2, 19)) * 4):
        (tokens,) = texts(model, [prompt], max_tokens=100, seed=1)
        assert len(tokens) == 100


def test_the_end_of_a_document_ends_a_text():
    model = zoo_model("lstm")
    model.output_bias.data[BEGIN] = 100.0
    (batch,) = list(generate(model, [[3]], GenerateConfig(max_tokens=5)))
    assert (batch[0].tokens, batch[0].finished) == ([], "end")


def test_nats_are_those_of_the_model():
    model = zoo_model("gru")
    (batch,) = list(generate(model, [[3]], GenerateConfig(max_tokens=1, seed=3)))
    logits, _ = model(torch.tensor([[BEGIN, 3]]))
    assert batch[0].nats == pytest.approx(-logits[0, -1].log_softmax(-1)[batch[0].tokens[0]].item(), abs=1e-5)


def test_greedy_contradicts_sampling_settings():
    with pytest.raises(UsageError, match="--greedy"):
        next(generate(zoo_model("lstm"), [[]], GenerateConfig(greedy=True, top_k=3)))


def test_no_tokens_wanted():
    assert texts(zoo_model("lstm"), [[3], [4]], max_tokens=0) == [[], []]


class Letters:
    """A vocabulary whose id is the character's code."""

    def decoder(self) -> Letters:
        return self

    def feed(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))

    def finish(self) -> str:
        return ""


@pytest.mark.parametrize(
    ("stops", "text", "expected"),
    [
        (["END"], "abcENDdef", "abc"),
        (["aab"], "aaaabc", "aa"),
        (["x"], "abc", "abc"),
        (["\n\n", "."], "a\nb.c\n\n", "a\nb"),
    ],
)
def test_stop_strings_end_a_text_before_they_show(stops: list[str], text: str, expected: str):
    writer, one, shown = Writer(Letters(), stops), Sample(0, []), ""
    for index, character in enumerate(text):
        one.tokens.append(ord(character))
        if index == len(text) - 1:
            one.finished = "length"
        shown += writer.read(one)
        assert not any(stop in shown for stop in stops)
        if one.finished:
            break
    assert shown == writer.text == expected
    assert one.finished == ("length" if expected == text else "stop")


def test_vocabulary_size_is_the_zoos():
    assert all(zoo_model(name).vocab_size == V for name in ZOO)
