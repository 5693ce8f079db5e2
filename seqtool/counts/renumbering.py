"""The same n-gram model with other ids for its symbols, or with one n-gram more."""

from __future__ import annotations

import math

import numpy as np

from seqtool.counts.children import Int64, in_order
from seqtool.counts.model import Float64, NgramModel

LEFT = 1e-6  # of the probability behind the end of a document, for all but `<s>`


def renumbered(model: NgramModel, ids: Int64, begin_id: int, log_p: Float64, backoffs: Float64) -> NgramModel:
    """A model whose symbols are given the numbers `ids`, (V,), among those that `log_p` and `backoffs` are of, (V').

    ValueError where two n-grams become one.
    """
    numbers, before, vocab_size = ids, len(log_p), len(log_p)  # numbers: of the n-grams one token shorter
    tokens, firsts, all_log_p, all_backoffs = [], [], [log_p], [backoffs][: model.order - 1]
    for k in range(2, model.order + 1):
        parents = numbers[np.repeat(np.arange(len(numbers)), np.diff(model.firsts[k - 2]))]
        own = ids[model.tokens[k - 2]]
        order, firsts_of_order = in_order(parents, own, before, vocab_size)
        numbers = np.empty(len(order), np.int64)
        numbers[order] = np.arange(len(order))
        tokens.append(own[order].astype(np.int32))
        firsts.append(firsts_of_order)
        all_log_p.append(model.log_p[k - 1][order])
        if k < model.order:
            all_backoffs.append(model.backoffs[k - 1][order])
        before = len(order)
    return NgramModel(begin_id, tokens, firsts, all_log_p, all_backoffs)


def with_ends(model: NgramModel, end_id: int) -> NgramModel:
    """A model that knows what comes behind the symbol `end_id`, which ends documents: `<s>`, and hardly anything else.

    A model of one token or in which n-grams go on behind the end stays as it is.
    """
    if model.order == 1 or model.firsts[0][end_id] != model.firsts[0][end_id + 1]:
        return model
    at = int(model.firsts[0][end_id])
    tokens, firsts = [*model.tokens], [*model.firsts]
    log_p, backoffs = [*model.log_p], [*model.backoffs]
    tokens[0] = np.insert(tokens[0], at, np.int32(model.begin_id))
    firsts[0] = firsts[0] + (np.arange(len(firsts[0])) > end_id).astype(np.int32)
    log_p[1] = np.insert(log_p[1], at, math.log1p(-LEFT))
    left = -math.expm1(log_p[0][model.begin_id])  # of the shorter context, without `<s>`
    backoffs[0] = backoffs[0].copy()
    backoffs[0][end_id] = math.log(LEFT) - math.log(left)
    if model.order > 2:
        firsts[1] = np.insert(firsts[1], at, firsts[1][at])
        backoffs[1] = np.insert(backoffs[1], at, 0.0)
    return NgramModel(model.begin_id, tokens, firsts, log_p, backoffs)
