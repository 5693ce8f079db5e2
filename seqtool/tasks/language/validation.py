"""The loss on held-back text during training: the same definition as a full scoring, quickly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from seqtool.models.predictor import Predictor
from seqtool.scoring.scorer import Document, score_documents
from seqtool.text.sequences import document_spans
from seqtool.training.task import Validation

VALIDATION_ROWS = 64  # parts of the validation text that are scored side by side during training
WARM_UP_TOKENS = 64  # tokens that a recurrent state reads, unscored, before its part begins


def held_out_loss(
    model: Predictor, ids: Document, max_tokens: int, stopped: Callable[[], bool] | None = None
) -> Validation | None:
    """The loss on up to `max_tokens` validation tokens, quickly: the same definition as a full scoring, in parallel
    parts.

    The text, `<s>` before each document in it, is cut into up to VALIDATION_ROWS parts spread over it. Where a part
    begins inside a document, the state is warmed up on the tokens before, where a full scoring would have carried it
    from the document's beginning; a transformer's windows do not overlap, so each has less before it than in a full
    scoring. None when `stopped` said yes on the way.
    """
    tokens = min(len(ids), max_tokens)
    rows = max(1, min(VALIDATION_ROWS, tokens // (2 * WARM_UP_TOKENS)))
    size = tokens // rows
    pieces: list[npt.NDArray[np.unsignedinteger]] = []
    unscored: list[int] = []
    for start in (row * len(ids) // rows for row in range(rows)):
        warm = min(start, WARM_UP_TOKENS)
        part = ids[start - warm : start + size]
        starts, ends = document_spans(part, model.begin_id)
        for begin, end in zip(starts.tolist(), ends.tolist(), strict=True):
            if end > max(begin, warm):
                pieces.append(part[begin:end])
                unscored.append(max(0, warm - begin))
    nats, count, index, position = 0.0, 0, 0, 0
    for scored in score_documents(model, pieces, batch_size=VALIDATION_ROWS, stride=model.context or 0):
        if stopped is not None and stopped():
            return None
        kept = scored.nats[max(0, unscored[index] - position) :]
        nats, count = nats + float(kept.sum(dtype=np.float64)), count + len(kept)
        position += len(scored.nats)
        if scored.ends:
            index, position = index + 1, 0
    return Validation(nats, count)
