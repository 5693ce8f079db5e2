"""The model of examples: the same for an example alone as in a batch, for every core."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqtool.errors import UsageError
from seqtool.models.example_model import ExampleInput, build_example_model, example_numbers
from seqtool.settings.examples import ExampleShape
from seqtool.settings.model import POOLINGS, ModelConfig

LENGTHS = torch.tensor([5, 1, 7, 3])
IDS = torch.randint(50, (4, 7, 1), generator=torch.Generator().manual_seed(0))


def settings(model: str, **more: object) -> ModelConfig:
    return ModelConfig(model=model, hidden=16, context=3 if model == "ffn" else 64, heads=2, stem=1, buckets=64, **more)  # type: ignore[arg-type]


def shaken(config: ModelConfig, shape: ExampleShape):
    """A model of which no weight is 0, as they are at the beginning."""
    model = build_example_model(config, shape).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    return model


@pytest.mark.parametrize("model", ["rnn", "gru", "lstm", "ffn", "transformer", "bag"])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("both", [False, True])
@torch.no_grad()
def test_an_example_is_answered_alone_as_in_a_batch(model: str, pooling: str, both: bool):
    made = shaken(
        settings(model, pooling=pooling, bidirectional=both), ExampleShape(tables=(50,), begin_id=1, outputs=3)
    )
    together = made(ExampleInput(LENGTHS, IDS))
    alone = torch.cat([made(ExampleInput(LENGTHS[n : n + 1], IDS[n : n + 1, : LENGTHS[n]])) for n in range(4)])
    assert torch.allclose(together, alone, atol=1e-6)
    other = IDS.clone()
    for n in range(4):
        other[n, LENGTHS[n] :] = 7
    assert torch.allclose(made(ExampleInput(LENGTHS, other)), together, atol=1e-6)


@torch.no_grad()
def test_both_directions_are_torchs():
    made = shaken(settings("lstm", pooling="last", bidirectional=True, embed=8), ExampleShape(tables=(50,), outputs=2))
    lstm = nn.LSTM(8, 16, batch_first=True, bidirectional=True)
    for place, ending in enumerate(("", "_reverse")):
        for name, weight in made.cores[place].layers[0].kernel.named_parameters():  # type: ignore[union-attr,index]
            getattr(lstm, name + ending).copy_(weight)
    packed = nn.utils.rnn.pack_padded_sequence(made.tables[0](IDS[..., 0]), LENGTHS, True, enforce_sorted=False)
    _, (h, _) = lstm(packed)
    assert torch.allclose(made(ExampleInput(LENGTHS, IDS)), made.head(torch.cat([h[0], h[1]], -1)), atol=1e-6)


@pytest.mark.parametrize("model", ["rnn", "gru", "lstm", "ffn", "transformer"])
@pytest.mark.parametrize(
    "shape",
    [
        ExampleShape(numbers=3, categories=(4, 2), outputs=2), ExampleShape(steps=7, channels=2, numbers=1, outputs=5),
        ExampleShape(tables=(50, 9), outputs=4, each=True, fitted=3),
    ],
    ids=["columns", "steps", "tags"],
)  # fmt: skip
@torch.no_grad()
def test_every_core_reads_columns_steps_and_several_tables(model: str, shape: ExampleShape):
    config = settings(model, bidirectional=True, layers=2)
    made = shaken(config, shape)
    steps = torch.randn(4, 7, 2) if shape.steps else None
    ids = torch.cat([IDS, IDS % 9], -1) if shape.tables else None
    lengths = LENGTHS if ids is not None else torch.full((4,), 7 if shape.steps else 1)
    numbers = torch.randn(4, shape.numbers) if shape.numbers else None
    categories = torch.tensor([[0, 1], [3, 0], [1, 1], [2, 0]]) if shape.categories else None
    x = ExampleInput(lengths, ids, steps, numbers, categories)
    outputs = made(x)
    assert outputs.shape == ((4, 7, 4) if shape.each else (4, shape.outputs))
    for n in range(4):
        own = made(x.rows(slice(n, n + 1)))
        assert torch.allclose(own[0], outputs[n, : own.shape[1]] if shape.each else outputs[n], atol=1e-5)
    learned, numbers_in_all = example_numbers(config, shape)
    assert learned == sum(weight.numel() for weight in made.parameters())
    assert numbers_in_all == sum(tensor.numel() for tensor in made.state_dict().values())


def test_a_perceptron_is_one_product():
    made = build_example_model(settings("ffn", layers=1), ExampleShape(numbers=3, categories=(2,), outputs=1))
    assert {name: tuple(weight.shape) for name, weight in made.named_parameters()} == {
        "head.weight": (1, 5),
        "head.bias": (1,),
    }


def test_sizes_beyond_reason_are_refused_before_memory_is_taken():
    with pytest.raises(UsageError, match="parameters: choose smaller ones"):
        example_numbers(settings("lstm", embed=65536), ExampleShape(tables=(1 << 26,), outputs=2))
