"""The vocabulary beside llama2.c's models, tokenizer.bin: after a number, the score, length and bytes of each piece.

It is a SentencePiece model of byte pairs in fewer words: `<unk>`, `<s>` and `</s>` come first, then the bytes; a space
is put before a text.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from seqtool.errors import InputError
from seqtool.files.writing import read_small_file
from seqtool.settings.vocabulary import MAX_VOCABULARY
from seqtool.text.normalizing import SPACE
from seqtool.text.sentencepiece_model import LONGEST_PIECE, MAX_MODEL_BYTES, as_field, as_number
from seqtool.text.vocabulary import Vocabulary

SPECIAL = ("<unk>", "<s>", "</s>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # types of a SentencePiece
TRAINER = as_number(3, 2) + as_number(35, 1)  # of byte pairs, which fall back to bytes
NORMALIZER = as_field(1, b"identity") + as_number(3, 1) + as_number(4, 0) + as_number(5, 1)
"""A space is put before a text, spaces are not joined, and they are U+2581 in pieces."""


def read_bin_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary; InputError, in a sentence, where the file is none or damaged."""
    pieces = list(_pieces(path, read_small_file(path, MAX_MODEL_BYTES)))
    names = [piece.strip("\n") for piece, _ in pieces[: len(SPECIAL)]]  # newlines stand around two of them
    begins = tuple(names + [piece for piece, _ in pieces[len(SPECIAL) : len(SPECIAL + BYTES)]])
    if begins != SPECIAL + BYTES:
        raise InputError(
            f"{path} does not begin with {', '.join(SPECIAL)} and the bytes, as llama2.c's do: get it anew"
        )
    kinds = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * len(BYTES)]
    kinds += [NORMAL] * (len(pieces) - len(kinds))
    model = bytearray()
    for index, ((piece, score), kind) in enumerate(zip(pieces, kinds, strict=True)):
        spelled = SPECIAL[index] if index < len(SPECIAL) else piece.replace(" ", SPACE)
        model += as_field(1, as_field(1, spelled.encode()) + b"\x15" + struct.pack("<f", score) + as_number(3, kind))
    return Vocabulary(bytes(model + as_field(2, TRAINER) + as_field(3, NORMALIZER)), str(path))


def _pieces(path: Path, content: bytes) -> Iterator[tuple[str, float]]:
    """Each piece and its score; InputError where the file ends in the middle of one, or one is no text."""
    at, number = 4, 0
    while at < len(content):
        if len(content) - at < 8:
            raise InputError(f"{path} ends within its piece {number:,}: it was cut short, get it anew")
        score, length = struct.unpack_from("<fi", content, at)
        at += 8
        if not 0 < length <= 4 * LONGEST_PIECE or score != score or number >= MAX_VOCABULARY:
            raise InputError(f"{path} has an impossible piece {number:,}: it is no vocabulary of llama2.c, or damaged")
        if len(content) - at < length:
            raise InputError(f"{path} ends within its piece {number:,}: it was cut short, get it anew")
        try:
            yield content[at : at + length].decode(), score
        except UnicodeDecodeError as error:
            raise InputError(f"{path} has a piece {number:,} that is not UTF-8: get it anew") from error
        at, number = at + length, number + 1
