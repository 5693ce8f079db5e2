"""Vocabularies: SentencePiece models of five types, all but `word` lossless, and byte-level BPE.

Spaces are kept, a newline has an id of its own, and a character that the vocabulary lacks becomes its UTF-8 bytes. Ids
are those of `spm_encode` with the same model, with two exceptions: a U+2581 in the text, which SentencePiece writes for
a space, is spelled in bytes, and a line longer than SEGMENT_CHARACTERS is encoded in segments.

A model that another program made (type `foreign`) encodes each line exactly as `spm_encode` does, with its treatment
of white space and its normalization, and the newline's id ends the line.

Byte-level BPE (type `byte-bpe`) encodes a whole text as GPT-2, SmolLM, Llama 3 and Qwen2 do: a token may hold several
newlines.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError
from seqtool.files.writing import read_small_file, sha256
from seqtool.settings.vocabulary import BYTE_LEVEL, VOCABULARY_TYPES
from seqtool.text.byte_level import ByteLevelModel
from seqtool.text.decoding import Seam, TextDecoder
from seqtool.text.encoding import Encoder, Ids, encoder_of
from seqtool.text.normalizing import SPACE, folded
from seqtool.text.sentencepiece_model import MAX_MODEL_BYTES, SentencePieceModel
from seqtool.text.splitting import SPLITTINGS
from seqtool.text.symbols import known_symbols, symbol_pattern
from seqtool.text.tables import ByteTable

END_OF_LINE = "<eos>"  # the newline's piece in a `word` vocabulary
JSON = b"{"  # begins a file of byte-level BPE, and no SentencePiece model


class Vocabulary:
    """A mapping between text and ids, made from a serialized SentencePiece model or a file of byte-level BPE.

    `encode` gives ids of `dtype`, the smallest unsigned type that fits. `begin_id` is the beginning-of-text symbol
    `<s>`; `unknown_id` is -1 where there is none, as in byte-level BPE. `symbols` are the ids of the user-defined
    symbols, which are never split. InputError if `model` is not one.
    """

    def __init__(self, model: bytes, name: str = "vocabulary") -> None:
        self.model = model
        self.name = name
        self._model = ByteLevelModel(model, name) if model.startswith(JSON) else SentencePieceModel(model, name)
        self.metadata: dict[str, Any] = self._model.metadata
        self.sha256 = sha256(self._model.identity)
        self.size, self.dtype = self._model.size, self._model.dtype
        self.begin_id, self.unknown_id = self._model.begin_id, self._model.unknown_id
        self.type = self._checked_type()
        self.has_newline = self._model.newline_alone or self.type == "word"
        self._folds = self.metadata.get("normalize") != "none" or bool(self.metadata.get("lowercase"))
        self.lossless = self._model.spells_all and not self._folds
        self.symbols = self._checked_symbols()
        self._symbol = symbol_pattern(self.symbols)

    def _checked_type(self) -> str:
        """The type that the metadata claims, if the pieces fit it; `foreign` for any other model."""
        if isinstance(self._model, ByteLevelModel):
            return BYTE_LEVEL
        claimed = self.metadata.get("type")
        word = self._model.pieces[max(self._model.end_id, 0)] == END_OF_LINE
        fits = word if claimed == "word" else self._model.spells_all
        return str(claimed) if claimed in VOCABULARY_TYPES and fits else "foreign"

    def _checked_symbols(self) -> dict[str, int]:
        """The user-defined symbols that the metadata claims, if they are pieces, and their ids."""
        if isinstance(self._model, ByteLevelModel):
            return self._model.symbols
        if self.type == "foreign":
            return {}
        prefix = SPACE if self.type == "word" else ""
        return known_symbols(self.metadata.get("symbols"), self._model.pieces, prefix)

    @property
    def prefixes_text(self) -> bool:
        """Whether a space is put before a document only, as Llama's own program does, and before none of its lines."""
        return self.type == "foreign" and self.has_newline and self.metadata.get("prefix") == "text"

    def encode(self, text: str, begins: bool = True) -> Ids:
        """Ids of a text, without beginning or end symbols; shape (tokens,). `begins` says that it begins a document."""
        if not self.prefixes_text:
            return self._encoder(text)
        first, newline, rest = text.partition("\n") if begins else ("", "", text)
        # Of a text that begins with a newline the space before it is all that stands in the first line.
        line = self._encoder(first) if first or not newline else self._inner_encoder(" ")
        return np.concatenate([line, self._inner_encoder(newline + rest)])

    def encode_parts(self, parts: Sequence[tuple[str, bool]]) -> Ids:
        """Ids of the parts of a text in a row, each of which may begin a document."""
        if not self.prefixes_text:
            return self.encode("".join([text for text, _ in parts]))
        return np.concatenate([self.encode(text, begins) for text, begins in parts])

    @functools.cached_property
    def _encoder(self) -> Encoder:
        return encoder_of(self._model, self.type, self.symbols, self.newline_ids, folds=self._folds)

    @functools.cached_property
    def _inner_encoder(self) -> Encoder:
        """Of lines within a document, where a space is put before documents only."""
        assert isinstance(self._model, SentencePieceModel)
        return encoder_of(self._model.without_prefix(), self.type, {}, self.newline_ids, folds=self._folds)

    def split_at_symbols(self, text: str) -> list[str]:
        """A text cut before and after each user-defined symbol."""
        return re.split(f"({self._symbol.pattern})", text) if self._symbol is not None else [text]

    @property
    def newline_ids(self) -> list[int]:
        """The ids of one newline alone; `[unknown_id]` in a foreign vocabulary that has none."""
        if self.type == "word":
            return [self._model.end_id]
        known = self.has_newline or self.joins_newlines
        return [int(self._model.byte_ids[ord("\n")])] if known else [self.unknown_id]

    @property
    def joins_newlines(self) -> bool:
        """Whether a token may hold newlines and what is before or between them, so that none ends a line for sure."""
        return self.type == BYTE_LEVEL

    def normalized(self, text: str) -> str:
        """What of a text is split: of byte-level BPE its normal form. What others normalize SentencePiece does."""
        return folded(text, self.metadata["normalize"], False) if self.type == BYTE_LEVEL else text

    def last_cut(self, text: str, start: int, end: int) -> int:
        """The last place after `start`, and at `end` at the latest, where both parts of a text have the ids that they
        have in the whole; 0 where there is none. Of byte-level BPE.
        """
        return SPLITTINGS[self.metadata["splitting"]].last_cut(text, start, end)

    @functools.cached_property
    def begins_with_space(self) -> bool:
        """Whether a line's first token brings a space that is not in the text: SentencePiece's dummy prefix."""
        return self.type == "word" or self._bytes_of(int(self.encode("a")[0])).startswith(b" ")

    @functools.cached_property
    def ends_with_space(self) -> bool:
        """Whether a line's last token brings a space that is not in the text: SentencePiece's dummy suffix."""
        return self.type == "foreign" and self._bytes_of(int(self.encode("a")[-1])).endswith(b" ")

    @functools.cached_property
    def keeps_spaces(self) -> bool:
        """Whether ids hold the spaces at both ends of a text, and none that are not in it."""
        return self.decode(self.encode(" a ").tolist()) == " a "

    def decoder(self, seam: Seam | None = None) -> TextDecoder:
        """A new streaming decoder from ids to text, at the beginning of a text or after a prompt."""
        return TextDecoder(self, seam or Seam(drop_space=self.begins_with_space))

    def seam(self, prompt: str, ids: Sequence[int]) -> Seam:
        """How text goes on from a prompt whose ids are `ids`."""
        spaced = not prompt or prompt[-1].isspace()
        if self.type == "word":
            return Seam(drop_space=spaced)
        if not prompt:
            return Seam(drop_space=self.begins_with_space)
        # The last four tokens hold the last character, even if it is spelled in bytes.
        end = b"".join(self._bytes_of(index) for index in ids[-4:]).decode(errors="ignore")
        if spaced:
            return Seam(drop_space=not end[-1:].isspace())
        return Seam(first=b" " if end.endswith(" ") else b"")

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; bytes that are not UTF-8 become U+FFFD. InputError when an id is not of this vocabulary."""
        decoder = self.decoder()
        return decoder.feed(ids) + decoder.finish()

    def check(self, ids: npt.NDArray[np.integer]) -> None:
        """InputError when one of the ids is not of this vocabulary."""
        if len(ids) and not (ids.min() >= 0 and ids.max() < self.size):
            index = ids[(ids < 0) | (ids >= self.size)][0]
            raise InputError(
                f"id {index} is not in {self.name}, which has {self.size}: it is another text's vocabulary"
            )

    @functools.cached_property
    def token_strings(self) -> list[bytes]:
        """The bytes of text that each id stands for; none for control symbols."""
        return [self._bytes_of(index) for index in range(self.size)]

    @functools.cached_property
    def token_table(self) -> ByteTable:
        """`token_strings` as a table, from which many can be joined at once."""
        return ByteTable(self.token_strings)

    def token_bytes(self, index: int) -> bytes:
        """The bytes of text that one id stands for; none for control symbols."""
        self.check(np.array([index]))
        return self._bytes_of(index)

    def token_in_line(self, index: int) -> str:
        """The text of one id inside a line: a word without its space, and U+FFFD for part of a character."""
        return self.decode([index]) if self.type == "word" else self.token_bytes(index).decode(errors="replace")

    def token_text(self, index: int) -> str:
        """The text of one id to show to a person: its piece if its bytes are not whole characters."""
        try:
            return self.token_strings[index].decode() or self._model.pieces[index]
        except UnicodeDecodeError:
            return self._model.pieces[index]

    def _bytes_of(self, index: int) -> bytes:
        if self.type == "word" and index in (self._model.end_id, self.unknown_id):
            return b"\n" if index == self._model.end_id else b" <unk>"
        return self._model.bytes_of(index)

    def piece(self, index: int) -> str:
        """The piece of one id, as SentencePiece or the makers of byte-level BPE show it."""
        return self._model.pieces[index]

    def piece_id(self, piece: str) -> int | None:
        """The id of a piece, or None when there is none."""
        return self._model.piece_id(piece)

    def byte_ids(self, text: str) -> list[int]:
        """Ids that spell a text in its UTF-8 bytes."""
        spelled: list[int] = self._model.byte_ids[list(text.encode())].tolist()
        return spelled

    def scores(self) -> dict[str, float]:
        """The score of each piece that stands for text: of bpe the order of merges, of unigram its log probability."""
        return {
            piece: self._model.score(index)
            for index, piece in enumerate(self._model.pieces)
            if self._model.is_text(index)
        }

    def merged_pairs(self) -> list[tuple[int, int]]:
        """The ids that byte-level BPE merges, the best first; none of other vocabularies."""
        return self._model.pairs if isinstance(self._model, ByteLevelModel) else []

    def unreached(self) -> list[int]:
        """The ids of byte-level BPE that no merges make of their own bytes, as `ignore_merges` needs none."""
        if not isinstance(self._model, ByteLevelModel):
            return []
        model, symbols = self._model, set(self.symbols.values())
        texts = [index for index in range(self.size) if model.is_text(index) and index not in symbols]
        return [index for index in texts if model.merged(model.bytes_of(index)) != [index]]

    def token(self, index: int) -> str:
        """What a file of vectors calls one id: a word without the space before it, or the piece."""
        piece = self._model.pieces[index]
        return piece.removeprefix(SPACE) if self.type == "word" else piece

    def describe(self) -> dict[str, Any]:
        """What `seqtool info` reports of a vocabulary."""
        return {
            **self.metadata,
            "kind": "vocabulary",
            "type": self.type,
            "size": self.size,
            "lossless": self.lossless,
            "sha256": self.sha256,
        }


def load_vocabulary(path: Path | str) -> Vocabulary:
    """Read a vocabulary's file: a SentencePiece model, or one of byte-level BPE."""
    return Vocabulary(read_small_file(Path(path), MAX_MODEL_BYTES), str(path))
