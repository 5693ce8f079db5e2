"""The quick loss of a validation against scoring each document whole."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.tasks.language.validation import held_out_loss
from tests.scoring.test_scorer import ids_of, scores
from tests.zoo import BEGIN, ZOO, zoo_model


@pytest.mark.parametrize("name", [name for name in ZOO if "identity" not in name])  # which never forgets
def test_validation_is_close_to_the_full_score_and_equal_for_a_window(name: str):
    model = zoo_model(name)
    ids = ids_of(5000)
    quick = held_out_loss(model, ids, 10_000)
    assert quick.targets == 64 * (5000 // 64) if len(ids) // 128 >= 64 else quick.targets > 4900
    (full,) = scores(model, [ids])
    assert quick.loss == pytest.approx(float(full.mean()), rel=0.02)


def test_validation_leaves_out_what_begins_documents():
    """Short documents: the validation loss is that of the documents, each begun afresh."""
    model = zoo_model("lstm")
    documents = [ids_of(20, seed) for seed in range(30)]
    stream = np.concatenate([np.concatenate([[BEGIN], ids]) for ids in documents]).astype(np.uint16)
    quick = held_out_loss(model, stream, 10_000)
    total = sum(nats.sum(dtype=np.float64) for nats in scores(model, documents))
    assert quick.targets <= 600
    assert quick.loss == pytest.approx(total / 600, rel=0.02)
    assert held_out_loss(model, stream[:21], 10_000).targets == 20
