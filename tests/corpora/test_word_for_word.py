from __future__ import annotations

from corpora import word_for_word
from tests.corpora.recipe import made


def test_every_word_is_spelled_backwards_in_its_place():
    (header, *lines), figures = made("word_for_word", "--rows", 2000, "--seed", 3)
    assert header == "english\thsilgne"
    assert len(lines) == 2000
    lengths = set()
    for line in lines:
        source, target = (side.split() for side in line.split("\t"))
        assert [word[::-1] for word in target] == source
        assert {*source} <= {*word_for_word.WORDS}
        lengths.add(len(source))
    assert lengths == set(range(1, word_for_word.LONGEST + 1))
    assert figures["best possible"] == [1.0]
    assert 0.02 < figures["commonest word"][0] < 0.04


def test_no_two_words_have_one_translation():
    backwards = {word[::-1] for word in word_for_word.WORDS}
    assert len(word_for_word.WORDS) == len(backwards) == 40
    assert not backwards & {*word_for_word.WORDS}
