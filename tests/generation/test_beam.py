"""The likeliest texts, against all texts tried one by one and against greedy writing."""

from __future__ import annotations

import itertools

import pytest
import torch

from seqtool.generation.beam import beam_search, beam_search_together
from seqtool.generation.constraint import Constraint, TokenBytes
from seqtool.generation.generating import Sample, generate
from seqtool.generation.steering import Steering
from seqtool.models.decoding.stepper import ModelStepper
from seqtool.settings.generation import GenerateConfig
from tests.zoo import BEGIN, ZOO, V, zoo_model

# A token for each letter, one for two letters, none for the first two ids.
TOKENS = [b"", b"", *(bytes([97 + number]) for number in range(V - 3)), b"ab"]


def spelled(tokens: list[int]) -> str:
    return b"".join(TOKENS[token] for token in tokens).decode()


def constrained(config: GenerateConfig, pattern: str) -> Steering:
    return Steering(config, BEGIN, Constraint(pattern, TokenBytes(TOKENS)))


def likeliest(model, prompt: list[int], length: int, length_penalty: float = 1.0) -> tuple[float, list[int]]:
    """By trying all texts of up to that length that end, and all of that length."""
    best: list[tuple[float, list[int]]] = []
    for size in range(length + 1):
        for tokens in itertools.product([token for token in range(V) if token != BEGIN], repeat=size):
            ids = torch.tensor([[BEGIN, *prompt, *tokens]])
            log_p = model(ids)[0][0, len(prompt) :].log_softmax(-1)
            total = sum(log_p[place, token].item() for place, token in enumerate(tokens))
            if size < length:
                total += log_p[size, BEGIN].item()
            best.append((total / max(1, size) ** length_penalty, list(tokens)))
    return max(best)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["lstm", "transformer plain"])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_beam_that_holds_everything_finds_the_likeliest_text(name: str, length_penalty: float):
    model = zoo_model(name, seed=2)
    config = GenerateConfig(beam=400, max_tokens=2, length_penalty=length_penalty)
    (found,) = beam_search(ModelStepper(model), Sample([3]), 1, config)
    score, tokens = likeliest(model, [3], 2, length_penalty)
    assert found.tokens == tokens
    if found.finished == "length":
        assert -found.nats / len(tokens) ** length_penalty == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("name", ZOO)
@torch.inference_mode()
def test_a_beam_of_one_is_greedy_and_its_nats_are_the_models(name: str):
    model = zoo_model(name, seed=1)
    model.head.bias.data[BEGIN] = -100.0
    greedy = Sample([3, 4])
    list(generate(ModelStepper(model), [greedy], GenerateConfig(greedy=True, max_tokens=40)))
    (found,) = beam_search(ModelStepper(model), Sample([3, 4]), 1, GenerateConfig(beam=1, max_tokens=40))
    assert found.tokens == greedy.tokens
    assert found.nats == pytest.approx(greedy.nats, abs=1e-3)


@pytest.mark.parametrize("name", ZOO)
@torch.inference_mode()
def test_the_nats_of_every_beam_are_those_of_a_forward_pass(name: str):
    model = zoo_model(name, seed=2)
    model.head.bias.data[BEGIN] = -100.0
    found = beam_search(ModelStepper(model), Sample([3, 4]), 4, GenerateConfig(beam=4, max_tokens=12))
    assert len({tuple(one.tokens) for one in found}) == 4
    for one in found:
        log_p_TV = model(torch.tensor([[BEGIN, 3, 4, *one.tokens]]))[0][0, 2:-1].log_softmax(-1)
        expected = [-log_p_V[token].item() for log_p_V, token in zip(log_p_TV, one.tokens, strict=True)]
        assert one.token_nats == pytest.approx(expected, abs=1e-4)


def test_beams_come_best_first_and_match_a_constraint():
    config = GenerateConfig(beam=8, max_tokens=7)
    found = beam_search(ModelStepper(zoo_model("lstm")), Sample([]), 5, config, constrained(config, "(ab|cd)+e?"))
    scores = [-one.nats / len(one.tokens) for one in found]
    assert len(found) == 5
    assert scores == sorted(scores, reverse=True)
    assert all(spelled(one.tokens).rstrip("e").replace("ab", "").replace("cd", "") == "" for one in found)
    assert len({spelled(one.tokens) for one in found}) >= 3


def test_two_spellings_of_a_text_are_one_text():
    config = GenerateConfig(beam=8, max_tokens=4)
    found = beam_search(
        ModelStepper(zoo_model("lstm")),
        Sample([]),
        8,
        config,
        constrained(config, "ab"),
        text_of=spelled,
    )
    assert [spelled(one.tokens) for one in found] == ["ab"]


@pytest.mark.parametrize(
    ("beam", "wanted", "length_penalty", "most"),
    [(1, 1, 1.0, 9), (4, 3, 1.0, 9), (3, 5, 0.0, 4), (2, 2, 2.0, 9), (5, 5, 3.0, 12)],
)
def test_together_as_one_by_one(beam: int, wanted: int, length_penalty: float, most: int):
    """Of several prompts side by side each has what it has alone; texts that tokens spell in two ways count once."""
    from seqtool.models.decoding.encoder_decoder import WritingStepper
    from tests.models.writers import read, writer

    class Ending(WritingStepper):
        """Ends texts often, several of them at once."""

        def step(self, ids_B: torch.Tensor) -> torch.Tensor:
            log_p_BV = super().step(ids_B)
            log_p_BV[:, self.begin_id] += 2
            return log_p_BV.log_softmax(-1)

    keys = [(row,) for row in range(5)]
    config = GenerateConfig(beam=beam, length_penalty=length_penalty, max_tokens=most)
    why: set[str] = set()
    for name in ("gru luong", "transformer rope"):
        model = writer(name)
        with torch.no_grad():  # far from uniform, so that texts end here and there
            model.weight.mul_(3)
        stepper = Ending(model, read(), keys)
        for text_of in (tuple, lambda tokens: tuple(token % 5 for token in tokens)):
            prompts = [Sample(list(key)) for key in keys]
            together = beam_search_together(stepper, prompts, wanted, config, text_of)
            why |= {one.finished for samples in together for one in samples}
            for prompt, samples in zip(prompts, together, strict=True):
                alone = beam_search(stepper, prompt, wanted, config, text_of=text_of)
                assert [one.tokens for one in samples] == [one.tokens for one in alone]
                assert [one.finished for one in samples] == [one.finished for one in alone]
                assert [one.nats for one in samples] == pytest.approx([one.nats for one in alone], abs=1e-4)
    assert "end" in why
