"""Counting n-grams by sorting: the n-grams of each order are numbered, and one of k tokens is a pair of numbers.

The n-gram that ends at a place of the text is the one of k-1 tokens that ends at the place before, and the token there.
So those of one order more take one sort of pairs: block by block, each block's different pairs in order, and then all
blocks merged. No n-gram reaches over the beginning of a document, `<s>`; one may begin with it. An `<s>` that ends an
n-gram is the end of a document that another follows: what KenLM writes `</s>`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from seqtool.counts.columns import Column, Storage, blocks, column_of, occurrences
from seqtool.errors import InputError

MOST_NGRAMS = (1 << 31) - 1  # of one order
MOST_TOKENS = (1 << 31) - 1

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class Ids(Protocol):
    """Ids that are read in parts."""

    def __len__(self) -> int: ...
    def __getitem__(self, span: slice, /) -> npt.NDArray[np.integer]: ...


@dataclass(frozen=True)
class CountedOrder:
    """The n-grams of one order in the order of (parent, token), each column (n-grams,) of int32.

    Of one token there are all V, whether the text has them or not.
    """

    parents: Column
    """The number of the n-gram without its last token among those of one token less."""
    tokens: Column
    """The last token."""
    suffixes: Column
    """The number of the n-gram without its first token."""
    counts: Column
    """How often each occurs."""
    begun: tuple[int, int]
    """The first of those that begin with `<s>`, which follow each other, and the one after the last."""

    def __len__(self) -> int:
        return len(self.tokens)


class NgramCounts:
    """The n-grams of a text, counted up to an order that can `grow`.

    `ids` are documents, `<s>` before each. What the storage has no room for waits on disk; the numbers are the same.
    InputError when there are too many tokens to number.
    """

    def __init__(self, ids: Ids, vocab_size: int, begin_id: int, storage: Storage | None = None) -> None:
        self.vocab_size, self.begin_id, self.storage = vocab_size, begin_id, storage or Storage()
        if len(ids) >= MOST_TOKENS:
            raise InputError(f"more than {MOST_TOKENS:,} tokens: count a part of the text")
        self._ids = Column(self.storage, np.int32)
        counts = np.zeros(vocab_size, np.int64)
        for start, stop in blocks(len(ids), self.storage.block) or [(0, 0)]:
            block = np.asarray(ids[start:stop]).astype(np.int32)
            if start == 0 and not (len(block) and int(block[0]) == begin_id):
                self._ids.append(np.array([begin_id], np.int32))
            self._ids.append(block)
            counts += np.bincount(block, minlength=vocab_size)
        counts[begin_id] -= len(ids) > 0 and int(ids[0:1][0]) == begin_id  # the first is no document's end
        none = column_of(self.storage, np.zeros(vocab_size, np.int32))
        tokens = column_of(self.storage, np.arange(vocab_size, dtype=np.int32))
        of_tokens = column_of(self.storage, counts.astype(np.int32))
        self.orders = [CountedOrder(none, tokens, none, of_tokens, (begin_id, begin_id + 1))]
        self._numbers = self._ids  # of the longest n-gram that ends at each place, -1: there is none so long

    @property
    def tokens(self) -> int:
        """How many tokens were counted, those that end documents included."""
        return len(self._ids) - 1

    def grow(self) -> None:
        """Count the n-grams of one token more. InputError when there are too many to number."""
        pairs = _Pairs(self.storage, len(self.orders) + 1)
        numbers_of_blocks = Column(self.storage, np.int32)
        for start, stop in blocks(len(self._ids), self.storage.block):
            numbers_of_blocks.append(self._sorted_block(start, stop, pairs))
        found = pairs.merged()
        numbers = Column(self.storage, np.int32)
        for (start, stop), (first, end) in zip(blocks(len(self._ids), self.storage.block), pairs.blocks, strict=True):
            in_block = numbers_of_blocks[start:stop]
            of_pair = found.numbers[first:end]
            numbers.append(np.where(in_block >= 0, of_pair[in_block] if len(of_pair) else -1, -1).astype(np.int32))
        self._numbers = numbers
        parents, tokens = Column(self.storage, np.int32), Column(self.storage, np.int32)
        begun, limits = [0, 0], np.array(self.orders[-1].begun, np.int64) * self.vocab_size
        for start, stop in blocks(len(found.keys), self.storage.block):
            keys = found.keys[start:stop]
            parents.append((keys // self.vocab_size).astype(np.int32))
            tokens.append((keys % self.vocab_size).astype(np.int32))
            begun = [sum(both) for both in zip(begun, np.searchsorted(keys, limits).tolist(), strict=True)]
        self.orders.append(CountedOrder(parents, tokens, found.suffixes, found.counts, (begun[0], begun[1])))

    def _sorted_block(self, start: int, stop: int, pairs: _Pairs) -> Int32:
        """Add the different pairs of a block of places to `pairs`, and return the number of each place's among them."""
        before, numbers = max(0, start - 1), self._numbers
        parents = np.concatenate([np.full(1 if start == 0 else 0, -1, np.int32), numbers[before : stop - 1]])
        ids = self._ids[start:stop]
        if len(self.orders) > 1:  # a document that ended goes on no further
            ended = np.concatenate([np.zeros(1 if start == 0 else 0, np.int32), self._ids[before : stop - 1]])
            parents = np.where(ended == self.begin_id, -1, parents)
        places = np.flatnonzero(parents >= 0)
        keys = parents[places].astype(np.int64) * self.vocab_size + ids[places]
        order = np.argsort(keys)
        keys = keys[order]
        firsts = _firsts(keys)
        places = places[order]
        in_block, times = np.full(stop - start, -1, np.int32), np.diff(np.append(firsts, len(keys)))
        in_block[places] = np.repeat(np.arange(len(firsts), dtype=np.int32), times)
        pairs.add(keys[firsts], times, numbers[start:stop][places[firsts]])
        return in_block

    def adjusted(self, order: int) -> Column:
        """How many different tokens stand before each n-gram of an order below the last that was counted.

        Of one that begins with `<s>`, before which nothing stands, how often it occurs; and so also of the token alone
        that each document begins with, which no document's end is taken for.
        """
        own, longer = self.orders[order - 1], self.orders[order]
        found = occurrences(longer.suffixes, len(own), self.storage)
        begin, end = own.begun
        if order > 1:
            for start, stop in blocks(end - begin, self.storage.block):
                found.put(begin + start, own.counts[begin + start : begin + stop])
        return found


def _firsts(keys: Int64) -> Int64:
    """Where each different key among some that ascend is for the first time."""
    is_new = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=is_new[1:])
    return np.flatnonzero(is_new)


class _Merged(NamedTuple):
    """The different pairs of all blocks in order."""

    keys: Column
    counts: Column
    suffixes: Column
    numbers: Column
    """Of each block's pairs, one block's after the other's, the number among all."""


class _Pairs:
    """The different pairs of each block, in order, one block's after the other's."""

    def __init__(self, storage: Storage, order: int) -> None:
        self._storage, self._order = storage, order
        self.blocks: list[tuple[int, int]] = []
        self._keys, self._counts, self._suffixes = (Column(storage, kind) for kind in (np.int64, np.int32, np.int32))

    def add(self, keys: Int64, counts: Int64, suffixes: Int32) -> None:
        """Add those of a block: their keys, which ascend, how often each occurs, and the numbers of their suffixes."""
        start = len(self._keys)
        self.blocks.append((start, start + len(keys)))
        for column, values in ((self._keys, keys), (self._counts, counts), (self._suffixes, suffixes)):
            column.append(values)

    def merged(self) -> _Merged:
        """All pairs; InputError when there are too many to number."""
        storage = self._storage
        numbers = Column(storage, np.int32)
        if len(self.blocks) == 1:
            self._check(len(self._keys))
            for start, stop in blocks(len(self._keys), storage.block):
                numbers.append(np.arange(start, stop, dtype=np.int32))
            return _Merged(self._keys, self._counts, self._suffixes, numbers)
        numbers.grow(len(self._keys))
        found = _Merged(Column(storage, np.int64), Column(storage, np.int32), Column(storage, np.int32), numbers)
        at = [start for start, _ in self.blocks]
        while any(start < end for start, (_, end) in zip(at, self.blocks, strict=True)):
            at = self._merge_some(at, found)
        return found

    def _merge_some(self, at: list[int], found: _Merged) -> list[int]:
        """Merge what is smallest of the pairs from `at` on in each block; where the rest begins."""
        size = max(1, self._storage.block // len(self.blocks))
        spans = [(start, min(start + size, end)) for start, (_, end) in zip(at, self.blocks, strict=True)]
        keys = [self._keys[start:stop] for start, stop in spans]
        unread = [part[-1] for part, (_, stop), (_, end) in zip(keys, spans, self.blocks, strict=True) if stop < end]
        if unread:  # only up to a key that all blocks were read to
            spans = [
                (start, start + int(np.searchsorted(part, min(unread), side="right")))
                for part, (start, _) in zip(keys, spans, strict=True)
            ]
            keys = [part[: stop - start] for part, (start, stop) in zip(keys, spans, strict=True)]
        joined = np.concatenate(keys)
        order = np.argsort(joined)
        ordered = joined[order]
        firsts = _firsts(ordered)
        base = len(found.keys)
        self._check(base + len(firsts))
        counts, suffixes = (
            np.concatenate([column[start:stop] for start, stop in spans])[order]
            for column in (self._counts, self._suffixes)
        )
        found.keys.append(ordered[firsts])
        found.counts.append(np.add.reduceat(counts, firsts))
        found.suffixes.append(suffixes[firsts])
        numbers = np.empty(len(order), np.int32)
        numbers[order] = base + np.repeat(np.arange(len(firsts)), np.diff(np.append(firsts, len(order))))
        first = 0
        for start, stop in spans:
            found.numbers.put(start, numbers[first : first + stop - start])
            first += stop - start
        return [stop for _, stop in spans]

    def _check(self, count: int) -> None:
        if count > MOST_NGRAMS:
            raise InputError(f"more than {MOST_NGRAMS:,} n-grams of {self._order} tokens: give --order less")
