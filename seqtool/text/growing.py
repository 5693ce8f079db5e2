"""Growing a vocabulary by what a new text has that it lacks: its characters, or its words. Known ids stay."""

from __future__ import annotations

import struct

import numpy as np

from seqtool.errors import UsageError
from seqtool.files.writing import provenance
from seqtool.settings.vocabulary import MAX_VOCABULARY, VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import can_be_a_piece, character_counts, word_counts
from seqtool.text.normalizing import SPACE
from seqtool.text.sentencepiece_model import as_field, split_metadata, with_metadata
from seqtool.text.vocabulary import Vocabulary

PIECES, PIECE, SCORE = 1, 1, 2  # field numbers of ModelProto and of its SentencePiece
LEAST_COUNT = {"word": 2}  # of a word that is added: the others stay <unk>, which is to be learned as well
MOST_ADDED = 32_000
GROWN = "grown"


def grown(vocabulary: Vocabulary, source: TextSource) -> Vocabulary:
    """The vocabulary with the characters of a text that it spells in bytes, or the words that are `<unk>` to it, added.

    A word is added that occurs twice. Ids from the old size on are new, the most frequent first; with nothing to add it
    is the vocabulary itself. UsageError for a kind that cannot grow.
    """
    if vocabulary.type not in ("char", "bpe", "unigram", "word"):
        why = "has all bytes, and nothing else" if vocabulary.type == "byte" else "was not made by seqtool vocab"
        raise UsageError(f"--grow-vocab: {vocabulary.name} {why}; leave it out")
    metadata, learned = split_metadata(vocabulary.model)
    config = VocabularyConfig(
        type=vocabulary.type,
        normalize=str(metadata.get("normalize", "none")),
        lowercase=bool(metadata.get("lowercase")),
        symbols=",".join(vocabulary.symbols),
    )
    counts = word_counts(source, config) if vocabulary.type == "word" else character_counts(source, config)
    prefix = SPACE if vocabulary.type == "word" else ""
    least = LEAST_COUNT.get(vocabulary.type, 1)
    added = [
        token
        for token in sorted(counts, key=lambda token: (-counts[token], token))
        if counts[token] >= least and token != " " and can_be_a_piece(token)
        if vocabulary.piece_id(prefix + token) is None
    ][: min(MOST_ADDED, MAX_VOCABULARY - vocabulary.size)]
    if not added:
        return vocabulary
    scores = vocabulary.scores().values()
    rare = min(scores, default=0.0)
    # Unigram takes a score for a log probability; bpe for the order of merges, of which a character needs none.
    model = learned + b"".join(_piece(prefix + token, rare) for token in added)
    told = {
        **metadata,
        GROWN: {"by": len(added), "model_bytes": len(learned), "before": vocabulary.sha256, "text": source.sha256},
        "made_by": provenance(),
    }
    return Vocabulary(with_metadata(model, told), vocabulary.name)


def before_growing(vocabulary: Vocabulary) -> Vocabulary:
    """What a vocabulary was before it grew, for its ids; the vocabulary itself where it did not."""
    metadata, learned = split_metadata(vocabulary.model)
    record = metadata.pop(GROWN, None)
    if not isinstance(record, dict) or type(record.get("model_bytes")) is not int:
        return vocabulary
    return Vocabulary(with_metadata(learned[: record["model_bytes"]], metadata), vocabulary.name)


def spelled_before(vocabulary: Vocabulary, before: Vocabulary) -> dict[int, list[int]]:
    """The ids of `before` that stood for each token that only the grown vocabulary has: bytes, or `<unk>`."""
    if vocabulary.type == "word":
        return {index: [before.unknown_id] for index in range(before.size, vocabulary.size)}
    return {index: before.byte_ids(vocabulary.piece(index)) for index in range(before.size, vocabulary.size)}


def _piece(piece: str, score: float) -> bytes:
    """A piece as a serialized model has it."""
    number = bytes([SCORE << 3 | 5]) + struct.pack("<f", np.float32(score))
    return as_field(PIECES, as_field(PIECE, piece.encode()) + number)
