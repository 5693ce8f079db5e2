from __future__ import annotations

from pathlib import Path

import pytest

from seqtool.errors import UsageError
from seqtool.exchange.pieces import _pairs, check_pieces, merges, read_otherwise, text_pieces
from tests.exchange.untrained import vocabulary_of


def test_every_pair_that_makes_a_piece_is_there_and_the_left_of_an_overlap_first():
    assert _pairs("aba", {"a", "b", "ab", "ba"}) == [("ab", "a"), ("a", "ba")]
    assert _pairs("ababa", {"ab", "aba", "ba"}) == [("ab", "aba"), ("aba", "ba")]
    assert _pairs("a", {"a"}) == []


def test_pieces_are_in_plain_text_and_merged_best_first(short_text: Path):
    vocabulary = vocabulary_of(short_text, "bpe", symbols="<sep>")
    pieces = text_pieces(vocabulary)
    assert " " in pieces.values()
    assert "<sep>" not in pieces.values()
    assert len(pieces) == vocabulary.size - 256 - 3  # bytes, <unk>, <s>, <sep>
    made = [left + right for left, right in merges(vocabulary)]
    ranked = list(dict.fromkeys(made))
    scores = vocabulary.scores()
    assert [scores[piece.replace(" ", "\u2581")] for piece in ranked] == sorted(
        (scores[p.replace(" ", "\u2581")] for p in ranked), reverse=True
    )
    assert set(ranked) == {piece for piece in pieces.values() if len(piece) > 1}
    assert "8,192 characters" in read_otherwise(vocabulary)[0]


def test_characters_are_not_merged(short_text: Path):
    vocabulary = vocabulary_of(short_text, "char")
    check_pieces(vocabulary, "gguf")
    assert merges(vocabulary) == []
    assert read_otherwise(vocabulary) == []


@pytest.mark.parametrize(("kind", "settings", "told"), [
    ("unigram", {}, "a vocabulary of type unigram .* train with --vocab-type bpe or char or byte"),
    ("word", {}, "a vocabulary of type word"),
    ("bpe", {"lowercase": True}, "folds text .*learn one without"),
    ("char", {"normalize": "nfkc"}, "folds text"),
])  # fmt: skip
def test_what_would_be_split_otherwise_is_refused(short_text: Path, kind: str, settings: dict, told: str):
    with pytest.raises(UsageError, match=f"--to gguf: .*{told}"):
        check_pieces(vocabulary_of(short_text, kind, **settings), "gguf")
