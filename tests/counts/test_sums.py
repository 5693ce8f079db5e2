"""The greatest sum of probabilities, beside the sum over all next tokens after every context."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.counts import sums
from seqtool.counts.counting import NgramCounts
from seqtool.counts.kneser_ney import estimate
from seqtool.counts.model import NgramModel
from seqtool.counts.sums import greatest_sum
from tests.counts.oracle import hostile_documents, joined

V, BEGIN = 9, 1


def model(order: int, prune: tuple[int, ...] = ()) -> NgramModel:
    counts = NgramCounts(joined(hostile_documents(3, V, BEGIN), BEGIN), V, BEGIN)
    for _ in range(order - 1):
        counts.grow()
    return estimate(counts, order, prune)


def after(found: NgramModel, context: tuple[int, ...]) -> float:
    """The sum over all next tokens; of no context, over the tokens that are told by themselves."""
    if not context:
        return float(np.exp(np.delete(found.log_p[0], BEGIN)).sum())
    contexts = found.no_contexts(1)
    for token in context:
        contexts = found.advance(contexts, np.array([token]))
    return float(np.exp(found.next_log_p(contexts)).sum())


@pytest.mark.parametrize("prune", [(), (0, 1), (0, 0, 2)])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_what_was_estimated_sums_to_1(order: int, prune: tuple[int, ...], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sums, "NGRAMS_AT_ONCE", 5)
    found = model(order, prune)
    # `<s>`, which ends a document, is no token that a file tells by itself.
    assert greatest_sum(found).total == pytest.approx(1 if order > 1 else after(found, ()), abs=1e-9)


@pytest.mark.parametrize("edit", range(4))
def test_the_context_is_found_after_which_it_is_too_much(edit: int):
    found = model(4)
    if edit == 0:
        found.backoffs[1][3] += 1.5
    elif edit == 1:
        found.log_p[3][5] = 0.0
    elif edit == 2:
        found.backoffs[2][-1] += 2
    else:
        found.log_p[0][4] = -0.1
    context, total = greatest_sum(found)
    assert total > 1.05
    assert total == pytest.approx(after(found, context), rel=1e-6)
    assert len(context) == (2, 3, 3, 0)[edit]


def test_a_weight_without_bound_is_no_number_that_fails():
    found = model(3)
    found.backoffs[0][4] = 1e5
    assert greatest_sum(found).total == np.inf
