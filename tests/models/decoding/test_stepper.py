from __future__ import annotations

import pytest
import torch

from seqtool.models.cores import transformer
from seqtool.models.decoding import compiled_step as native
from seqtool.models.decoding.products import Product
from seqtool.models.decoding.stepper import ModelStepper, read
from tests.zoo import BEGIN, ZOO, V, zoo_model

EVERY = pytest.mark.parametrize("name", ZOO)
COMPILED = pytest.mark.parametrize("compiled", [True, "one row", False])
PROMPTS = [[3, 4, 5], [], [2, 3, 4, 5, 6, 7, 8], [3, 4, 5], [9]]


@pytest.fixture(autouse=True)
def _in_torch_or_compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """With step.c for every number of rows, or without it."""
    if "compiled" not in request.fixturenames:
        return
    if request.getfixturevalue("compiled"):
        if native.library() is None:
            pytest.skip("step.c was not compiled")
        monkeypatch.setattr(native, "MOST_ROWS", 1000 if request.getfixturevalue("compiled") is True else 1)
    else:
        monkeypatch.setattr(native, "library", lambda: None)


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


@COMPILED
@torch.inference_mode()
@pytest.mark.parametrize("name", [name for name in ZOO if name.startswith("transformer")])
def test_a_full_row_goes_on_from_another_text_beside_one_that_is_not_full(name: str, compiled: object):
    model = zoo_model(name)
    stepper, texts = ModelStepper(model), [[5] * 20, [6, 7]]
    found = stepper.begin(texts)
    for _ in range(3):
        stepper.step(torch.tensor([8, 9]))
        texts = [[*texts[0], 8], [*texts[1], 9]]
    assert (stepper.room, stepper.full) == (0, [0])
    stepper.read_again([0], [[4, 3]], found)
    texts[0] = [4, 3]
    torch.testing.assert_close(found[0], log_p(model, texts[0]), atol=1e-4, rtol=0)
    for _ in range(17):
        found = stepper.step(torch.tensor([10, 11]))
        texts = [[*texts[0], 10], [*texts[1], 11]]
        for row, text in enumerate(texts):
            torch.testing.assert_close(found[row], log_p(model, text), atol=1e-4, rtol=0)


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


@COMPILED
@pytest.mark.parametrize("size", [(3, 64, 40), (1, 7, 5), (2, 33, 1), (4, 1, 3)])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.01), ("int8", 0.02)])
def test_a_product_in_fewer_bits_is_near_the_exact_one(
    precision: str,
    tolerance: float,
    threads: int,
    size: tuple[int, int, int],
    compiled: object,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(native, "threads_for", lambda weight_bytes: threads)
    draws = torch.Generator().manual_seed(0)
    rows, width, out = size
    x, weight, plus = (torch.randn(shape, generator=draws) for shape in ((rows, width), (out, width), (rows, out)))
    weight[-1] = 0.0
    exact = x.double() @ weight.double().t() + plus
    found = Product(weight, precision)(x, plus.clone()).double()
    assert ((found - exact).norm() / exact.norm()) < tolerance
    torch.testing.assert_close(Product(weight, precision)(x).double(), found - plus, atol=1e-4, rtol=1e-4)
    biased = Product(weight, precision)(x, plus[0].clone()).double()
    torch.testing.assert_close(biased, found - plus + plus[0], atol=1e-4, rtol=1e-4)


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


@COMPILED
@pytest.mark.parametrize("name", [name for name in ZOO if name.startswith("transformer")])
def test_a_table_of_positions_grows_with_the_text(monkeypatch: pytest.MonkeyPatch, name: str, compiled: object):
    ids = torch.randint(2, V, (1, 20), generator=torch.Generator().manual_seed(1))
    expected, _ = zoo_model(name)(ids)
    monkeypatch.setattr(transformer, "FIRST_POSITIONS", 2)
    stepped, model = zoo_model(name), zoo_model(name)
    with torch.inference_mode():
        stepper = ModelStepper(stepped)
        found = [stepper.begin([ids[0, :3].tolist()])]
        found += [stepper.step(ids[:, place]) for place in range(3, 20)]
        torch.testing.assert_close(model(ids)[0], expected, rtol=0, atol=0)
    model.train()(ids)[0].sum().backward()  # a table that grew while scoring is no hindrance to learning
    begun = zoo_model(name)(torch.cat([torch.tensor([[BEGIN]]), ids], 1))[0][0, 3:].log_softmax(-1)
    torch.testing.assert_close(torch.cat(found), begun.detach(), atol=1e-4, rtol=0)


def test_a_long_context_that_no_text_fills_takes_no_memory():
    core = zoo_model("transformer plain", context=1 << 20).core
    assert sum(buffer.numel() for buffer in core.buffers()) < 1 << 20
