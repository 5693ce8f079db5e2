"""Reading a model once gives what asking it for each token gives, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.counts import columns, model
from seqtool.counts.counting import NgramCounts
from seqtool.counts.held_out import held_out_nats
from seqtool.counts.kneser_ney import estimated
from seqtool.counts.model import text_nats
from tests.counts.oracle import hostile_documents, joined

V, BEGIN = 12, 1
TEXTS = [
    joined(hostile_documents(7, V, BEGIN), BEGIN),
    joined(hostile_documents(0, V, BEGIN), BEGIN)[1:],
    np.array([BEGIN]),
    np.array([], np.int64),
]


@pytest.mark.parametrize("block", [1, 3, 1 << 20])
@pytest.mark.parametrize("order", [1, 2, 5])
def test_the_nats_are_those_of_the_model(monkeypatch: pytest.MonkeyPatch, order: int, block: int):
    monkeypatch.setattr(model, "READ_TOKENS", 16)
    monkeypatch.setattr("seqtool.counts.held_out.READ_TOKENS", 16)
    counts = NgramCounts(joined(hostile_documents(0, V, BEGIN), BEGIN), V, BEGIN, columns.Storage(0))
    for _ in range(order - 1):
        counts.grow()
    counts.storage.block = block
    found = estimated(counts, order, (0, 0, 1))
    for text in TEXTS:
        assert held_out_nats(found, text, counts.storage) == text_nats(found.model(), text)
