"""A model comes back from its arrays; arrays that are not one are refused, whatever was done to them."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.counts.counting import NgramCounts
from seqtool.counts.kneser_ney import estimate
from seqtool.counts.model import NgramModel
from seqtool.counts.stored import arrays_of, bytes_of, model_of, numbers_of, shapes_of
from seqtool.files.tensors import NAMES
from tests.counts.oracle import hostile_documents, joined

V, BEGIN = 12, 1


def model(order: int = 4) -> NgramModel:
    counts = NgramCounts(joined(hostile_documents(0, V, BEGIN), BEGIN), V, BEGIN)
    for _ in range(order - 1):
        counts.grow()
    return estimate(counts, order)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_a_model_comes_back(order: int):
    ngrams = model(order)
    arrays = arrays_of(ngrams)
    again = model_of(arrays, order, BEGIN)
    contexts = ngrams.advance(ngrams.no_contexts(V), np.arange(V))
    assert np.array_equal(again.next_log_p(contexts), ngrams.next_log_p(contexts))
    assert {name: (NAMES[dtype], shape) for name, (dtype, shape) in shapes_of(ngrams.sizes).items()} == {
        name: (array.dtype.name, array.shape) for name, array in arrays.items()
    }
    assert numbers_of(ngrams.sizes) == sum(array.size for array in arrays.values())
    assert bytes_of(ngrams.sizes) == sum(array.nbytes for array in arrays.values())


@pytest.mark.parametrize(("name", "place", "value", "told"), [
    ("tokens.3", 0, V, "other symbols"),
    ("tokens.3", 0, -1, "other symbols"),
    ("tokens.2", 1, 0, "out of order"),
    ("firsts.2", 0, 1, "no shorter one"),
    ("firsts.2", -1, 0, "no shorter one"),
    ("firsts.1", 3, 1 << 30, "no shorter one"),
    ("log_p.4", 0, 0.5, "probability"),
    ("log_p.1", 0, np.nan, "probability"),
    ("backoffs.1", 2, np.inf, "back-off"),
    ("backoffs.3", 0, np.nan, "back-off"),
])  # fmt: skip
def test_arrays_that_are_no_model_are_refused(name: str, place: int, value: float, told: str):
    arrays = {key: array.copy() for key, array in arrays_of(model()).items()}
    arrays[name][place] = value
    with pytest.raises(ValueError, match=told):
        model_of(arrays, 4, BEGIN)
