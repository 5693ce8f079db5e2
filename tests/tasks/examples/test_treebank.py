"""Sentences to arrays: a row for each piece, labels that training has not apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtool.models.loss import IGNORE
from seqtool.records.reading import open_records
from seqtool.tasks.examples.treebank import Treebank, piece_lengths, sentence_arrays, whole_sentences
from seqtool.tasks.examples.words import WordCounter, WordReader, words_from


@pytest.mark.parametrize(("tokens", "most", "expected"), [(0, 5, []), (5, 5, [5]), (6, 5, [3, 3]), (11, 5, [3, 4, 4])])
def test_pieces_are_as_even_as_can_be(tokens: int, most: int, expected: list[int]):
    assert piece_lengths(tokens, most) == expected


def test_sentences_are_arrays(tmp_path: Path):
    (path := tmp_path / "a.conll").write_text("a\tX\nb\tY\nc\tZ\n\nd\tX\n\n")
    bank = Treebank(open_records([str(path)], format="conll"), "form", "tag")
    assert [sentence.columns[0] for sentence in whole_sentences(bank.sentences())] == [("a", "b", "c"), ("d",)]
    counter = WordCounter()
    counter.add(("a", "b"), ("X", "Y"))
    words = words_from(counter.record(["X", "Y"]), 2, "a run")
    made = sentence_arrays(bank, ["X", "Y"], WordReader(words), 2)
    assert made.lengths == [3, 1]
    assert made.sentence_of == [0, 0, 1]
    assert made.examples.lengths_N.tolist() == [1, 2, 1]
    assert made.examples.targets.tolist() == [0, 1, IGNORE, 0]
    assert made.unknown == {"Z": 1}
    assert made.left_out == 0
    assert sentence_arrays(bank.opened(str(path), "strict"), ["X", "Y"], WordReader(words), 9).sha256 == made.sha256
