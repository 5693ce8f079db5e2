"""Words that are given are the words of a vocabulary, or told that they cannot be."""

from __future__ import annotations

from seqtool.text.word_list import vocabulary_of_words, words_without_a_piece


def test_words_are_tokens_and_others_unknown():
    words = ["the", "a", "\\x20", "don't", "é🙂", "</s>"]
    vocabulary = vocabulary_of_words(words, {"made_by": "a test"})
    assert (vocabulary.type, vocabulary.size) == ("word", len(words) + 3)
    ids = vocabulary.encode("the é🙂 a\n</s> \\x20 none\n").tolist()
    assert [vocabulary.token(index) for index in ids] == ["the", "é🙂", "a", "<eos>", "</s>", "\\x20", "<unk>", "<eos>"]
    assert vocabulary_of_words(words, {"made_by": "another"}).sha256 == vocabulary.sha256


def test_words_that_no_vocabulary_has_are_named():
    strange = ["a\u00a0b", "a\u2028", "", "\u2581x", "x\u2585", "\0", "<eos>", "<s>", "y" * 201, " a"]
    assert words_without_a_piece(["a", *strange, "b", "y" * 200]) == strange
