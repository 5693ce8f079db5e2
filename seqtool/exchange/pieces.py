"""The pieces of a vocabulary as other programs' tokenizers need them: which they are, and how they are merged.

Of bpe, SentencePiece merges the two neighbours whose joined text is the best piece, the leftmost of equals, however the
piece was once made of parts. A list of merges has pairs, so it holds every pair that makes a piece.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

from seqtool.errors import UsageError
from seqtool.settings.vocabulary import BYTE_LEVEL
from seqtool.text.blocks import MAX_HELD_CHARACTERS
from seqtool.text.documents import SEGMENT_CHARACTERS
from seqtool.text.normalizing import SPACE
from seqtool.text.vocabulary import Vocabulary

EXACT_TYPES = ("bpe", "char", "byte", BYTE_LEVEL)
LEARNED = ("bpe", "char", "byte")
NORMALIZED = {"huggingface": ("none", "nfc")}
"""The normal forms that a format's byte-level BPE can have, where they are more than none."""
MERGED = "bpe"
BYTES = 256


def check_pieces(vocabulary: Vocabulary, format: str) -> None:
    """UsageError where a tokenizer of another program cannot split every text as the vocabulary does."""
    kind = vocabulary.type
    if kind not in EXACT_TYPES:
        told = "made by another program" if kind == "foreign" else f"of type {kind}"
        raise UsageError(
            f"--to {format}: a vocabulary {told} would split texts otherwise there; "
            f"train with --vocab-type {' or '.join(LEARNED)}"
        )
    if kind == BYTE_LEVEL and vocabulary.metadata["normalize"] in NORMALIZED.get(format, ()):
        return
    if not vocabulary.lossless:
        raise UsageError(
            f"--to {format}: the vocabulary folds text (--lowercase or a normal form), as no tokenizer there does; "
            "learn one without"
        )


def text_pieces(vocabulary: Vocabulary) -> dict[int, str]:
    """The text of each piece that stands for text and is no symbol that is never split: a space is a space here."""
    kept = set(vocabulary.symbols.values())
    ids = ((vocabulary.piece_id(piece), piece) for piece in vocabulary.scores())
    return {index: piece.replace(SPACE, " ") for index, piece in ids if index is not None and index not in kept}


def merges(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """The pairs that are merged, the best first, in the text of `text_pieces`; none where pieces are characters."""
    if vocabulary.type != MERGED:
        return []
    scores = vocabulary.scores()
    pieces = text_pieces(vocabulary)
    known = set(pieces.values())
    best_first = sorted(pieces, key=lambda index: -scores[vocabulary.piece(index)])
    return [pair for index in best_first for pair in _pairs(pieces[index], known)]


def merged_pieces(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """The pairs that byte-level BPE merges, the best first, as its pieces are written."""
    return [(vocabulary.piece(left), vocabulary.piece(right)) for left, right in vocabulary.merged_pairs()]


def _pairs(piece: str, known: Collection[str]) -> list[tuple[str, str]]:
    """The pairs of pieces that make one piece.

    Where two of them overlap, as `ab` `a` `ba` for `aba`, the left one is to be merged, so it comes first: its right
    part ends as the piece begins.
    """
    cuts = [cut for cut in range(1, len(piece)) if piece[:cut] in known and piece[cut:] in known]
    cuts.sort(key=lambda cut: not piece.startswith(piece[cut:]))
    return [(piece[:cut], piece[cut:]) for cut in cuts]


def read_otherwise(vocabulary: Vocabulary) -> list[str]:
    """Which texts tokenizers of other programs may split otherwise, in sentences: where lines are cut here."""
    if vocabulary.type == BYTE_LEVEL:
        return [
            f"Of more than {MAX_HELD_CHARACTERS:,} characters without a place between words, seqtool cuts there, and "
            "they may be split otherwise around the cut. Letters that Unicode gained after version "
            f"{unicodedata.unidata_version} may be split otherwise too."
        ]
    if vocabulary.type != MERGED:
        return []
    return [
        f"A line of more than {SEGMENT_CHARACTERS:,} characters, which seqtool cuts there, may be split otherwise "
        "around the cut."
    ]
