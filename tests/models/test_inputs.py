"""What a core reads, against sums of rows and one-hot vectors made by hand."""

from __future__ import annotations

import pytest
import torch

from seqtool.models.inputs import Inputs, input_parameters
from seqtool.settings.model import ModelConfig, Symbols

V, BEGIN, E = 9, 1, 4
SYMBOLS = Symbols(V, BEGIN, V, 100)
IDS = torch.tensor([[3, 5, 5, 2], [8, 0, 7, 3]])


def inputs(window: int | None = None, **settings: object) -> Inputs:
    return Inputs(ModelConfig(**{"model": "lstm", "embed": E, **settings}), SYMBOLS, window)


def test_a_stem_is_a_sum_over_places():
    made = inputs(model="transformer", hidden=E, heads=1, stem=3)
    x, before = made(IDS, None)
    padded = torch.cat([torch.full((2, 2), BEGIN), IDS], 1)
    tables = [made.embedding, *made.embeddings_before]
    for row in range(2):
        for place in range(4):
            expected = sum(table.weight[padded[row, place + 2 - back]] for back, table in enumerate(tables))
            torch.testing.assert_close(x.dense()[row, place], expected)
    assert torch.equal(before, IDS[:, 2:])


@pytest.mark.parametrize("stem", [1, 4])
def test_in_parts_the_remembered_ids_go_on(stem: int):
    made = inputs(model="transformer", hidden=E, heads=1, stem=stem)
    whole, _ = made(IDS, None)
    before, parts = None, []
    for part in IDS.split([1, 3], dim=1):
        x, before = made(part, before)
        parts.append(x.dense())
    torch.testing.assert_close(torch.cat(parts, 1), whole.dense())


def test_a_window_is_read_again():
    made = inputs(window=2)
    x, before = made(IDS, None)
    assert torch.equal(x.ids_BT, torch.cat([torch.full((2, 2), BEGIN), IDS], 1))
    x, before = made(IDS[:, :1], before)
    assert torch.equal(x.ids_BT, torch.cat([IDS[:, 2:], IDS[:, :1]], 1))
    assert torch.equal(made.restarted(before, torch.tensor([True, False]))[0], torch.full((2,), BEGIN))


def test_plain_vectors_and_one_hot_ones_are_not_made_before_they_are_needed():
    plain, one_hot = inputs(), inputs(input="one-hot")
    x, before = plain(IDS, None)
    assert before is None
    assert x.dense_BTE is None
    assert torch.equal(x.dense(), plain.embedding.weight[IDS])
    assert one_hot(IDS, None)[0].one_hot
    assert not list(one_hot.parameters())


def test_dropped_symbols_are_gone_wherever_they_stand():
    made = inputs(dropout_embedding=0.5).train()
    torch.manual_seed(0)
    x = made(IDS, None)[0].dense()
    assert torch.equal(x[0, 1], x[0, 2])
    kept = x.abs().sum(-1) > 0
    assert kept.any()
    assert not kept.all()
    torch.testing.assert_close(x[kept], 2 * made.embedding.weight[IDS][kept])


@pytest.mark.parametrize(
    "settings", [{}, {"input": "one-hot"}, {"model": "transformer", "hidden": E, "heads": 1, "stem": 3}]
)
def test_the_count_is_that_of_the_tables(settings: dict[str, object]):
    config = ModelConfig(**{"model": "lstm", "embed": E, **settings})
    assert input_parameters(config, SYMBOLS) == sum(weight.numel() for weight in inputs(**settings).parameters())
