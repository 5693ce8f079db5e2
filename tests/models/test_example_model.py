from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from torch import nn

from seqtool.errors import UsageError
from seqtool.models.example_model import (
    ExampleInput,
    ExampleModel,
    build_example_model,
    example_numbers,
    turned,
)
from seqtool.models.ngrams import WIDTH
from seqtool.models.pooling import PLAIN
from seqtool.settings.examples import ExampleShape
from seqtool.settings.model import POOLINGS, ModelConfig

V, BEGIN, F, N = 11, 1, 3, 2
CORES: dict[str, dict[str, Any]] = {
    "rnn": {"embed": 6},
    "gru": {"embed": 6},
    "lstm": {"embed": 6, "layers": 2},
    "ffn": {"embed": 6, "context": 3},
    "mingru": {"layers": 2},
    "gdn": {"heads": 2, "signed": True},
    "transformer": {"layers": 2, "heads": 2, "context": 32, "stem": 1, "position": "rope"},
    "bag": {"ngrams": 3, "buckets": 50},
}
LENGTHS = torch.tensor([4, 1, 9, 2, 6])
READ_TOKENS = [core for core in CORES if core != "bag"]
WIDE: dict[str, Any] = {"wide_ngrams": 3, "buckets": 50}
ALL = list(itertools.product(CORES, POOLINGS, (False, True)))
OF_IDS = ExampleShape(tables=(V,), begin_id=BEGIN, numbers=N, categories=(3,), outputs=4, fitted=2)


def config_of(core: str, pooling: str = "mean", bidirectional: bool = False, **settings: Any) -> ModelConfig:
    sizes = {"hidden": 8, **CORES[core], **settings}
    return ModelConfig(model=core, pooling=pooling, bidirectional=bidirectional, dropout=0.3, **sizes)


def model_of(config: ModelConfig, shape: ExampleShape) -> ExampleModel:
    model = build_example_model(config, shape, seed=3).eval()
    torch.manual_seed(5)
    for core in model.cores:  # a bag's n-grams begin at zero, which would hide a wrong one
        if table := getattr(core, "table", None):
            nn.init.normal_(table.weight)
    if model.wide is not None and model.wide.table is not None:
        nn.init.normal_(model.wide.table.weight)
    return model


def examples(shape: ExampleShape, behind: int = BEGIN) -> ExampleInput:
    """Examples of LENGTHS, filled up with `behind`."""
    draw = torch.Generator().manual_seed(0)
    rows, time = len(LENGTHS), int(LENGTHS.max())
    inside = (torch.arange(time) < LENGTHS[:, None])[..., None]
    ids = torch.randint(2, V, (rows, time, len(shape.tables)), generator=draw) if shape.tables else None
    steps = torch.randn(rows, time, shape.channels, generator=draw) if shape.channels else None
    return ExampleInput(
        LENGTHS,
        None if ids is None else ids.where(inside, torch.tensor(behind)),
        None if steps is None else steps.where(inside, torch.tensor(float(behind))),
        torch.randn(rows, shape.numbers, generator=draw) if shape.numbers else None,
        torch.randint(3, (rows, len(shape.categories)), generator=draw) if shape.categories else None,
    )


@pytest.mark.parametrize("core, pooling, bidirectional", ALL)
def test_an_example_alone_is_as_in_a_batch(core: str, pooling: str, bidirectional: bool):
    model, x = model_of(config_of(core, pooling, bidirectional), OF_IDS), examples(OF_IDS)
    together = model(x)
    assert together.shape == (len(LENGTHS), 4)
    for row in range(len(LENGTHS)):
        torch.testing.assert_close(model(x.rows(slice(row, row + 1)))[0], together[row], rtol=0, atol=1e-6)


@pytest.mark.parametrize("core, bidirectional", list(itertools.product(READ_TOKENS, (False, True))))
def test_a_token_alone_is_as_in_a_batch(core: str, bidirectional: bool):
    shape = ExampleShape(tables=(V,), begin_id=BEGIN, outputs=4, each=True)
    model, x = model_of(config_of(core, bidirectional=bidirectional), shape), examples(shape)
    together = model(x)
    assert together.shape == (len(LENGTHS), int(LENGTHS.max()), 4)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = model(x.rows(slice(row, row + 1)))[0]
        torch.testing.assert_close(alone, together[row, :length], rtol=0, atol=1e-6)


@pytest.mark.parametrize("core, pooling, bidirectional", ALL)
def test_what_fills_up_a_batch_changes_nothing(core: str, pooling: str, bidirectional: bool):
    model = model_of(config_of(core, pooling, bidirectional), OF_IDS)
    torch.testing.assert_close(model(examples(OF_IDS, 7)), model(examples(OF_IDS, BEGIN)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("core, bidirectional", list(itertools.product(READ_TOKENS, (False, True))))
def test_with_ngrams_beside_it_an_example_alone_is_as_in_any_batch(core: str, bidirectional: bool):
    model, x = model_of(config_of(core, "mean", bidirectional, **WIDE), OF_IDS), examples(OF_IDS)
    together = model(x)
    torch.testing.assert_close(model(examples(OF_IDS, behind=5)), together, rtol=0, atol=1e-6)
    for row in range(len(LENGTHS)):
        torch.testing.assert_close(model(x.rows(slice(row, row + 1)))[0], together[row], rtol=0, atol=1e-6)


def test_a_net_and_ngrams_add_what_each_says_and_no_ngram_is_dropped():
    model, x = model_of(config_of("lstm", **WIDE), OF_IDS), examples(OF_IDS)
    assert model.wide is not None
    assert x.ids_BTK is not None
    deep = model.head.in_features - WIDTH
    of_ngrams = model.wide(x.ids_BTK[..., 0], x.lengths_B) @ model.head.weight[:, deep:].T
    whole = model(x)
    with torch.no_grad():
        model.head.weight[:, deep:] = 0
    torch.testing.assert_close(model(x) + of_ngrams, whole)
    with torch.no_grad():
        model.head.weight[:, :deep] = 0
        model.head.weight[:, deep:] = 1
    torch.testing.assert_close(model.train()(x), model.eval()(x), rtol=0, atol=0)


@pytest.mark.parametrize("core, pooling", list(itertools.product(["rnn", "gru", "lstm", "transformer"], POOLINGS)))
def test_steps_of_numbers_alone_are_as_in_a_batch(core: str, pooling: str):
    shape = ExampleShape(steps=9, channels=F, outputs=2)
    model, x = model_of(config_of(core, pooling, True), shape), examples(shape, 3)
    together = model(x)
    for row in range(len(LENGTHS)):
        torch.testing.assert_close(model(x.rows(slice(row, row + 1)))[0], together[row], rtol=0, atol=1e-6)


@pytest.mark.parametrize("core", READ_TOKENS)
def test_columns_alone_are_as_in_a_batch(core: str):
    shape = ExampleShape(numbers=N, categories=(3, 3), outputs=1)
    model = model_of(config_of(core), shape)
    x = examples(shape)._replace(lengths_B=torch.ones(len(LENGTHS), dtype=torch.long))
    together = model(x)
    for row in range(len(LENGTHS)):
        torch.testing.assert_close(model(x.rows(slice(row, row + 1)))[0], together[row], rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_an_lstm_that_reads_both_ways_is_torchs_on_packed_sequences(pooling: str):
    shape = ExampleShape(tables=(V,), begin_id=BEGIN, outputs=4)
    model, x = model_of(config_of("lstm", pooling, True, layers=1), shape), examples(shape)
    E, H = 6, 8
    theirs = nn.LSTM(E, H, batch_first=True, bidirectional=True)
    for core, ending in zip(model.cores, ("", "_reverse"), strict=True):
        for name, weight in core.layers[0].kernel.named_parameters():
            getattr(theirs, name + ending).data.copy_(weight)
    assert x.ids_BTK is not None
    vectors = model.tables[0](x.ids_BTK[..., 0])
    packed = nn.utils.rnn.pack_padded_sequence(vectors, LENGTHS, batch_first=True, enforce_sorted=False)
    y, (h, _) = theirs(packed)
    features, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
    pooled = (
        torch.cat([h[0], h[1]], dim=-1)
        if pooling == "last"
        else (PLAIN.get(pooling) or model.pooling)(features, LENGTHS)
    )
    torch.testing.assert_close(model(x), model.head(pooled), rtol=1e-5, atol=1e-6)


def test_each_token_of_an_lstm_that_reads_both_ways_is_torchs():
    shape = ExampleShape(tables=(V,), begin_id=BEGIN, outputs=4, each=True)
    model, x = model_of(config_of("lstm", "mean", True, layers=1), shape), examples(shape)
    theirs = nn.LSTM(6, 8, batch_first=True, bidirectional=True)
    for core, ending in zip(model.cores, ("", "_reverse"), strict=True):
        for name, weight in core.layers[0].kernel.named_parameters():
            getattr(theirs, name + ending).data.copy_(weight)
    assert x.ids_BTK is not None
    packed = nn.utils.rnn.pack_padded_sequence(
        model.tables[0](x.ids_BTK[..., 0]), LENGTHS, batch_first=True, enforce_sorted=False
    )
    features, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    found, expected = model(x), model.head(features)
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(found[row, :length], expected[row, :length], rtol=1e-5, atol=1e-6)


def test_a_stem_adds_the_rows_of_the_tokens_before():
    shape = ExampleShape(tables=(V,), begin_id=BEGIN, outputs=4)
    model, x = model_of(config_of("transformer", stem=3), shape), examples(shape)
    assert x.ids_BTK is not None
    assert len(model.tables_before) == 2
    ids = [BEGIN, BEGIN, *x.ids_BTK[2, :, 0].tolist()]
    tables = [model.tables[0].weight, *(table.weight for table in model.tables_before)]
    expected = [sum(table[ids[at - back]] for back, table in enumerate(tables)) for at in range(2, len(ids))]
    torch.testing.assert_close(model._vectors(x).dense()[2], torch.stack(expected))
    together = model(x)
    for row in range(len(LENGTHS)):
        torch.testing.assert_close(model(x.rows(slice(row, row + 1)))[0], together[row], rtol=0, atol=1e-6)


def test_sequences_are_turned_round_within_their_lengths():
    places = turned(torch.tensor([3, 1, 4]), 4)
    assert places.tolist() == [[2, 1, 0, 3], [0, 1, 2, 3], [3, 2, 1, 0]]
    assert torch.equal(places.gather(1, places), torch.arange(4).expand(3, 4))  # twice is not at all


def test_the_window_of_dense_layers_begins_with_the_beginnings_row():
    """Max-pooled dense layers over windows, the convolution of Kim 2014: each window by hand."""
    shape = ExampleShape(tables=(V,), begin_id=BEGIN, outputs=4)
    model, x = model_of(config_of("ffn", "max", activation="relu"), shape), examples(shape)
    assert x.ids_BTK is not None
    for row, length in enumerate(LENGTHS.tolist()):
        ids = [BEGIN, BEGIN, *x.ids_BTK[row, :length, 0].tolist()]
        windows = torch.stack([model.tables[0].weight[ids[at : at + 3]].flatten() for at in range(length)])
        expected = model.head(model.cores[0].layers[0](windows).relu().amax(0))
        torch.testing.assert_close(model(x)[row], expected, rtol=1e-5, atol=1e-6)


def test_dense_layers_on_columns_are_a_perceptron():
    """One layer: the logistic regression of the lecture, on numbers and one-hot categories, of 0 their mean."""
    shape = ExampleShape(numbers=N, categories=(3, 3), outputs=1)
    model, x = model_of(config_of("ffn", layers=1), shape), examples(shape)
    assert x.numbers_BN is not None
    assert x.categories_BC is not None
    rows = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])
    columns = torch.cat([x.numbers_BN, *(rows[x.categories_BC[:, at]] for at in (0, 1))], dim=1)
    assert sum(weight.numel() for weight in model.parameters()) == N + 4 + 1
    torch.testing.assert_close(model(x), columns @ model.head.weight.t() + model.head.bias)


SHAPES = {
    "ids": OF_IDS,
    "ids of two tables": ExampleShape(tables=(V, 30), begin_id=BEGIN, outputs=2),
    "each": ExampleShape(tables=(V,), begin_id=BEGIN, outputs=5, each=True),
    "steps": ExampleShape(steps=9, channels=F, numbers=N, outputs=3, fitted=4),
    "columns": ExampleShape(numbers=N, categories=(3, 5), outputs=1, fitted=2),
}


@pytest.mark.parametrize("core, shape, bidirectional", list(itertools.product(CORES, SHAPES, (False, True))))
def test_numbers_are_those_of_the_model_that_is_built(core: str, shape: str, bidirectional: bool):
    config = config_of(core, "attention", bidirectional)
    model = build_example_model(config, SHAPES[shape])
    learned, held = example_numbers(config, SHAPES[shape])
    assert learned == sum(weight.numel() for weight in model.parameters())
    assert held == sum(tensor.numel() for tensor in model.state_dict().values())


@pytest.mark.parametrize("shape", SHAPES)
def test_numbers_of_ngrams_beside_a_net_are_counted(shape: str):
    plain, wide = (example_numbers(config_of("gru", **own), SHAPES[shape])[0] for own in ({}, WIDE))
    model = build_example_model(config_of("gru", **WIDE), SHAPES[shape])
    assert wide == sum(weight.numel() for weight in model.parameters())
    assert wide - plain == (WIDTH * (V + 51 + OF_IDS.outputs) if shape == "ids" else 0)


def test_numbers_of_a_bag_by_hand():
    """A row of 8 numbers for each symbol, each bucket and no n-gram, and 4 outputs with what stands beside them."""
    shape = dataclasses.replace(OF_IDS, fitted=0)
    assert example_numbers(config_of("bag"), shape)[0] == 8 * (V + 51) + 4 * (8 + N + 2 + 1)


def test_sizes_beyond_reason_are_refused_before_memory_is_taken():
    with pytest.raises(UsageError, match="choose smaller ones"):
        example_numbers(config_of("bag", hidden=65536, buckets=1 << 26), OF_IDS)


def test_a_model_is_a_function_of_its_seed():
    first, again, other = (build_example_model(config_of("lstm"), OF_IDS, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
