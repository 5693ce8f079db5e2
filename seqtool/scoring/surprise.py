"""Reading a text closely: what each token cost, what was likeliest in its place, and whether probabilities hold.

Shapes: T tokens, K likeliest symbols, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqtool.errors import InputError
from seqtool.models.predictor import Predictor
from seqtool.scoring.lines import TextLine, check_store, document_starts, encoded_lines
from seqtool.scoring.scorer import CALL_LOGITS, Nats, check_window, document_parts, windows
from seqtool.settings.vocabulary import DOCUMENT_AT
from seqtool.text.documents import TextSource
from seqtool.text.encoding import Ids
from seqtool.text.store import TokenStore
from seqtool.text.vocabulary import Vocabulary

BINS = 10
LIKELIEST = 10
"""How many symbols are kept in each place: no more can have a probability of a tenth or over."""


class CloseReading(NamedTuple):
    """The beginning of a text as a model read it."""

    ids: Ids
    """(T,)."""
    starts: list[int]
    """Where documents begin."""
    lines: list[TextLine]
    """Whole lines."""
    nats: Nats
    """(T,)."""
    likely_TK: npt.NDArray[np.int64]
    """The likeliest symbols in each place, the likeliest first."""
    p_TK: npt.NDArray[np.float32]
    """Their probabilities."""
    whole: bool
    """Whether the text ends there."""


class Bin(NamedTuple):
    """The predictions with a probability from `low` to `high`; None where there are none."""

    low: float
    high: float
    predictions: int
    p: float | None
    """Their mean probability."""
    share: float | None
    """How many of them came."""


def read_closely(
    model: Predictor,
    vocabulary: Vocabulary,
    source: TextSource | TokenStore,
    document: str,
    most: int,
    progress: Callable[[int], None] = lambda done: None,
) -> CloseReading:
    """Read up to `most` tokens of a text, whose documents `document` separates, as `Scorer` does.

    A model that sees so many tokens at most slides a window by half of that. `progress` is told how many are done.
    InputError when a store has another vocabulary, or there is no token.
    """
    ids, lines, whole = _beginning(vocabulary, source, document, most)
    if not len(ids):
        name = source.name if isinstance(source, TextSource) else source.path
        raise InputError(f"{name} has no token to read: give text with words")
    starts = document_starts(lines)
    nats: list[Tensor] = []
    likely: list[Tensor] = []
    p: list[Tensor] = []
    done = 0
    with torch.inference_mode():
        for _, text in document_parts(ids, starts):
            place = 0
            for log_p_TV in _predictions(model, text):
                came_T1 = torch.from_numpy(text[place : place + len(log_p_TV), None]).to(log_p_TV.device)
                top = log_p_TV.topk(min(LIKELIEST, model.vocab_size))
                nats.append(-log_p_TV.gather(1, came_T1)[:, 0].cpu())
                likely.append(top.indices.cpu())
                p.append(top.values.exp().cpu())
                place, done = place + len(log_p_TV), done + len(log_p_TV)
                progress(done)
    shown = [line for line in lines if line.stop <= len(ids)]
    return CloseReading(
        ids, starts, shown, torch.cat(nats).numpy(), torch.cat(likely).numpy(), torch.cat(p).numpy(), whole
    )


def _beginning(
    vocabulary: Vocabulary, source: TextSource | TokenStore, document: str, most: int
) -> tuple[Ids, list[TextLine], bool]:
    """Up to `most` ids of a text, the lines that begin in them, and whether the text ends there."""
    if isinstance(source, TokenStore):
        check_store(vocabulary, source)
    elif document.startswith(DOCUMENT_AT):
        source.document = document
    found: list[Ids] = []
    lines: list[TextLine] = []
    count = 0
    for ids, of_ids in encoded_lines(vocabulary, source, document == "line", document):
        lines += [line._replace(stop=count + line.stop) for line in of_ids]
        found.append(ids)
        count += len(ids)
        if count > most:
            break
    begins = [0, *(line.stop for line in lines)]
    inside = [line for line, begin in zip(lines, begins, strict=False) if begin < most]
    return np.concatenate([np.empty(0, np.uint16), *found])[:most], inside, count <= most


def _predictions(model: Predictor, text: npt.NDArray[np.int64]) -> Iterator[Tensor]:
    """log p in the place of each token of a document, (T, V), in parts."""
    read = np.concatenate([[model.begin_id], text[:-1]])
    context, stride = check_window(model, 0, 0)
    if context:
        for window in windows(0, len(text), context, stride):
            ids = np.concatenate([[model.begin_id], text[window.start : window.stop - 1]])
            log_p_1TV, _ = model.log_p(torch.from_numpy(ids)[None].to(model.device), None)
            yield log_p_1TV[0, window.score_from - window.start :]
        return
    at_once, state = max(1, CALL_LOGITS // model.vocab_size), None
    for start in range(0, len(text), at_once):
        ids_1T = torch.from_numpy(read[start : start + at_once])[None].to(model.device)
        log_p_1TV, state = model.log_p(ids_1T, state)
        yield log_p_1TV[0]


def decoded_pieces(vocabulary: Vocabulary, ids: Ids, starts: Sequence[int]) -> list[str]:
    """The text that each token adds, in documents that begin at `starts`; none where one ends inside a character."""
    pieces, begins = [], set(starts)
    decoder = vocabulary.decoder()
    for place, index in enumerate(ids.tolist()):
        if place in begins:
            decoder = vocabulary.decoder()
        pieces.append(decoder.feed([index]))
    return pieces


def calibration(reading: CloseReading, vocab_size: int) -> list[Bin]:
    """How often what was predicted with so much probability came: over all symbols in all places, in BINS bins.

    Those of a tenth and over are all among the likeliest; what is left of all places is the first bin's.
    """
    p = reading.p_TK.astype(np.float64).ravel()
    came = (reading.likely_TK == reading.ids[:, None].astype(np.int64)).ravel()
    bins = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    sums, hits = np.bincount(bins, p, BINS), np.bincount(bins, came, BINS)
    places = len(reading.ids)
    counts[0] = places * vocab_size - counts[1:].sum()
    sums[0] = max(0.0, places - sums[1:].sum())
    hits[0] = places - hits[1:].sum()
    return [
        Bin(number / BINS, (number + 1) / BINS, int(count), total / count, hit / count)
        if count
        else Bin(number / BINS, (number + 1) / BINS, 0, None, None)
        for number, (count, total, hit) in enumerate(zip(counts.tolist(), sums.tolist(), hits.tolist(), strict=True))
    ]
