"""What counting alone makes of the text that a net learned from: the loss that its own is to be held beside."""

from __future__ import annotations

import time
from typing import NamedTuple

from seqtool.counts.choosing import Candidate, best_of, candidates
from seqtool.counts.columns import Storage
from seqtool.counts.counting import NgramCounts
from seqtool.models.counted import CountedModel
from seqtool.settings.model import MAX_ORDER
from seqtool.tasks.language.data import TrainingData
from seqtool.tasks.language.validation import held_out_loss

SHARE_OF_TIME = 0.05  # of the training's, after which no longer n-grams are counted
TOKENS_PER_SECOND = 300_000  # that are counted up to three tokens long, at least


class Baseline(NamedTuple):
    """The order of an n-gram model and its loss in nats per token."""

    order: int
    loss: float


def ngram_baseline(data: TrainingData, valid_tokens: int, seconds: float) -> Baseline | None:
    """The loss of n-grams on those tokens on which a net was validated, of the order that suits them best.

    Counting ends after a small share of the `seconds` that the net's training took. None where that does not suffice
    for n-grams of three tokens, or memory does not.
    """
    began, most = time.perf_counter(), SHARE_OF_TIME * seconds
    if not len(data.valid_ids) or len(data.train_ids) > most * TOKENS_PER_SECOND:
        return None
    found: list[Candidate] = []
    try:
        counts = NgramCounts(
            data.train_ids, data.vocabulary.size, data.vocabulary.begin_id, Storage.of_half_the_free_memory()
        )
        for candidate in candidates(counts, data.valid_ids[0:valid_tokens], 0, MAX_ORDER):
            found = [*found[-1:], candidate]
            if time.perf_counter() - began > most:
                break
        model = best_of(found).model
        judged = held_out_loss(CountedModel(model), data.valid_ids, valid_tokens)
    except MemoryError:
        return None
    assert judged is not None  # since nothing stops it
    return Baseline(model.order, judged.loss)
