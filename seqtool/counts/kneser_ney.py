"""Interpolated modified Kneser-Ney (Chen and Goodman 1999), as KenLM's lmplz computes it (Heafield et al. 2013).

    p(w | c) = (a(cw) - D(a(cw))) / sum_v a(cv) + b(c) p(w | c'),    b(c) = sum_v D(a(cv)) / sum_v a(cv)

a(cw) is how often an n-gram of the highest order occurs, and one that begins with `<s>`; of the others it is how many
different tokens stand before it. c' is c without its first token. D has three values an order, for a = 1, 2 and more;
they follow from all n-grams but those of documents' ends, which where documents are lines would count line ends twice.
The unigrams are mixed with the uniform distribution over the tokens that the text has and one unknown; the vocabulary's
other symbols share what is the unknown's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.counts.columns import Column, Storage, blocks, column_of, gathered
from seqtool.counts.counting import NgramCounts
from seqtool.counts.model import Float64, NgramModel

FALLBACK = (0.5, 1.0, 1.5)
"""The discounts of an order whose counts of counts are missing or give impossible ones."""


def discounts(n1: int, n2: int, n3: int, n4: int) -> tuple[float, float, float]:
    """What is taken from counts of 1, of 2, and of 3 or more: equation (26) of Chen and Goodman.

    So many n-grams have the counts 1 to 4. FALLBACK where one of the first three is 0, or where one of the discounts is
    not above 0 and at most its count: 0 would leave nothing for what was not seen.
    """
    if not (n1 and n2 and n3):
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if all(0 < each <= count for count, each in enumerate(found, start=1)) else FALLBACK


class Estimated(NamedTuple):
    """The arrays of an NgramModel, as columns."""

    begin_id: int
    tokens: list[Column]
    firsts: list[Column]
    log_p: list[Column]
    backoffs: list[Column]

    def model(self) -> NgramModel:
        """The model, of which is read from disk what is there."""
        arrays = [[column.mapped() for column in columns] for columns in self[1:]]
        return NgramModel(self.begin_id, *arrays)


def estimate(counts: NgramCounts, order: int, prune: Sequence[int] = ()) -> NgramModel:
    """The model that `estimated` gives columns of."""
    return estimated(counts, order, prune).model()


def estimated(counts: NgramCounts, order: int, prune: Sequence[int] = ()) -> Estimated:
    """The model of an order up to that to which n-grams were counted.

    `prune` says for each order the count up to which n-grams are left out, the last number for those beyond, and does
    not fall: what is left out goes to the shorter context.
    """
    assert 1 <= order <= len(counts.orders)
    least = [*prune[:order], *[prune[-1] if prune else 0] * (order - len(prune))]
    assert least[0] == 0
    storage = counts.storage
    found = Estimated(counts.begin_id, [], [], [], [])
    p = column_of(storage, _unigrams(counts, order))
    found.log_p.append(column_of(storage, _log(p[0 : len(p)])))
    numbers = column_of(storage, np.arange(counts.vocab_size, dtype=np.int32))
    for k in range(2, order + 1):
        adjusted = counts.adjusted(k) if k < order else counts.orders[k - 1].counts
        p, numbers = _next_order(counts, k, adjusted, least[k - 1], p, numbers, found)
    return found


def _next_order(
    counts: NgramCounts, k: int, adjusted: Column, least: int, p_shorter: Column, kept_shorter: Column, found: Estimated
) -> tuple[Column, Column]:
    """Add the n-grams of order k to what is found, and the back-offs of the order before.

    p of all n-grams of the order before, and their numbers among those that were kept (-1: left out), are given and
    returned for the next.
    """
    storage, of_order = counts.storage, counts.orders[k - 1]
    taken_of = _taken_of(adjusted, of_order.tokens, counts.begin_id, storage)
    of_suffixes = gathered(p_shorter, of_order.suffixes, storage)
    p, numbers, log_p, backoffs = (Column(storage, kind) for kind in (np.float64, np.int32, np.float64, np.float64))
    tokens, firsts = Column(storage, np.int32), column_of(storage, np.zeros(1, np.int32))
    contexts_done = kept_done = 0
    for start, stop in _whole_contexts(of_order.parents, storage):
        last = start == stop or stop == len(of_order)
        parents = of_order.parents[start:stop]
        contexts_end = len(p_shorter) if last else int(parents[-1]) + 1
        parents = parents - contexts_done
        size = contexts_end - contexts_done
        a = adjusted[start:stop]
        taken = taken_of[np.minimum(a, 3)]
        kept = of_order.counts[start:stop] > least
        sums = np.bincount(parents, a, size)
        left = np.bincount(parents, np.where(kept, taken, a), size)
        b = np.divide(left, sums, out=np.ones(size), where=sums > 0)
        of_block = (a - taken) / sums[parents] + b[parents] * of_suffixes[start:stop]
        p.append(of_block)
        log_p.append(_log(of_block[kept]))
        tokens.append(of_order.tokens[start:stop][kept])
        is_context = kept_shorter[contexts_done:contexts_end] >= 0
        backoffs.append(_log(b[is_context]))
        firsts.append((kept_done + np.cumsum(np.bincount(parents[kept], minlength=size)[is_context])).astype(np.int32))
        numbers.append(np.where(kept, kept_done - 1 + np.cumsum(kept), -1).astype(np.int32))
        contexts_done, kept_done = contexts_end, kept_done + int(np.count_nonzero(kept))
    found.tokens.append(tokens)
    found.firsts.append(firsts)
    found.log_p.append(log_p)
    found.backoffs.append(backoffs)
    return p, numbers


def _whole_contexts(parents: Column, storage: Storage) -> Iterator[tuple[int, int]]:
    """Blocks of n-grams in which no context is divided, one of none where there are none."""
    start, size = 0, storage.block
    while True:
        block = parents[start : start + size]
        stop = start + len(block)
        if stop < len(parents):
            stop = start + int(np.searchsorted(block, block[-1]))
            if stop == start:  # one context has more: at most the vocabulary
                size *= 2
                continue
        yield start, stop
        if stop == len(parents):
            return
        start, size = stop, storage.block


def _unigrams(counts: NgramCounts, order: int) -> Float64:
    """p of each symbol by itself, (V,)."""
    of_tokens = counts.adjusted(1) if order > 1 else counts.orders[0].counts
    adjusted = of_tokens[0 : counts.vocab_size].astype(np.int64)
    occurs = adjusted > 0
    # `<s>` is predicted only as the end of a document that another one follows.
    unseen = ~occurs & (np.arange(counts.vocab_size) != counts.begin_id)
    taken = _taken_of(of_tokens, counts.orders[0].tokens, counts.begin_id, counts.storage)[np.minimum(adjusted, 3)]
    total = adjusted.sum()
    others = np.count_nonzero(unseen)
    uniform = taken.sum() / total / (np.count_nonzero(occurs) + (others > 0))
    p: Float64 = np.where(occurs, (adjusted - taken) / total + uniform, 0.0)
    p[unseen] = uniform / max(1, others)
    return p


def _taken_of(adjusted: Column, tokens: Column, begin_id: int, storage: Storage) -> Float64:
    """The discounts of the counts 0 to 3, the last for more, from all n-grams but those that end documents."""
    of_counts = np.zeros(5, np.int64)
    for start, stop in blocks(len(tokens), storage.block):
        own = adjusted[start:stop][tokens[start:stop] != begin_id]
        of_counts += np.bincount(own[own < 5], minlength=5)
    return np.array([0.0, *discounts(*of_counts[1:].tolist())])


def _log(p: npt.NDArray[np.float64]) -> Float64:
    """Natural logarithms; -inf of 0."""
    with np.errstate(divide="ignore"):
        return np.log(p)
