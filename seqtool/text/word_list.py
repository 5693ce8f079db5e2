"""A vocabulary of words that are given, instead of learned from a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqtool.text.learning import can_be_a_piece, word_model
from seqtool.text.sentencepiece_model import with_metadata
from seqtool.text.vocabulary import Vocabulary


def words_without_a_piece(words: Sequence[str]) -> list[str]:
    """Those of some words that no vocabulary of words has: they hold white space, or what SentencePiece reserves."""
    return [word for word in words if word.split() != [word] or not can_be_a_piece(word)]


def vocabulary_of_words(words: Sequence[str], metadata: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary of type `word` of words that each can have a piece; `metadata` are added to its own."""
    told = {"type": "word", "normalize": "none", "lowercase": False, **metadata}
    return Vocabulary(with_metadata(word_model(words), told))
