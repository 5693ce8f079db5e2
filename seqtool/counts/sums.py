"""Whether an n-gram model that came from elsewhere gives probabilities: what follows a context has to sum to 1.

    sum over w of p(w | c) = sum over n-grams cw of p(w | c) + b(c) (1 - sum over the same w of p(w | c'))

where c' is c without its first token and has been found to sum to 1 before.

Shapes: G n-grams of an order, k tokens of each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seqtool.counts.model import Float64, NgramModel

NGRAMS_AT_ONCE = 1 << 18


class Sum(NamedTuple):
    """The probabilities that follow a context, summed; an empty context is that of single tokens."""

    context: tuple[int, ...]
    total: float


def greatest_sum(model: NgramModel) -> Sum:
    """The context after which probabilities sum to most. `<s>` alone is no token that is predicted."""
    told = np.arange(model.vocab_size) != model.begin_id
    greatest = Sum((), float(np.exp(model.log_p[0][told]).sum()))
    words_Gk = np.arange(model.vocab_size, dtype=np.int32)[:, None]
    for k in range(2, model.order + 1):
        firsts, tokens = model.firsts[k - 2], model.tokens[k - 2]
        parents = np.repeat(np.arange(len(firsts) - 1), np.diff(firsts))
        own, lower = np.zeros(len(firsts) - 1), np.zeros(len(firsts) - 1)
        for start in range(0, len(tokens), NGRAMS_AT_ONCE):
            part = slice(start, start + NGRAMS_AT_ONCE)
            own += np.bincount(parents[part], np.exp(model.log_p[k - 1][part]), len(own))
            without_first = np.column_stack([words_Gk[parents[part], 1:], tokens[part]]).astype(np.int64)
            lower += np.bincount(parents[part], np.exp(_last_log_p(model, without_first)), len(own))
        with np.errstate(over="ignore", invalid="ignore"):
            totals = own + np.exp(model.backoffs[k - 2]) * np.maximum(0.0, 1.0 - lower)
        place = int(np.argmax(totals)) if len(totals) else 0
        if len(totals) and totals[place] > greatest.total:
            greatest = Sum(tuple(words_Gk[place].tolist()), float(totals[place]))
        words_Gk = np.column_stack([words_Gk[parents], tokens])
    return greatest


def _last_log_p(model: NgramModel, words_Gk: np.ndarray) -> Float64:
    """log p of the last token of each row given the others, (G,)."""
    if words_Gk.shape[1] == 1:
        return model.log_p[0][words_Gk[:, 0]]
    scored = model.score(words_Gk[:, :-1], words_Gk[:, 1:], model.no_contexts(len(words_Gk)))
    return scored.log_p_BT[:, -1]
