"""Counting n-grams by sorting: the n-grams of each order are numbered, and one of k tokens is a pair of numbers.

The n-gram that ends at a place of the text is the one of k-1 tokens that ends at the place before, and the token there.
So those of one order more take one sort of pairs. No n-gram reaches over the beginning of a document, `<s>`; one may
begin with it. An `<s>` that ends an n-gram is the end of a document that another follows: what KenLM writes `</s>`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError

MOST_NGRAMS = (1 << 31) - 1  # of one order

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CountedOrder:
    """The n-grams of one order in the order of (parent, token), each array (n-grams,).

    Of one token there are all V, whether the text has them or not.
    """

    parents: Int32
    """The number of the n-gram without its last token among those of one token less."""
    tokens: Int32
    """The last token."""
    suffixes: Int32
    """The number of the n-gram without its first token."""
    counts: Int64
    """How often each occurs."""
    begins: npt.NDArray[np.bool_]
    """Whether it begins with `<s>`."""

    def __len__(self) -> int:
        return len(self.tokens)


class NgramCounts:
    """The n-grams of a text, counted up to an order that can `grow`.

    `ids` are documents, `<s>` before each.
    """

    def __init__(self, ids: npt.NDArray[np.integer], vocab_size: int, begin_id: int) -> None:
        begun = len(ids) > 0 and int(ids[0]) == begin_id
        self._ids = np.concatenate([[] if begun else [begin_id], ids]).astype(np.int32)
        self.vocab_size, self.begin_id = vocab_size, begin_id
        none = np.zeros(vocab_size, np.int32)
        tokens = np.arange(vocab_size, dtype=np.int32)
        counts = np.bincount(self._ids[1:], minlength=vocab_size)
        self.orders = [CountedOrder(none, tokens, none, counts, tokens == begin_id)]
        self._numbers: Int32 = self._ids  # of the longest n-gram that ends at each place, -1: there is none so long

    @property
    def tokens(self) -> int:
        """How many tokens were counted, those that end documents included."""
        return len(self._ids) - 1

    def grow(self) -> None:
        """Count the n-grams of one token more. InputError when there are too many to number."""
        before = self.orders[-1]
        numbers = self._numbers
        parents = np.concatenate([np.array([-1], np.int32), numbers[:-1]])
        if len(self.orders) > 1:
            parents[1:][self._ids[:-1] == self.begin_id] = -1  # a document ended there, and none goes on behind its end
        places = np.flatnonzero(parents >= 0)
        keys = parents[places].astype(np.int64) * self.vocab_size + self._ids[places]
        order = np.argsort(keys)
        keys = keys[order]
        is_new = np.ones(len(keys), bool)
        np.not_equal(keys[1:], keys[:-1], out=is_new[1:])
        firsts = np.flatnonzero(is_new)
        if len(firsts) > MOST_NGRAMS:
            raise InputError(f"more than {MOST_NGRAMS:,} n-grams of {len(self.orders) + 1} tokens: give --order less")
        sorted_places = places[order]
        self._numbers = np.full(len(numbers), -1, np.int32)
        self._numbers[sorted_places] = np.cumsum(is_new, dtype=np.int32) - 1
        found_parents = (keys[firsts] // self.vocab_size).astype(np.int32)
        self.orders.append(
            CountedOrder(
                parents=found_parents,
                tokens=(keys[firsts] % self.vocab_size).astype(np.int32),
                suffixes=numbers[sorted_places[firsts]],
                counts=np.diff(np.append(firsts, len(keys))),
                begins=before.begins[found_parents],
            )
        )

    def adjusted(self, order: int) -> Int64:
        """How many different tokens stand before each n-gram of an order below the last that was counted.

        Of one that begins with `<s>`, before which nothing stands, how often it occurs; and so also of the token alone
        that each document begins with, which no document's end is taken for.
        """
        own, longer = self.orders[order - 1], self.orders[order]
        continuations = np.bincount(longer.suffixes, minlength=len(own))
        return continuations if order == 1 else np.where(own.begins, own.counts, continuations)
