"""-log p of a text by a model that need not fit in memory: what the text has is sorted, and the model is read once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seqtool.counts.columns import Storage
from seqtool.counts.counting import Int64
from seqtool.counts.kneser_ney import Estimated
from seqtool.counts.model import READ_TOKENS, Float64


def held_out_nats(model: Estimated, ids: npt.NDArray[np.integer], storage: Storage) -> tuple[float, int]:
    """-log p of the tokens of documents, `<s>` before each, and how many they are; `<s>` itself does not count.

    The same numbers as `text_nats` gives, bit by bit.
    """
    begun = len(ids) > 0 and int(ids[0]) == model.begin_id
    missing = 0 if begun else 1
    nats, count, reach = 0.0, 0, len(model.log_p) - 1
    at_once = max(1, storage.block // READ_TOKENS) * READ_TOKENS
    for begin in range(0, len(ids) + missing - 1, at_once):
        before = max(0, begin - reach)  # what the first tokens depend on
        part = ids[max(0, before - missing) : begin + at_once + 1 - missing].astype(np.int64)
        if before < missing:
            part = np.concatenate([np.array([model.begin_id]), part])
        log_p = _log_p(model, part, storage)[begin + 1 - before :]
        is_text = part[begin + 1 - before :] != model.begin_id
        for start in range(0, len(log_p), READ_TOKENS):
            counts = is_text[start : start + READ_TOKENS]
            nats -= float(log_p[start : start + READ_TOKENS][counts].sum())
            count += int(np.count_nonzero(counts))
    return nats, count


def _log_p(model: Estimated, text: Int64, storage: Storage) -> Float64:
    """log p of each token, of the first by itself."""
    log_p, numbers = model.log_p[0][0 : len(model.log_p[0])][text], text
    for k in range(2, len(model.log_p) + 1):
        parents = np.concatenate([[-1], numbers[:-1]])
        numbers = _extended(model, k, parents, text, log_p, storage)
    return log_p


def _extended(model: Estimated, k: int, parents: Int64, text: Int64, log_p: Float64, storage: Storage) -> Int64:
    """The numbers of the n-grams of order k that end at each place, -1: there is none; log p changes to theirs."""
    firsts, tokens, own, backoffs = model.firsts[k - 2], model.tokens[k - 2], model.log_p[k - 1], model.backoffs[k - 2]
    places = np.flatnonzero(parents >= 0)
    places = places[np.lexsort((text[places], parents[places]))]
    wanted, vocab_size = parents[places], len(model.log_p[0])
    numbers = np.full(len(text), -1, np.int64)
    begin = 0
    while begin < len(places):
        first = int(wanted[begin])  # contexts before it are not asked for
        starts = firsts[first : first + storage.block + 1].astype(np.int64)
        contexts = max(1, int(np.searchsorted(starts, starts[0] + storage.block, side="right")) - 1)
        end = int(np.searchsorted(wanted, first + contexts))
        part, span = places[begin:end], slice(int(starts[0]), int(starts[contexts]))
        keys = np.repeat(np.arange(contexts), np.diff(starts[: contexts + 1])) * vocab_size + tokens[span]
        asked = (wanted[begin:end] - first) * vocab_size + text[part]
        at = np.searchsorted(keys, asked)
        is_there = at < len(keys)
        is_there[is_there] = keys[at[is_there]] == asked[is_there]
        log_p[part] = log_p[part] + backoffs[first : first + contexts][wanted[begin:end] - first]
        log_p[part[is_there]] = own[span][at[is_there]]
        numbers[part[is_there]] = span.start + at[is_there]
        begin = end
    return numbers
