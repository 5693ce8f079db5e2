"""Vocabularies: SentencePiece models of five types, applied so that no character is lost.

Spaces are kept as they are, a newline has an id of its own, and a character that the vocabulary lacks becomes its UTF-8
bytes. SentencePiece writes a space as U+2581, so a U+2581 that stands in the text is always spelled in bytes: there,
and where a line is longer than SEGMENT_CHARACTERS and is cut, `spm_encode` with the same model gives other ids.

A model of another maker (`foreign`) splits each line as `spm_encode` does, with all that it does to white space and
characters, and the newline's id closes it.
"""

from __future__ import annotations

import codecs
import functools
import itertools
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import sentencepiece

from seqtool.errors import InputError
from seqtool.files.writing import canonical_sha256, read_small_file, sha256
from seqtool.settings.vocabulary import MAX_SYMBOLS, VOCABULARY_TYPES
from seqtool.text.documents import SEGMENT_CHARACTERS, Block, code_points
from seqtool.text.normalizing import SPACE
from seqtool.text.tables import ByteTable, LineJoiner
from seqtool.text.units import UnitEncoder, line_units, segment_units, whole_line_units, word_units

Ids = npt.NDArray[np.unsignedinteger[Any]]

SPACE_BYTES = SPACE.encode()
END_OF_LINE = "<eos>"  # what ends a line in a `word` vocabulary
MAX_MODEL_BYTES = 256 << 20
LONGEST_PIECE, SHOWN_REASON = 1 << 13, 100  # characters
GROUP_CHARACTERS = 1 << 16
MAX_HELD_CHARACTERS = 1 << 20
SYMBOL_PLACES = 0xD800
WHITE_SPACE = re.compile(r"\s")
METADATA_FIELD = 200  # SentencePiece's ModelProto leaves fields from 200 on to others


class Seam(NamedTuple):
    """What joins text to the prompt that it goes on from, where tokens bring their own spaces."""

    first: bytes = b""
    """What the prompt's tokens hold beyond its text: the space after its last word."""
    drop_space: bool = False
    """The prompt ends with white space, or there is none: the first word goes without its space."""
    skip: int = 0
    """So many bytes of the first token are the prompt's."""


class Vocabulary:
    """A mapping between text and ids, made from a serialized SentencePiece model.

    `encode` gives ids of the smallest unsigned type that fits. `begin_id` is the beginning-of-text symbol `<s>`.
    """

    def __init__(self, model: bytes, name: str = "vocabulary") -> None:
        self.model = model
        self.name = name
        self.metadata, learned = split_metadata(model)
        # What made a model is not a part of what it does: the same vocabulary learned twice has one hash.
        settings = {key: value for key, value in self.metadata.items() if key != "made_by"}
        self.sha256 = sha256(learned + canonical_sha256(settings).encode())
        self._pieces = sentencepiece.SentencePieceProcessor()
        try:
            self._pieces.LoadFromSerializedProto(model)
            self.size: int = self._pieces.vocab_size()
            self._symbols: list[str] = self._pieces.id_to_piece(list(range(self.size)))  # UnicodeError: not text
        except Exception as error:
            reason = str(error).removeprefix("INTERNAL: ").rstrip(".")[:SHOWN_REASON]
            raise InputError(f"{name} is not a SentencePiece model, or was cut short ({reason})") from error
        if max(map(len, self._symbols), default=0) > LONGEST_PIECE:
            raise InputError(
                f"{name} has a piece of more than {LONGEST_PIECE:,} characters: make one with seqtool vocab"
            )
        self.begin_id: int = next((i for i in (self._pieces.bos_id(), self._pieces.eos_id()) if i >= 0), -1)
        if self.begin_id < 0:
            raise InputError(f"{name} has no <s> symbol to begin a text with: make one with seqtool vocab")
        self.unknown_id: int = self._pieces.unk_id()
        if self.unknown_id < 0:
            raise InputError(f"{name} has no <unk> symbol for what it does not know: make one with seqtool vocab")
        self.dtype = np.dtype(np.uint16 if self.size <= 1 << 16 else np.uint32)
        byte_ids = [self._pieces.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)]
        spells_bytes = all(self._pieces.is_byte(index) for index in byte_ids)
        self.spells_bytes: bool = spells_bytes and self._pieces.piece_to_id(SPACE) != self.unknown_id
        self.type = self._checked_type()
        self.has_newline = spells_bytes or self.type == "word"
        # Whether it is one of ours that folds nothing.
        self._is_plain = self.metadata.get("normalize") == "none" and not self.metadata.get("lowercase")
        self.lossless = self.spells_bytes and self._is_plain
        self._byte_ids = np.array(byte_ids, dtype=self.dtype)
        self.symbols = self._checked_symbols()
        self._symbol = symbol_pattern(self.symbols)
        self._table = self._character_table()

    def encode(self, text: str) -> Ids:
        """Ids of a text, without beginning or end symbols; shape (tokens,)."""
        if self.type == "byte" and self._is_plain and not self.symbols:
            return self._encode_bytes(text)
        if self._table is not None:
            if self._symbol is not None:
                places = {symbol: chr(SYMBOL_PLACES + place) for place, symbol in enumerate(self.symbols)}
                text = self._symbol.sub(lambda match: places[match[0]], text)
            return self._encode_characters(text, self._table)
        return np.frombuffer(self._units(text), dtype=self.dtype)

    @functools.cached_property
    def _units(self) -> UnitEncoder:
        if self.type == "word":
            return UnitEncoder(word_units, self._encode_words, self.newline_ids, self.dtype.char)
        if self.type == "foreign":
            return UnitEncoder(whole_line_units, self._encode_units, self.newline_ids, self.dtype.char)
        separable = self.lossless and all(SPACE not in symbol.lstrip(SPACE) for symbol in self._symbols)
        symbols = re.compile(self._symbol.pattern.encode()) if self._symbol else None
        split = functools.partial(segment_units if separable else line_units, symbols=symbols)
        return UnitEncoder(split, self._encode_units, self.newline_ids, self.dtype.char)

    def _encode_words(self, units: list[bytes]) -> list[list[int]]:
        """Ids of words, each by itself: SentencePiece makes one <unk> of all unknown words in a row."""
        texts = [unit.decode() for unit in units]
        if self._symbol is not None:
            texts = [self._symbol.sub(r" \g<0> ", text) for text in texts]
        words = [text.split() for text in texts]
        flat = list(itertools.chain.from_iterable(words))
        ids = self._pieces.encode(flat, num_threads=os.cpu_count() or 1) if flat else []
        found = iter([self.unknown_id] if SPACE in word else row for word, row in zip(flat, ids, strict=True))
        return [list(itertools.chain.from_iterable(itertools.islice(found, len(row)))) for row in words]

    def _encode_units(self, units: list[bytes]) -> list[list[int]]:
        """Ids of texts without newlines, each by itself, by all cores."""
        rows: list[list[int]] = self._pieces.encode(units, num_threads=os.cpu_count() or 1) if units else []
        if self.type != "foreign":
            for index, unit in enumerate(units):
                if SPACE_BYTES in unit:
                    rows[index] = self._encode_around_space_symbol(unit)
        return rows

    @property
    def newline_ids(self) -> list[int]:
        """The ids that stand for one newline; the unknown id in a foreign vocabulary that has none (`has_newline`)."""
        if self.type == "word":
            return [self._pieces.eos_id()]
        return [int(self._byte_ids[ord("\n")])] if self.has_newline else [self.unknown_id]

    @functools.cached_property
    def _begins_with_space(self) -> bool:
        """Whether a line's first word has a space before it that is not in the text: SentencePiece's dummy prefix."""
        return self.type == "word" or self._bytes_of(int(self.encode("a")[0])).startswith(b" ")

    @functools.cached_property
    def _ends_with_space(self) -> bool:
        """Whether a line's last word has a space behind it that is not in the text: SentencePiece's dummy suffix."""
        return self.type == "foreign" and self._bytes_of(int(self.encode("a")[-1])).endswith(b" ")

    @functools.cached_property
    def keeps_spaces(self) -> bool:
        """Whether spaces at both ends of a text are in its ids, and no others."""
        return self.decode(self.encode(" a ").tolist()) == " a "

    def decoder(self, seam: Seam | None = None) -> TextDecoder:
        """A new streaming decoder from ids to text, at the beginning of a text or behind a prompt."""
        return TextDecoder(self, seam or Seam(drop_space=self._begins_with_space))

    def seam(self, prompt: str, ids: Sequence[int]) -> Seam:
        """How text goes on from a prompt whose ids are `ids`."""
        spaced = not prompt or prompt[-1].isspace()
        if self.type == "word":
            return Seam(drop_space=spaced)
        if not prompt:
            return Seam(drop_space=self._begins_with_space)
        # The last four tokens hold the last character, be it in bytes.
        end = b"".join(self._bytes_of(index) for index in ids[-4:]).decode(errors="ignore")
        if spaced:
            return Seam(drop_space=not end[-1:].isspace())
        return Seam(first=b" " if end.endswith(" ") else b"")

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; bytes that are not UTF-8 become U+FFFD. IndexError when an id is not of this vocabulary."""
        decoder = self.decoder()
        return decoder.feed(ids) + decoder.finish()

    def token_bytes(self, index: int) -> bytes:
        """What one id contributes to the text; control symbols contribute nothing."""
        self.check(np.array([index]))
        return self._bytes_of(index)

    def token_in_line(self, index: int) -> str:
        """The text of one id inside a line, of a word without the space before it; part of a character is U+FFFD."""
        return self.decode([index]) if self.type == "word" else self.token_bytes(index).decode(errors="replace")

    def _bytes_of(self, index: int) -> bytes:
        if self._pieces.is_control(index):
            return b"\n" if self.type == "word" and index == self._pieces.eos_id() else b""
        piece = self._symbols[index]
        if self._pieces.is_byte(index):
            return bytes([int(piece[3:5], 16)])
        if self._pieces.is_unknown(index):
            return b" <unk>" if self.type == "word" else "\u2047".encode()
        return piece.replace(SPACE, " ").encode()

    def check(self, ids: npt.NDArray[np.integer]) -> None:
        """InputError when one of the ids is not of this vocabulary."""
        if len(ids) and not (ids.min() >= 0 and ids.max() < self.size):
            index = ids[(ids < 0) | (ids >= self.size)][0]
            raise InputError(
                f"id {index} is not in {self.name}, which has {self.size}: it is another text's vocabulary"
            )

    @functools.cached_property
    def token_strings(self) -> list[bytes]:
        """What each id contributes to the text."""
        return [self._bytes_of(index) for index in range(self.size)]

    @functools.cached_property
    def token_table(self) -> ByteTable:
        """The same, to be joined."""
        return ByteTable(self.token_strings)

    def scores(self) -> dict[str, float]:
        """The pieces that stand for text, and each one's score: of bpe the order of merges, of unigram its log p."""
        return {
            self._symbols[index]: self._pieces.get_score(index)
            for index in range(self.size)
            if not (self._pieces.is_control(index) or self._pieces.is_byte(index) or self._pieces.is_unknown(index))
        }

    def piece_id(self, piece: str) -> int | None:
        """The id of a piece, or None when there is none."""
        index = self._pieces.piece_to_id(piece)
        return None if index == self.unknown_id else int(index)

    def byte_ids(self, text: str) -> list[int]:
        """Ids that spell a text in its UTF-8 bytes."""
        spelled: list[int] = self._byte_ids[list(text.encode())].tolist()
        return spelled

    def piece(self, index: int) -> str:
        """The symbol that SentencePiece shows for one id."""
        return self._symbols[index]

    def token_text(self, index: int) -> str:
        """What one id contributes to the text, to be shown: the piece, where that is no whole characters."""
        try:
            return self.token_strings[index].decode() or self._symbols[index]
        except UnicodeDecodeError:
            return self._symbols[index]

    def token(self, index: int) -> str:
        """What vectors call one id: a word vocabulary's word as it stands in the text, else the piece."""
        piece = self._symbols[index]
        return piece.removeprefix(SPACE) if self.type == "word" else piece

    def describe(self) -> dict[str, Any]:
        """What `seqtool info` says of a vocabulary."""
        return {
            **self.metadata,
            "kind": "vocabulary",
            "type": self.type,
            "size": self.size,
            "lossless": self.lossless,
            "sha256": self.sha256,
        }

    def _checked_type(self) -> str:
        """The type that the metadata claims, where the pieces bear it out; `foreign` for any other model."""
        claimed = self.metadata.get("type")
        word = self._symbols[max(self._pieces.eos_id(), 0)] == END_OF_LINE
        fits = word if claimed == "word" else self.spells_bytes
        return str(claimed) if claimed in VOCABULARY_TYPES and fits else "foreign"

    def _checked_symbols(self) -> dict[str, int]:
        """The symbols that are kept whole and their ids, where the pieces bear out what the metadata claims."""
        claimed = self.metadata.get("symbols")
        if self.type == "foreign" or not isinstance(claimed, list) or len(claimed) > MAX_SYMBOLS:
            return {}
        before = SPACE if self.type == "word" else ""
        known = {symbol: index for index, symbol in enumerate(self._symbols)}
        ids = {symbol: known.get(before + symbol) for symbol in claimed if isinstance(symbol, str)}
        return {symbol: index for symbol, index in ids.items() if index is not None and not re.search(r"^$|\s", symbol)}

    def around_symbols(self, text: str) -> list[str]:
        """A text cut before and behind each symbol that is kept whole."""
        return re.split(f"({self._symbol.pattern})", text) if self._symbol is not None else [text]

    def _character_table(self) -> Ids | None:
        """Ids by code point (<unk>'s: spelled in bytes), for a vocabulary of characters that normalises nothing.

        Those from SYMBOL_PLACES on, which no text has, stand for symbols.
        """
        if not self._is_plain or not (self.type == "char" or (self.type == "byte" and self.symbols)):
            return None
        table = np.full(0x110000, self.unknown_id, dtype=self.dtype)
        for index in range(self.size):
            if not (self._pieces.is_control(index) or self._pieces.is_byte(index) or self._pieces.is_unknown(index)):
                piece = self._symbols[index]
                if piece in self.symbols:
                    continue
                if len(piece) != 1:
                    return None
                table[ord(piece)] = index
        table[SYMBOL_PLACES : SYMBOL_PLACES + len(self.symbols)] = list(self.symbols.values())
        table[ord(" ")], table[ord(SPACE)] = table[ord(SPACE)], self.unknown_id
        table[ord("\n")] = self._byte_ids[ord("\n")]
        return table

    def _encode_characters(self, text: str, table: Ids) -> Ids:
        points = code_points(text)
        ids = table.take(points, mode="clip")  # which is the fast mode; nothing is out of range
        missing = ids == self.unknown_id
        if not missing.any():
            return ids
        spelled = points[missing].astype(np.uint32).tobytes().decode("utf-32-le").encode()
        tokens = np.ones(len(points), dtype=np.int64)
        for limit in (0x80, 0x800, 0x10000):  # from each of which UTF-8 takes a byte more
            tokens[missing] += points[missing] >= limit
        is_byte = np.repeat(missing, tokens)
        found = np.empty(len(is_byte), dtype=self.dtype)
        found[is_byte] = self._byte_ids[np.frombuffer(spelled, dtype=np.uint8)]
        found[~is_byte] = ids[~missing]
        return found

    def _encode_bytes(self, text: str) -> Ids:
        return self._byte_symbols.take(np.frombuffer(text.encode(), dtype=np.uint8), mode="clip")

    @functools.cached_property
    def _byte_symbols(self) -> Ids:
        """Ids by byte, for a `byte` vocabulary."""
        ids = self._byte_ids.copy()
        ids[ord(" ")] = self._pieces.piece_to_id(SPACE)
        return ids

    def _encode_around_space_symbol(self, text: bytes) -> list[int]:
        spelled = self._byte_ids[list(SPACE_BYTES)].tolist()
        parts: list[list[int]] = self._pieces.encode(text.split(SPACE_BYTES))
        return list(itertools.chain.from_iterable([parts[0], *([*spelled, *part] for part in parts[1:])]))


class TextDecoder:
    """Turns a stream of ids into text as it comes: a character appears once all of its bytes are there."""

    def __init__(self, vocabulary: Vocabulary, seam: Seam) -> None:
        self._vocabulary = vocabulary
        self._table: ByteTable | LineJoiner = vocabulary.token_table
        if vocabulary._begins_with_space or seam.drop_space:
            every_line = vocabulary._begins_with_space and vocabulary.has_newline
            newline = vocabulary.newline_ids[0] if every_line else -1
            self._table = LineJoiner(vocabulary.token_table, newline, inside_line=not seam.drop_space)
        self._space = seam.first  # after the last word, where it may be the line's last
        self._skip = seam.skip
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, ids: Iterable[int]) -> str:
        """The text that these further ids complete."""
        return self._utf8.decode(self.feed_bytes(ids))

    def feed_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of these further ids, complete characters or not."""
        array = np.asarray(ids if isinstance(ids, (np.ndarray, list)) else list(ids), dtype=np.int64)
        self._vocabulary.check(array)
        data = self._space + self._table.join(array)
        self._space = b""
        if self._vocabulary._ends_with_space:
            data = data.replace(b" \n", b"\n")
            self._space = b" " if data.endswith(b" ") else b""
            data = data.removesuffix(b" ")
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        return data[skipped:]

    def unfinished(self, ids: Sequence[int]) -> int:
        """How many of the last of these ids, which were fed, spell nothing but a character whose rest has not come."""
        count, left = 0, len(self._utf8.getstate()[0])
        while left and count < len(ids) and (size := self._vocabulary.token_table.lengths[ids[-1 - count]]) <= left:
            count, left = count + 1, left - size
        return count

    def finish(self) -> str:
        """What is left: an unfinished character, as U+FFFD."""
        return self._utf8.decode(b"", True)


def load_vocabulary(path: Path | str) -> Vocabulary:
    """Read a SentencePiece model file."""
    return Vocabulary(read_small_file(Path(path), MAX_MODEL_BYTES), str(path))


def encode_blocks(vocabulary: Vocabulary, blocks: Iterable[Block]) -> Iterator[Ids]:
    """Ids of each block, the beginning symbol before each document: the stream that models are trained on."""
    begin = np.array([vocabulary.begin_id], dtype=vocabulary.dtype)
    newline = vocabulary.newline_ids[0]
    for group in _groups(encodable(vocabulary, blocks), vocabulary.has_newline):
        ids = vocabulary.encode("".join(block.text for block in group))
        if len(group) == 1:
            yield np.concatenate([begin, ids]) if group[0].starts_document else ids
            continue
        lines = [0, *itertools.accumulate(block.text.count("\n") for block in group)]
        line_starts = np.concatenate([[0], np.flatnonzero(ids == newline) + 1])
        yield np.insert(ids, [line_starts[lines[i]] for i, block in enumerate(group) if block.starts_document], begin)


def _groups(blocks: Iterable[Block], has_newline: bool) -> Iterator[list[Block]]:
    """Short blocks together, to be encoded at once; all but the last of a group end with a newline."""
    group: list[Block] = []
    characters = 0
    for block in blocks:
        group.append(block)
        characters += len(block.text)
        if characters >= GROUP_CHARACTERS or not (has_newline and block.text.endswith("\n")):
            yield group
            group, characters = [], 0
    if group:
        yield group


def encodable(vocabulary: Vocabulary, blocks: Iterable[Block]) -> Iterator[Block]:
    """The same text in blocks that can each be encoded by itself, so that ids do not depend on how the text arrived."""
    if vocabulary.type == "word":
        return whole_words(blocks)
    if vocabulary.type == "foreign":
        return whole_lines(blocks, vocabulary.name)
    return whole_symbols(blocks, vocabulary.symbols)


def symbol_pattern(symbols: Collection[str]) -> re.Pattern[str] | None:
    """What finds the symbols in a text, of two that begin alike the longer one; None where there are none."""
    longest_first = sorted(symbols, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if symbols else None


def whole_symbols(blocks: Iterable[Block], symbols: Collection[str]) -> Iterator[Block]:
    """The same text in blocks that end inside no symbol: behind a newline or one, or where a long part is cut."""
    pattern = symbol_pattern(symbols)
    if pattern is None:
        yield from blocks
        return
    longest = max(map(len, symbols))
    rest, starts = "", False
    for block in blocks:
        if block.starts_document:
            if rest or starts:
                yield Block(rest, starts)
            rest, starts = "", True
        rest += block.text
        cut = len(rest)
        if not rest.endswith("\n"):
            begin, settled = rest.rfind("\n") + 1, len(rest) - longest + 1  # from where on a symbol may not be all here
            for match in pattern.finditer(rest, begin):
                if match.start() >= settled:
                    break
                begin = match.end()
            cut = begin + max(0, settled - begin) // SEGMENT_CHARACTERS * SEGMENT_CHARACTERS
        if cut:
            yield Block(rest[:cut], starts)
            rest, starts = rest[cut:], False
    if rest or starts:
        yield Block(rest, starts)


def whole_lines(blocks: Iterable[Block], name: str) -> Iterator[Block]:
    """The same text in blocks that end where lines or documents do; InputError for a line too long to be held."""
    rest, starts = "", False
    for block in blocks:
        if block.starts_document:
            if rest or starts:
                yield Block(rest, starts)
            rest, starts = "", True
        rest += block.text
        if len(rest) > MAX_HELD_CHARACTERS and not -1 < rest.find("\n") <= MAX_HELD_CHARACTERS:
            raise InputError(
                f"a line has more than {MAX_HELD_CHARACTERS:,} characters, and {name} splits whole lines: "
                "break it, or make a vocabulary with seqtool vocab"
            )
        if rest.endswith("\n"):
            yield Block(rest, starts)
            rest, starts = "", False
    if rest or starts:
        yield Block(rest, starts)


def whole_words(blocks: Iterable[Block]) -> Iterator[Block]:
    """The same text in blocks that end at white space: where a long line was cut inside a word, the word moves on.

    A word is cut after every MAX_HELD_CHARACTERS, which no block has by itself, so that none fills the memory.
    """
    rest, starts = "", False
    for block in blocks:
        if block.starts_document:
            if rest:
                yield Block(rest, starts)
            rest, starts = "", True
        if not block.text:  # an empty file, whose document has no words
            yield block
            starts = False
            continue
        text = rest + block.text
        white_space = WHITE_SPACE.search(block.text)
        word_end = len(rest) + (white_space.start() if white_space else len(block.text))
        cut = (word_end - 1) // MAX_HELD_CHARACTERS * MAX_HELD_CHARACTERS
        for place in range(0, cut, MAX_HELD_CHARACTERS):
            yield Block(text[place : place + MAX_HELD_CHARACTERS], starts)
            starts = False
        kept = len(text) if text[-1:].isspace() else max(cut, len(text) - len(text.rsplit(maxsplit=1)[-1]))
        rest = text[kept:]
        if kept > cut:
            yield Block(text[cut:kept], starts)
            starts = False
    if rest:
        yield Block(rest, starts)


def with_metadata(model: bytes, metadata: dict[str, Any]) -> bytes:
    """A serialized model with our JSON appended in an extension field, which other readers pass over."""
    content = json.dumps(metadata, ensure_ascii=False).encode()
    return model + _varint(METADATA_FIELD << 3 | 2) + _varint(len(content)) + content


def split_metadata(model: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON that `with_metadata` put in (empty for a model of another maker), and the model before it."""
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


def _varint(value: int) -> bytes:
    """A protocol-buffer integer: seven bits a byte, the lowest first, the high bit set on all but the last."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _read_varint(data: Sequence[int], position: int) -> tuple[int, int]:
    value = shift = 0
    while data[position] & 0x80:
        if shift > 63:
            raise ValueError("not a protocol-buffer integer")
        value |= (data[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return value | data[position] << shift, position + 1
