"""Reading and checking SentencePiece models, and the metadata that seqtool stores in its own.

A model is a serialized protocol buffer: `ModelProto` in SentencePiece's `sentencepiece_model.proto`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import sentencepiece

from seqtool.errors import InputError
from seqtool.files.writing import canonical_sha256
from seqtool.text.normalizing import SPACE

MAX_MODEL_BYTES = 256 << 20
LONGEST_PIECE, SHOWN_REASON = 1 << 13, 100  # characters
NORMALIZER_FIELD, PREFIX_FIELD = 3, 3  # of ModelProto; of NormalizerSpec: add_dummy_prefix. The last of two counts
METADATA_FIELD = 200  # ModelProto reserves field numbers from 200 on for extensions


class SentencePieceModel:
    """The pieces of a SentencePiece model, indexed by id.

    InputError when `model` is not one, or lacks the symbols `<s>` (or `</s>`) and `<unk>`; messages call it `name`.
    """

    def __init__(self, model: bytes, name: str) -> None:
        self.processor, self._serialized = sentencepiece.SentencePieceProcessor(), model
        try:
            self.processor.LoadFromSerializedProto(model)
            self.size: int = self.processor.vocab_size()
            self.pieces: list[str] = self.processor.id_to_piece(list(range(self.size)))  # UnicodeError: not text
        except Exception as error:
            reason = str(error).removeprefix("INTERNAL: ").rstrip(".")[:SHOWN_REASON]
            raise InputError(f"{name} is not a SentencePiece model, or was cut short ({reason})") from error
        if max(map(len, self.pieces), default=0) > LONGEST_PIECE:
            raise InputError(
                f"{name} has a piece of more than {LONGEST_PIECE:,} characters: make one with seqtool vocab"
            )
        self.end_id: int = self.processor.eos_id()
        self.begin_id: int = next((i for i in (self.processor.bos_id(), self.end_id) if i >= 0), -1)
        if self.begin_id < 0:
            raise InputError(f"{name} has no <s> symbol to begin a text with: make one with seqtool vocab")
        self.unknown_id: int = self.processor.unk_id()
        if self.unknown_id < 0:
            raise InputError(f"{name} has no <unk> symbol for what it does not know: make one with seqtool vocab")
        self.dtype = np.dtype(np.uint16 if self.size <= 1 << 16 else np.uint32)
        byte_ids = [self.processor.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)]
        self.byte_ids = np.array(byte_ids, dtype=self.dtype)
        """The id of each byte; `unknown_id` for one that has no piece. Shape (256,)."""
        self.space_id: int = self.processor.piece_to_id(SPACE)
        self.newline_alone: bool = all(self.processor.is_byte(index) for index in byte_ids)
        """Whether a newline is an id of its own: each byte has a piece."""
        self.spells_all: bool = self.newline_alone and self.space_id != self.unknown_id
        """Whether every text can be spelled: each byte has a piece, and the space has one of its own."""
        self.metadata, learned = split_metadata(model)
        # Without what made the model, so that the same vocabulary learned again has the same hash.
        settings = {key: value for key, value in self.metadata.items() if key != "made_by"}
        self.identity: bytes = learned + canonical_sha256(settings).encode()
        """What makes the vocabulary this one, for its hash."""

    def without_prefix(self) -> SentencePieceModel:
        """The same model, but that puts no space before what it encodes."""
        _, learned = split_metadata(self._serialized)
        return SentencePieceModel(learned + as_field(NORMALIZER_FIELD, as_number(PREFIX_FIELD, 0)), "vocabulary")

    def is_text(self, index: int) -> bool:
        """Whether a piece stands for text, not for a byte, a control symbol or `<unk>`."""
        kinds = (self.processor.is_control, self.processor.is_byte, self.processor.is_unknown)
        return not any(kind(index) for kind in kinds)

    def bytes_of(self, index: int) -> bytes:
        """The bytes of text that an id stands for, in any vocabulary but one of words; none for a control symbol."""
        if self.processor.is_control(index):
            return b""
        if self.processor.is_byte(index):
            return bytes([int(self.pieces[index][3:5], 16)])
        if self.processor.is_unknown(index):
            return "\u2047".encode()
        return self.pieces[index].replace(SPACE, " ").encode()

    def piece_id(self, piece: str) -> int | None:
        """The id of a piece, or None when there is none."""
        index = self.processor.piece_to_id(piece)
        return None if index == self.unknown_id else int(index)

    def score(self, index: int) -> float:
        """The score of a piece: of bpe the order of merges, of unigram its log probability."""
        return float(self.processor.get_score(index))


def with_metadata(model: bytes, metadata: dict[str, Any]) -> bytes:
    """Append our JSON to a serialized model, in an extension field that other readers skip."""
    content = json.dumps(metadata, ensure_ascii=False).encode()
    return model + as_field(METADATA_FIELD, content)


def as_field(number: int, content: bytes) -> bytes:
    """Bytes as a field of a serialized protocol buffer."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def split_metadata(model: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON that `with_metadata` appended (empty for a model of another maker), and the model before it."""
    position = 0
    try:
        while position < len(model):
            begin = position
            tag, position = _read_varint(model, position)
            wire = tag & 7
            if wire == 0:
                _, position = _read_varint(model, position)
                continue
            length, position = _read_varint(model, position) if wire == 2 else ({1: 8, 5: 4}[wire], position)
            if tag >> 3 == METADATA_FIELD and wire == 2:
                value = json.loads(model[position : position + length])
                return (value, model[:begin]) if isinstance(value, dict) else ({}, model)
            position += length
    except (IndexError, KeyError, ValueError, RecursionError):
        pass
    return {}, model


def as_number(number: int, value: int) -> bytes:
    """A whole number as a field of a serialized protocol buffer."""
    return _varint(number << 3) + _varint(value % (1 << 64))


def _varint(value: int) -> bytes:
    """A protocol-buffer integer: seven bits a byte, the lowest first, the high bit set on all but the last."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _read_varint(data: Sequence[int], position: int) -> tuple[int, int]:
    """The protocol-buffer integer at `position`, and the position after it."""
    value = shift = 0
    while data[position] & 0x80:
        if shift > 63:
            raise ValueError("not a protocol-buffer integer")
        value |= (data[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return value | data[position] << shift, position + 1
