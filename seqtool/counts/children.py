"""Where an n-gram lies among those that go on from one: a bisection of all that are asked for at once.

Most contexts have few tokens that follow, so most bisections take a step or two; nothing is made beforehand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.native.loading import part

Int64 = npt.NDArray[np.int64]


def find_children(
    firsts: npt.NDArray[np.integer],
    tokens: npt.NDArray[np.integer],
    parents: npt.NDArray[np.integer],
    wanted: npt.NDArray[np.integer],
) -> Int64:
    """The place of each wanted token among those of its parent, (wanted,), -1 where it is not among them.

    The tokens of parent i are `tokens[firsts[i] : firsts[i + 1]]` and ascend.
    """
    library = part("ngrams")
    if library is None or firsts.dtype != np.int32 or tokens.dtype != np.int32:
        return bisected(firsts, tokens, parents, wanted)
    found = np.empty(len(wanted), np.int64)
    arrays = [np.ascontiguousarray(array) for array in (firsts, tokens)]
    arrays += [np.ascontiguousarray(array, np.int64) for array in (parents, wanted)]
    library.seqtool_find_children(*(array.ctypes.data for array in (*arrays, found)), len(found))
    return found


def in_order(parents: npt.NDArray[np.integer], tokens: npt.NDArray[np.integer], size: int, vocab_size: int) -> Ordered:
    """The order in which n-grams lie by the numbers of those without their last token, `size` in all, and this token.

    ValueError where one is there twice.
    """
    keys = parents.astype(np.int64) * vocab_size + tokens
    order = np.argsort(keys)
    if (np.diff(keys[order]) == 0).any():
        raise ValueError("an n-gram is there twice")
    firsts = np.zeros(size + 1, np.int32)
    np.cumsum(np.bincount(parents, minlength=size), out=firsts[1:])
    return Ordered(order, firsts)


class Ordered(NamedTuple):
    """The places of n-grams in their order, and where in it those of each parent begin, and the last ones end."""

    order: Int64
    firsts: npt.NDArray[np.int32]


def bisected(
    firsts: npt.NDArray[np.integer],
    tokens: npt.NDArray[np.integer],
    parents: npt.NDArray[np.integer],
    wanted: npt.NDArray[np.integer],
) -> Int64:
    """The same in numpy."""
    low, high = firsts[parents].astype(np.int64), firsts[parents + 1].astype(np.int64)
    ends, open_ones = high.copy(), np.flatnonzero(high > low)
    while len(open_ones):
        middle = (low[open_ones] + high[open_ones]) >> 1
        is_less = tokens[middle] < wanted[open_ones]
        low[open_ones[is_less]] = middle[is_less] + 1
        high[open_ones[~is_less]] = middle[~is_less]
        open_ones = open_ones[low[open_ones] < high[open_ones]]
    is_there = low < ends
    is_there[is_there] = tokens[low[is_there]] == wanted[is_there]
    return np.where(is_there, low, -1)
