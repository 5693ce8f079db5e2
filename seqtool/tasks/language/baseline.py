"""What counting alone makes of the text that a net learned from: the loss that its own is to be held beside."""

from __future__ import annotations

from typing import NamedTuple

from seqtool.counts.choosing import best_of, candidates
from seqtool.counts.counting import NgramCounts
from seqtool.models.counted import CountedModel
from seqtool.settings.model import MAX_ORDER
from seqtool.tasks.language.data import TrainingData
from seqtool.tasks.language.validation import held_out_loss

TOKENS_PER_SECOND = 400_000  # that are counted at least, up to the order that suits the text
MOST_TOKENS = 1 << 23
SHARE_OF_TIME = 0.05  # of the training's, which counting may take


class Baseline(NamedTuple):
    """The order of an n-gram model and its loss in nats per token."""

    order: int
    loss: float


def ngram_baseline(data: TrainingData, valid_tokens: int, seconds: float) -> Baseline | None:
    """The loss of n-grams on those tokens on which a net was validated, of the order that suits them best.

    None where counting would take more than a small share of the `seconds` that the net's training took.
    """
    tokens = len(data.train_ids)
    if tokens > min(MOST_TOKENS, SHARE_OF_TIME * seconds * TOKENS_PER_SECOND):
        return None
    counts = NgramCounts(data.train_ids, data.vocabulary.size, data.vocabulary.begin_id)
    model = best_of(list(candidates(counts, data.valid_ids[0:valid_tokens], 0, MAX_ORDER))).model
    judged = held_out_loss(CountedModel(model), data.valid_ids, min(valid_tokens, len(data.valid_ids)))
    return None if judged is None or not judged.targets else Baseline(model.order, judged.loss)
