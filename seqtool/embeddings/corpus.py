"""A text as the numbers of the words that get vectors: the most frequent is 0, read in chunks as often as needed."""

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
    """The words (N,) int32 of a part of a text, and which document each is of, (N,) int64, ascending."""

    words: npt.NDArray[np.int32]
    documents: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """Ids of a text, and which of them get vectors."""

    ids: IdSequence
    begin_id: int
    word_ids: npt.NDArray[np.int64]
    """The vocabulary's id of each word, (V,)."""
    counts: npt.NDArray[np.int64]
    """How often each word occurs, (V,), descending."""
    _words: npt.NDArray[np.int32]

    @property
    def chunks_in_all(self) -> int:
        """How many chunks one pass has."""
        return -(-len(self.ids) // CHUNK_TOKENS)

    def chunk(self, number: int) -> Chunk:
        """One chunk. Words that get no vector are left out; a document that a chunk cuts is two."""
        ids = self.ids[number * CHUNK_TOKENS : (number + 1) * CHUNK_TOKENS]
        words = self._words[ids]
        kept = words != NOT_A_WORD
        return Chunk(words[kept], document_numbers(ids, self.begin_id)[kept])

    def chunks(self) -> Iterator[Chunk]:
        """All chunks, in order."""
        return (self.chunk(number) for number in range(self.chunks_in_all))


def make_corpus(ids: IdSequence, vocabulary: Vocabulary, name: str, min_count: int) -> Corpus:
    """Count the ids and choose the words: all that occur `min_count` times, but <s> and a word vocabulary's <unk>."""
    counts = np.zeros(vocabulary.size, np.int64)
    for start in range(0, len(ids), CHUNK_TOKENS):
        counts += np.bincount(ids[start : start + CHUNK_TOKENS], minlength=vocabulary.size)
    counts[vocabulary.begin_id] = 0
    if vocabulary.type == "word":
        counts[vocabulary.unknown_id] = 0
    chosen = np.flatnonzero(counts >= max(min_count, 1))
    if len(chosen) < 2:
        raise InputError(
            f"{name} has {len(chosen)} words that occur {min_count} times, too few to learn from: "
            "lower --min-count or give more text"
        )
    word_ids = chosen[np.argsort(-counts[chosen], kind="stable")]
    words: npt.NDArray[Any] = np.full(vocabulary.size, NOT_A_WORD, np.int32)
    words[word_ids] = np.arange(len(word_ids))
    return Corpus(ids, vocabulary.begin_id, word_ids, counts[word_ids], words)
