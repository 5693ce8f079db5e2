"""Character n-grams of words, the rows that they are hashed to, and how words share these."""

from __future__ import annotations

import zlib

import numpy as np

from seqtool.vectors.subwords import Ngrams, SubwordRows, subword_rows


def test_ngrams_of_a_word_are_fasttexts():
    # Bojanowski et al. 2017, section 3.2: "where" with n = 3 is <wh, whe, her, ere, re>.
    assert Ngrams(3, 3, 10).spelled("where") == ["<wh", "whe", "her", "ere", "re>"]
    assert Ngrams(3, 6, 10).spelled("a") == []  # <a> is the word itself
    assert Ngrams(1, 2, 10).spelled("é") == ["<", "<é", "é", "é>", ">"]


def test_rows_of_a_word_are_its_own_and_its_ngrams():
    words = ["where", "here", "a"]
    parts, rows = subword_rows(words, 3, 6)
    assert rows & (rows - 1) == 0
    for number, word in enumerate(words):
        found = parts.rows[parts.starts[number] : parts.starts[number + 1]]
        assert found[0] == number
        assert (found[1:] - len(words)).tolist() == Ngrams(3, 6, rows).of(word).tolist()


def test_words_move_each_other_as_far_as_they_share_rows():
    alone = SubwordRows(np.array([0, 1, 2]), np.array([0, 1], np.int32))
    np.testing.assert_allclose(alone.update_frequencies(np.array([0.7, 0.3])), [0.7, 0.3])
    half = SubwordRows(np.array([0, 2, 4]), np.array([0, 2, 1, 2], np.int32))
    np.testing.assert_allclose(half.update_frequencies(np.array([0.7, 0.3])), [0.85, 0.65])


def test_ngrams_are_hashed_by_their_bytes():
    ngrams = Ngrams(3, 4, 50)
    hashes = [zlib.crc32(text.encode()) for text in ("<né", "<née", "née", "née>", "ée>")]
    assert ngrams.hashes("née").tolist() == hashes
    assert ngrams.of("née").tolist() == sorted({value % 50 for value in hashes})
    assert len(ngrams.hashes("\ud800x")) == 2  # half of a surrogate pair has no UTF-8, but n-grams


def test_a_word_without_end_has_the_ngrams_of_its_beginning():
    assert len(Ngrams(3, 3, 50).hashes("x" * 100_000)) == len(Ngrams(3, 3, 50).hashes("x" * 200)) == 200
