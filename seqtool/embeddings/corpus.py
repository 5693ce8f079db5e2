"""A text as word numbers, the most frequent word being 0, read in chunks as often as needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError
from seqtool.text.sequences import IdSequence, document_numbers
from seqtool.text.vocabulary import Vocabulary

CHUNK_TOKENS = 1 << 20
NOT_A_WORD = -1


class Chunk(NamedTuple):
    """A part of a text: its words (N,) int32, and the document number of each (N,) int64, ascending."""

    words: npt.NDArray[np.int32]
    documents: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """The ids of a text, and the V symbols among them that get vectors, its words."""

    ids: IdSequence
    begin_id: int
    word_ids: npt.NDArray[np.int64]
    """The vocabulary's id of each word, (V,)."""
    counts: npt.NDArray[np.int64]
    """How often each word occurs, (V,), descending."""
    _words: npt.NDArray[np.int32]

    @property
    def chunk_count(self) -> int:
        """The number of chunks in one pass."""
        return -(-len(self.ids) // CHUNK_TOKENS)

    def chunk(self, number: int) -> Chunk:
        """Read one chunk, without the symbols that get no vector. A document that continues in the next chunk counts
        as two.
        """
        ids = self.ids[number * CHUNK_TOKENS : (number + 1) * CHUNK_TOKENS]
        words = self._words[ids]
        kept = words != NOT_A_WORD
        return Chunk(words[kept], document_numbers(ids, self.begin_id)[kept])

    def chunks(self) -> Iterator[Chunk]:
        """All chunks, in order."""
        return (self.chunk(number) for number in range(self.chunk_count))


def make_corpus(ids: IdSequence, vocabulary: Vocabulary, name: str, min_count: int) -> Corpus:
    """Count the ids and choose the words: the symbols that occur at least `min_count` times, except <s> and a word
    vocabulary's <unk>.

    InputError, calling the text `name`, when there are fewer than two.
    """
    counts = np.zeros(vocabulary.size, np.int64)
    for start in range(0, len(ids), CHUNK_TOKENS):
        counts += np.bincount(ids[start : start + CHUNK_TOKENS], minlength=vocabulary.size)
    counts[vocabulary.begin_id] = 0
    if vocabulary.type == "word":
        counts[vocabulary.unknown_id] = 0
    chosen = np.flatnonzero(counts >= max(min_count, 1))
    if len(chosen) < 2:
        raise InputError(
            f"{name} has {len(chosen)} words that occur at least {min_count} times, too few to learn from: "
            "lower --min-count or give more text"
        )
    word_ids = chosen[np.argsort(-counts[chosen], kind="stable")]
    words: npt.NDArray[Any] = np.full(vocabulary.size, NOT_A_WORD, np.int32)
    words[word_ids] = np.arange(len(word_ids))
    return Corpus(ids, vocabulary.begin_id, word_ids, counts[word_ids], words)
