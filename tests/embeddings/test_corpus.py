"""A text as word numbers: which symbols are words, in which order, and in which chunks."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.embeddings.corpus import CHUNK_TOKENS, make_corpus
from seqtool.errors import InputError


class _Vocabulary:
    """As much of a vocabulary as a corpus needs."""

    def __init__(self, type: str) -> None:
        self.type, self.size, self.begin_id, self.unknown_id = type, 6, 1, 0


def test_a_corpus_holds_the_frequent_words_first_and_leaves_out_unknown_ones():
    ids = np.array([1, 5, 5, 3, 0, 1, 5, 3, 4], np.uint16)
    corpus = make_corpus(ids, _Vocabulary("word"), "text", 2)
    assert corpus.word_ids.tolist() == [5, 3]
    assert corpus.counts.tolist() == [3, 2]
    (chunk,) = corpus.chunks()
    assert chunk.words.tolist() == [0, 0, 1, 0, 1]
    assert chunk.documents.tolist() == [1, 1, 1, 2, 2]
    assert 0 in make_corpus(ids, _Vocabulary("bpe"), "text", 1).word_ids
    with pytest.raises(InputError, match="lower --min-count"):
        make_corpus(ids, _Vocabulary("word"), "text", 3)


def test_a_long_text_comes_in_chunks():
    ids = np.tile(np.array([1, 2, 3], np.uint16), CHUNK_TOKENS // 2)
    corpus = make_corpus(ids, _Vocabulary("word"), "text", 1)
    assert corpus.chunk_count == 2
    assert sum(len(chunk.words) for chunk in corpus.chunks()) == len(ids) * 2 // 3
