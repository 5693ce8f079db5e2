"""Interpolated modified Kneser-Ney (Chen and Goodman 1999), as KenLM's lmplz computes it (Heafield et al. 2013).

    p(w | c) = (a(cw) - D(a(cw))) / sum_v a(cv) + b(c) p(w | c'),    b(c) = sum_v D(a(cv)) / sum_v a(cv)

a(cw) is how often an n-gram of the highest order occurs, and one that begins with `<s>`; of the others it is how many
different tokens stand before it. c' is c without its first token. D has three values an order, for a = 1, 2 and more;
they follow from all n-grams but those of documents' ends, which where documents are lines would count line ends twice.
The unigrams are mixed with the uniform distribution over the tokens that the text has and one unknown; the vocabulary's
other symbols share what is the unknown's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seqtool.counts.counting import Int64, NgramCounts
from seqtool.counts.model import Float64, NgramModel

FALLBACK = (0.5, 1.0, 1.5)
"""The discounts of an order whose counts of counts are missing or give impossible ones."""


def discounts(counts: Int64) -> tuple[float, float, float]:
    """What is taken from counts of 1, of 2, and of 3 or more: equation (26) of Chen and Goodman.

    FALLBACK where no n-gram has one of these counts, or where one of the discounts is not above 0 and at most its
    count: 0 would leave nothing for what was not seen.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == count)) for count in (1, 2, 3, 4))
    if not (n1 and n2 and n3):
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if all(0 < each <= count for count, each in enumerate(found, start=1)) else FALLBACK


def estimate(counts: NgramCounts, order: int, prune: Sequence[int] = ()) -> NgramModel:
    """The model of an order up to that to which n-grams were counted.

    `prune` says for each order the count up to which n-grams are left out, the last number for those beyond, and does
    not fall: what is left out goes to the shorter context.
    """
    assert 1 <= order <= len(counts.orders)
    least = [*prune[:order], *[prune[-1] if prune else 0] * (order - len(prune))]
    assert least[0] == 0
    p = _unigrams(counts, order)
    log_p, backoffs, tokens, firsts = [_log(p)], [], [], []
    numbers = np.arange(counts.vocab_size)  # of the n-grams one token shorter, among those that were kept
    kept_before = counts.vocab_size
    for k in range(2, order + 1):
        of_order = counts.orders[k - 1]
        adjusted = counts.adjusted(k) if k < order else of_order.counts
        taken = _taken(adjusted, of_order.tokens != counts.begin_id)
        kept = of_order.counts > least[k - 1]
        parents, contexts = of_order.parents, len(counts.orders[k - 2])
        sums = np.bincount(parents, adjusted, contexts)
        left = np.bincount(parents, np.where(kept, taken, adjusted), contexts)
        b = np.divide(left, sums, out=np.ones(contexts), where=sums > 0)
        p = (adjusted - taken) / sums[parents] + b[parents] * p[of_order.suffixes]
        backoffs.append(_log(b)[numbers >= 0])
        kept_parents = numbers[parents[kept]]
        firsts.append(np.cumsum([0, *np.bincount(kept_parents, minlength=kept_before)]).astype(np.int32))
        tokens.append(of_order.tokens[kept])
        log_p.append(_log(p[kept]))
        numbers = np.where(kept, np.cumsum(kept) - 1, -1)
        kept_before = int(np.count_nonzero(kept))
    return NgramModel(counts.begin_id, tokens, firsts, log_p, backoffs)


def _unigrams(counts: NgramCounts, order: int) -> Float64:
    """p of each symbol by itself, (V,)."""
    adjusted = counts.adjusted(1) if order > 1 else counts.orders[0].counts
    occurs = adjusted > 0
    # `<s>` is predicted only as the end of a document that another one follows.
    unseen = ~occurs & (np.arange(counts.vocab_size) != counts.begin_id)
    taken = _taken(adjusted, np.arange(counts.vocab_size) != counts.begin_id)
    total = adjusted.sum()
    others = np.count_nonzero(unseen)
    uniform = taken.sum() / total / (np.count_nonzero(occurs) + (others > 0))
    p: Float64 = np.where(occurs, (adjusted - taken) / total + uniform, 0.0)
    p[unseen] = uniform / max(1, others)
    return p


def _taken(adjusted: Int64, estimated: npt.NDArray[np.bool_]) -> Float64:
    """The discount of each n-gram's count, from those that it is estimated from."""
    return np.array([0.0, *discounts(adjusted[estimated])])[np.minimum(adjusted, 3)]


def _log(p: npt.NDArray[np.float64]) -> Float64:
    """Natural logarithms; -inf of 0."""
    with np.errstate(divide="ignore"):
        return np.log(p)
