"""What writes a text for what is read: no padding is ever seen, a token at a time is as all at once."""

from __future__ import annotations

import pytest
import torch

from seqtool.errors import UsageError
from seqtool.models.encoder_decoder import EncoderDecoder, blank_model, numbers_of
from seqtool.models.example_model import ExampleModel
from seqtool.models.loss import token_nats
from seqtool.settings.examples import ExampleShape
from seqtool.settings.model import ModelConfig
from tests.models.writers import BEGIN, LENGTHS, OF_NUMBERS, OF_TEXT, SYMBOLS, TWO_TABLES, WRITERS, read, told, writer

SHAPES = {"one table": OF_TEXT, "two tables": TWO_TABLES, "numbers": OF_NUMBERS, "steps": OF_NUMBERS}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_example_alone_is_as_in_a_batch(name: str, shape: str):
    model, x, ids_BT = (
        writer(name, SHAPES[shape], encoder="steps" if shape == "steps" else "dense"),
        read(SHAPES[shape]),
        told(SHAPES[shape]),
    )
    together = model(x, ids_BT)
    assert together.shape == (*ids_BT.shape, SHAPES[shape].target_symbols)
    for row in range(len(LENGTHS)):
        alone = model(x.rows(slice(row, row + 1)), ids_BT[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", WRITERS)
def test_what_fills_up_a_batch_changes_nothing(name: str):
    model = writer(name)
    torch.testing.assert_close(model(read(behind=7), told()), model(read(), told()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", WRITERS)
def test_a_token_sees_none_that_follows(name: str):
    model, ids_BT = writer(name), told()
    other_BT = ids_BT.clone()
    other_BT[:, 3:] = (other_BT[:, 3:] + 1) % SYMBOLS
    torch.testing.assert_close(model(read(), other_BT)[:, :3], model(read(), ids_BT)[:, :3], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", WRITERS)
def test_a_token_at_a_time_is_as_all_at_once(name: str):
    model, ids_BT = writer(name), told()
    given, state, parts = model.read(read()), None, []
    whole, _ = model.features(ids_BT, given, None)
    for place in range(ids_BT.shape[1]):
        features, state = model.features(ids_BT[:, place : place + 1], given, state)
        parts.append(features)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_read_decides_what_is_written_and_every_weight_learns(name: str, shape: str):
    model = writer(name, SHAPES[shape], encoder="steps" if shape == "steps" else "dense").train()
    logits = model(read(SHAPES[shape]), told(SHAPES[shape]))
    logits.square().sum().backward()
    of_choice = ("decoder.key", "decoder.query", "decoder.score")  # between positions, of which a dense encoder has one
    idle = [
        name
        for name, weight in model.named_parameters()
        if weight.grad is None or not bool((weight.grad != 0).any())
        if not (shape == "numbers" and name.startswith(of_choice))
    ]
    assert not idle


@pytest.mark.parametrize("name", WRITERS)
def test_where_it_looks_sums_to_one_over_what_was_read(name: str):
    model = writer(name)
    looks = model.looks(read(), told())
    assert looks.shape[0] == len(LENGTHS)
    assert looks.shape[-2] == told().shape[1]
    if name.endswith("none"):
        assert looks.shape[1] == 0
        return
    torch.testing.assert_close(looks.sum(-1), torch.ones(looks.shape[:-1]))
    behind_BS = torch.arange(looks.shape[-1]) >= LENGTHS[:, None]
    assert not looks.masked_select(behind_BS[:, None, None, None].expand_as(looks)).any()


def test_a_bottleneck_knows_the_source_by_its_last_state_alone():
    """Without attention, what was read reaches the decoder through its first state, and with it otherwise as well."""
    for attention, same in (("none", True), ("luong", False)):
        model = writer(f"gru {attention}")
        memory = model.encode(read())
        other = memory._replace(values_BSM=memory.values_BSM + 1)
        with_it, _ = model.features(told(), model.decoder.read(memory), None)
        with_other, _ = model.features(told(), model.decoder.read(other), None)
        assert torch.equal(with_it, with_other) == same


@pytest.mark.parametrize("tied", [False, True])
def test_smoothing_is_that_of_the_logits(tied: bool):
    """(1 - e) nats + e (mean -log p), up to what is the same in both: torch's own definition, in value and gradient."""
    model, share = writer("lstm luong", tied=tied), 0.2
    features_BTO, _ = model.features(told(), model.read(read()), None)
    features_NO, targets_N = features_BTO.flatten(0, 1), told().roll(-1, 1).flatten()
    ours = model.total_nats(features_NO, targets_N) + share * model.smoothing_nats(features_NO, targets_N)
    logits = torch.nn.functional.linear(features_NO, model.weight)
    theirs = torch.nn.functional.cross_entropy(logits, targets_N, reduction="sum", label_smoothing=share)
    torch.testing.assert_close(ours, theirs)
    weight = model.weight
    (mine,), (right,) = (torch.autograd.grad(loss, weight, retain_graph=True) for loss in (ours, theirs))
    torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-5)


def test_nats_are_those_of_the_logits():
    model = writer("transformer rope")
    logits = model(read(), told())
    targets = told().roll(-1, 1)
    features, _ = model.features(told(), model.read(read()), None)
    total = model.total_nats(features.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(total, token_nats(logits, targets).sum())


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("tied", [False, True])
def test_numbers_are_counted_without_memory(name: str, tied: bool):
    model = writer(name, tied=tied)
    learned = sum(weight.numel() for weight in model.parameters())
    assert numbers_of(model.config, model.shape) == (learned, sum(t.numel() for t in model.state_dict().values()))
    with pytest.raises(UsageError, match="choose smaller ones"):
        numbers_of(ModelConfig(hidden=65536, layers=512), OF_TEXT)


def test_the_seed_alone_draws_the_weights_and_one_vocabulary_has_one_table():
    first, second = writer("gru luong"), writer("gru luong")
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))
    assert first.source_table is None
    assert writer("gru luong", TWO_TABLES).source_table is not None


def test_a_shape_says_which_model_it_is_of():
    config = ModelConfig(hidden=8)
    assert isinstance(blank_model(config, OF_TEXT), EncoderDecoder)
    assert isinstance(blank_model(config, ExampleShape(tables=(SYMBOLS,), begin_id=BEGIN)), ExampleModel)


def test_numbers_are_read_as_one_vector_or_column_by_column():
    one, each = (
        writer("gru luong", OF_NUMBERS, encoder=encoder).encode(read(OF_NUMBERS)) for encoder in ("dense", "steps")
    )
    assert one.values_BSM.shape[1] == 1
    assert each.values_BSM.shape[1] == OF_NUMBERS.numbers + len(OF_NUMBERS.categories)
