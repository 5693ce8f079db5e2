from __future__ import annotations

from corpora import number_words
from tests.corpora.recipe import made


def read(words: str) -> int:
    """The number, by adding and multiplying as a reader does."""
    whole = part = 0
    for word in words.replace("-", " ").split():
        if word == "hundred":
            part *= 100
        elif word == "thousand":
            whole, part = part * 1000, 0
        elif word != "and":
            part += (
                number_words.SMALL.index(word)
                if word in number_words.SMALL
                else 10 * (2 + number_words.TENS.index(word))
            )
    return whole + part


def test_a_reader_tells_every_number():
    (header, *lines), figures = made("number_words", "--rows", 3000, "--seed", 2)
    assert header == "words\tdigits"
    for line in lines:
        words, digits = line.split("\t")
        assert str(read(words)) == digits
    assert figures["best possible"] == [1.0]
    assert figures["the commonest, on these rows"][0] < 0.05
    assert {len(line.split("\t")[1]) for line in lines} == set(range(1, 7))


def test_writings():
    assert number_words.in_words(342, True, True) == "three hundred and forty-two"
    assert number_words.in_words(100_001, False, False) == "one hundred thousand one"
    assert number_words.in_words(0, True, True) == "zero"
