from __future__ import annotations

import pytest
import torch

from seqtool.models.decoding.stepper import ModelStepper, read
from tests.zoo import BEGIN, ZOO, V, zoo_model

EVERY = pytest.mark.parametrize("name", ZOO)

COMPILED = pytest.mark.parametrize("compiled", [True, "one row", False])

PROMPTS = [[3, 4, 5], [], [2, 3, 4, 5, 6, 7, 8], [3, 4, 5], [9]]


def log_p(model, text: list[int]) -> torch.Tensor:
    """By the model, the text read at once."""
    return model(torch.tensor([[BEGIN, *text]]))[0][0, -1].log_softmax(-1)


@EVERY
@COMPILED
@torch.inference_mode()
@pytest.mark.parametrize("seen", [V, V - 7])
def test_stepping_equals_reading_the_whole_text(name: str, seen: int, compiled: object):
    model, texts = zoo_model(name, seen=seen), [list(prompt) for prompt in PROMPTS]
    stepper, draws = ModelStepper(model), torch.Generator().manual_seed(1)
    found = stepper.begin(texts)
    for step in range(15):
        for row, text in enumerate(texts):
            torch.testing.assert_close(found[row], log_p(model, text), atol=1e-4, rtol=0)
        ids = torch.randint(2, seen, (len(texts),), generator=draws)
        found = stepper.step(ids)
        texts = [[*text, int(token)] for text, token in zip(texts, ids, strict=True)]
        if step in (5, 9):  # rows leave, change places, and are taken twice
            kept = torch.tensor([2, 0, 0, 1])
            stepper.keep(kept)
            found, texts = found[kept], [list(texts[row]) for row in kept]


@EVERY
@torch.inference_mode()
def test_prompts_of_any_lengths_are_read_side_by_side(name: str):
    model = zoo_model(name)
    seen = []
    for places, logits_BV, _ in read(model, PROMPTS):
        for place, logits_V in zip(places, logits_BV, strict=True):
            seen.append(place)
            torch.testing.assert_close(logits_V.log_softmax(-1), log_p(model, PROMPTS[place]), atol=1e-4, rtol=0)
    assert sorted(seen) == list(range(len(PROMPTS)))


@EVERY
@COMPILED
@torch.inference_mode()
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_fewer_bits_change_little(name: str, precision: str, compiled: object):
    model = zoo_model(name)
    exact, rounded = ModelStepper(model), ModelStepper(model, precision)
    exact.begin([[3, 4]])
    rounded.begin([[3, 4]])
    for token in (5, 6, 7):
        difference = exact.step(torch.tensor([token])) - rounded.step(torch.tensor([token]))
        assert difference.abs().max() < 0.2


@torch.inference_mode()
def test_a_model_that_was_moved_is_stepped_as_it_was():
    model = zoo_model("transformer learned gelu layer")
    stepper = ModelStepper(model)
    stepper.begin([[3]])
    expected = log_p(model, [3, 4])
    model.double().float()
    _ = [torch.full((64, 64), float("nan")) for _ in range(200)]
    torch.testing.assert_close(stepper.step(torch.tensor([4]))[0], expected, atol=1e-4, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("seen", [V, V - 3])
@pytest.mark.parametrize("barred", [0, V - 1])
def test_a_barred_symbol_has_no_probability_and_the_others_keep_theirs(seen: int, barred: int):
    model = zoo_model("gru", seen=seen)
    free, stepper = ModelStepper(model), ModelStepper(model, barred=barred)
    others = [symbol for symbol in range(V) if symbol != barred]
    compared = [(stepper.begin([[3], [4]]), free.begin([[3], [4]]))]
    compared += [(stepper.step(ids_B).clone(), free.step(ids_B).clone()) for ids_B in torch.tensor([[5, 6], [7, 8]])]
    for log_p_BV, expected_BV in compared:
        assert log_p_BV[:, barred].tolist() == [-torch.inf] * 2
        torch.testing.assert_close(log_p_BV[:, others], expected_BV[:, others])
