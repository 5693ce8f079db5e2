from __future__ import annotations

import pytest
import torch

from seqtool.models.cores import transformer
from seqtool.models.decoding.stepper import ModelStepper
from seqtool.models.size import parameter_count
from tests.zoo import BEGIN, ZOO, V, zoo_model

COMPILED = pytest.mark.parametrize("compiled", [True, "one row", False])


def log_p(model, text: list[int]) -> torch.Tensor:
    """By the model, the text read at once."""
    return model(torch.tensor([[BEGIN, *text]]))[0][0, -1].log_softmax(-1)


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


@COMPILED
@torch.inference_mode()
def test_keys_that_heads_share_are_stepped_as_well(compiled: object):
    model = zoo_model("transformer rope swiglu rms", heads=4, kv_heads=2)
    stepper, text = ModelStepper(model), [5, 6, 7]
    found = stepper.begin([text])
    for token in (8, 9, 10, 11):
        torch.testing.assert_close(found[0], log_p(model, text), atol=1e-4, rtol=0)
        found, text = stepper.step(torch.tensor([token])), [*text, token]


@COMPILED
@pytest.mark.parametrize("position", ["rope", "learned"])
@torch.inference_mode()
def test_biases_and_the_tangents_gelu_are_stepped_as_well(position: str, compiled: object):
    model = zoo_model(
        "transformer plain", biases=True, feedforward="gelu-tanh", position=position, norm_epsilon=0.01, rope_base=50.0
    )
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight)
    assert sum(weight.numel() for weight in model.parameters()) == parameter_count(model.config, model.symbols)
    stepper, text = ModelStepper(model), [5, 6, 7]
    found = stepper.begin([text])
    for token in (8, 9, 10, 11):
        torch.testing.assert_close(found[0], log_p(model, text), atol=1e-4, rtol=0)
        found, text = stepper.step(torch.tensor([token])), [*text, token]
