"""What decoders share: memories of some rows, and the last of what was read."""

from __future__ import annotations

import torch

from seqtool.models.cores.decoder import Memory, build_decoder, last_of, no_looks
from seqtool.settings.architectures import ARCHITECTURES
from seqtool.settings.model import ModelConfig


def test_rows_of_a_memory_go_together():
    memory = Memory(torch.arange(12.0).view(3, 2, 2), torch.tensor([2, 1, 2]), torch.arange(3.0)[:, None])
    taken = memory.take(torch.tensor([2, 0, 2]))
    assert taken.summary_BM.flatten().tolist() == [2, 0, 2]
    assert torch.equal(taken.values_BSM[1], memory.values_BSM[0])
    assert taken.lengths_B.tolist() == [2, 2, 2]


def test_the_last_is_that_of_the_length():
    values = torch.arange(12.0).view(2, 3, 2)
    assert last_of(values, torch.tensor([1, 3])).tolist() == [[0, 1], [10, 11]]


def test_looking_nowhere_has_no_layers():
    assert no_looks(torch.zeros(2, 5, 3), 4).shape == (2, 0, 1, 5, 4)


def test_every_architecture_that_decodes_has_a_decoder():
    for name, traits in ARCHITECTURES.items():
        if traits.decoder:
            assert build_decoder(ModelConfig(model=name, hidden=8, context=16), 8, 8).width == 8
