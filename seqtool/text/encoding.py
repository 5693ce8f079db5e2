"""Encoding text into ids: by byte, by character, by the pieces that SentencePiece finds, or by byte-level BPE.

SentencePiece writes a space as U+2581, so a U+2581 in the text itself is encoded as its UTF-8 bytes. So is every
character that the vocabulary lacks, if it has the bytes.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.text.byte_level import ByteLevelEncoder, ByteLevelModel
from seqtool.text.documents import CODE_POINTS, code_points
from seqtool.text.normalizing import SPACE
from seqtool.text.sentencepiece_model import SentencePieceModel
from seqtool.text.symbols import symbol_pattern
from seqtool.text.units import UnitEncoder, line_units, segment_units, unit_text, whole_line_units, word_units

Ids = npt.NDArray[np.unsignedinteger[Any]]
Encoder = Callable[[str], Ids]

SPACE_BYTES = SPACE.encode()
SYMBOL_PLACES = 0xD800  # the first surrogate: code points that no text has, used for user-defined symbols


def encoder_of(
    model: SentencePieceModel | ByteLevelModel,
    kind: str,
    symbols: Mapping[str, int],
    newline_ids: list[int],
    *,
    folds: bool,
) -> Encoder:
    """The fastest encoder for a vocabulary of type `kind`, whose `symbols` are never split.

    `folds` says that the model normalizes or lower-cases text, which is left to SentencePiece.
    """
    if isinstance(model, ByteLevelModel):
        return ByteLevelEncoder(model)
    if kind == "byte" and not folds and not symbols:
        return ByteEncoder(model)
    if kind in ("char", "byte") and not folds and (table := character_table(model, symbols)) is not None:
        return CharacterEncoder(model, symbols, table)
    return PieceEncoder(model, kind, symbols, newline_ids, folds=folds)


class ByteEncoder:
    """Encodes each byte of the UTF-8 text as one id."""

    def __init__(self, model: SentencePieceModel) -> None:
        self._ids = model.byte_ids.copy()
        self._ids[ord(" ")] = model.space_id

    def __call__(self, text: str) -> Ids:
        """Ids of a text; shape (bytes,)."""
        return self._ids.take(np.frombuffer(text.encode(), dtype=np.uint8), mode="clip")


def character_table(model: SentencePieceModel, symbols: Mapping[str, int]) -> Ids | None:
    """The id of each code point, or `<unk>`'s; shape (CODE_POINTS,). None if a piece has several characters.

    The code points from SYMBOL_PLACES on stand for the symbols, in order.
    """
    table = np.full(CODE_POINTS, model.unknown_id, dtype=model.dtype)
    for index, piece in enumerate(model.pieces):
        if model.is_text(index) and piece not in symbols:
            if len(piece) != 1:
                return None
            table[ord(piece)] = index
    table[SYMBOL_PLACES : SYMBOL_PLACES + len(symbols)] = list(symbols.values())
    table[ord(" ")], table[ord(SPACE)] = table[ord(SPACE)], model.unknown_id
    table[ord("\n")] = model.byte_ids[ord("\n")]
    return table


class CharacterEncoder:
    """Encodes each character by a table from `character_table`."""

    def __init__(self, model: SentencePieceModel, symbols: Mapping[str, int], table: Ids) -> None:
        self._table, self._unknown_id, self._byte_ids = table, model.unknown_id, model.byte_ids
        self._symbol = symbol_pattern(symbols)
        self._places = {symbol: chr(SYMBOL_PLACES + place) for place, symbol in enumerate(symbols)}

    def __call__(self, text: str) -> Ids:
        """Ids of a text; shape (tokens,)."""
        if self._symbol is not None:
            text = self._symbol.sub(lambda match: self._places[match[0]], text)
        points = code_points(text)
        ids = self._table.take(points, mode="clip")  # the fast mode; no index is out of range
        missing = ids == self._unknown_id
        return self._spelled(points, ids, missing) if missing.any() else ids

    def _spelled(self, points: npt.NDArray[np.unsignedinteger], ids: Ids, missing: npt.NDArray[np.bool_]) -> Ids:
        """The ids with each `missing` character replaced by the ids of its UTF-8 bytes."""
        data = points[missing].astype(np.uint32).tobytes().decode("utf-32-le").encode()
        tokens = np.ones(len(points), dtype=np.int64)
        for limit in (0x80, 0x800, 0x10000):  # UTF-8 takes one more byte from each of these on
            tokens[missing] += points[missing] >= limit
        is_byte = np.repeat(missing, tokens)
        spelled = np.empty(len(is_byte), dtype=ids.dtype)
        spelled[is_byte] = self._byte_ids[np.frombuffer(data, dtype=np.uint8)]
        spelled[~is_byte] = ids[~missing]
        return spelled


class PieceEncoder:
    """Encodes with SentencePiece, each unit of a text (see `units`) separately and only once."""

    def __init__(
        self, model: SentencePieceModel, kind: str, symbols: Mapping[str, int], newline_ids: list[int], *, folds: bool
    ) -> None:
        self._model = model
        self._symbol = symbol_pattern(symbols)
        split: Callable[[str], list[bytes]]
        encode: Callable[[list[bytes]], list[list[int]]]
        if kind == "word":
            split, encode = word_units, self._encode_words
        elif kind == "foreign":
            split, encode = whole_line_units, self._pieces
        else:
            spaces_only_begin = all(SPACE not in piece.lstrip(SPACE) for piece in model.pieces)
            separable = not folds and model.spells_all and spaces_only_begin
            pattern = re.compile(self._symbol.pattern.encode()) if self._symbol else None
            split = functools.partial(segment_units if separable else line_units, symbols=pattern)
            encode = self._encode_units
        self._encode, self._newline = encode, newline_ids
        self._units = UnitEncoder(split, self._encode_lines, model.dtype.char)

    def __call__(self, text: str) -> Ids:
        """Ids of a text; shape (tokens,)."""
        return np.frombuffer(self._units(text), dtype=self._model.dtype)

    def _encode_lines(self, units: list[bytes]) -> list[list[int]]:
        """Ids of each unit, of which a newline at the end is not SentencePiece's to split."""
        rows = self._encode([unit_text(unit) for unit in units])
        return [row + self._newline if unit.endswith(b"\n") else row for unit, row in zip(units, rows, strict=True)]

    def _encode_words(self, units: list[bytes]) -> list[list[int]]:
        """Ids of the words of each unit, one word at a time: SentencePiece merges a run of unknown words into one."""
        texts = [unit.decode() for unit in units]
        if self._symbol is not None:
            texts = [self._symbol.sub(r" \g<0> ", text) for text in texts]
        words = [text.split() for text in texts]
        flat = list(itertools.chain.from_iterable(words))
        unknown = [self._model.unknown_id]
        found = iter(unknown if SPACE in word else row for word, row in zip(flat, self._pieces(flat), strict=True))
        return [list(itertools.chain.from_iterable(itertools.islice(found, len(row)))) for row in words]

    def _encode_units(self, units: list[bytes]) -> list[list[int]]:
        """Ids of each unit, with U+2581 spelled in bytes."""
        rows = self._pieces(units)
        for index, unit in enumerate(units):
            if SPACE_BYTES in unit:
                rows[index] = self._encode_around_space_symbol(unit)
        return rows

    def _encode_around_space_symbol(self, text: bytes) -> list[int]:
        spelled = self._model.byte_ids[list(SPACE_BYTES)].tolist()
        first, *others = self._pieces(text.split(SPACE_BYTES))
        return list(itertools.chain(first, *([*spelled, *part] for part in others)))

    def _pieces(self, texts: list[Any]) -> list[list[int]]:
        """SentencePiece's ids of each text, computed on all cores."""
        if not texts:
            return []
        rows: list[list[int]] = self._model.processor.encode(texts, num_threads=os.cpu_count() or 1)
        return rows
