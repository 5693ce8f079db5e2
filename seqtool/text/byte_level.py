"""Byte-level BPE vocabularies, as GPT-2, SmolLM, Llama 3 and Qwen2 have them.

A text is split by a pattern, and in each unit the bytes of its UTF-8 are merged.

Pieces are written as in those programs' files, each byte as one character that can be seen (Radford et al. 2019).
Their own file is JSON. It has the pieces by id, which of them are special (no text, and never read in one) or symbols
(added later, never split), the pairs that are merged as ids, the best first, and the name of the pattern.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError
from seqtool.files.writing import canonical_sha256
from seqtool.settings.vocabulary import BYTE_LEVEL, MAX_SYMBOLS, MAX_VOCABULARY
from seqtool.text.merging import Merges
from seqtool.text.normalizing import folded
from seqtool.text.splitting import SPLITTINGS
from seqtool.text.symbols import symbol_pattern
from seqtool.text.units import UnitEncoder

FORMAT = "seqtool byte-level bpe 1"
BYTES = 256
MAX_JSON_BYTES, MAX_JSON_ENTRIES = 64 << 20, 8 << 20
LONGEST_PIECE = 1 << 13  # characters
NORMAL_FORMS = ("none", "nfc")
SYMBOL = "\ud800"  # before a unit that is a symbol: half of a character, which no text has


@functools.cache
def byte_characters() -> list[str]:
    """The character that stands for each byte: itself if it can be seen, or else one from U+0100 on, in order."""
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x100 + BYTES))
    return [chr(byte if byte in seen else next(others)) for byte in range(BYTES)]


@functools.cache
def _bytes_of_characters() -> dict[str, int]:
    return {character: byte for byte, character in enumerate(byte_characters())}


def spelled_bytes(piece: str) -> bytes:
    """The bytes that a piece stands for; its own UTF-8 if it is not of the characters that stand for bytes."""
    known = _bytes_of_characters()
    try:
        return bytes([known[character] for character in piece])
    except KeyError:
        return piece.encode()


def spelled_piece(text: str) -> str:
    """A text as a piece would have it."""
    characters = byte_characters()
    return "".join([characters[byte] for byte in text.encode("utf-8", "replace")])


def read_bounded_json(content: bytes, name: str) -> Any:
    """JSON that another program may have damaged; InputError for too much of it, ValueError where it is none."""
    if len(content) > MAX_JSON_BYTES or sum(map(content.count, (b",", b"[", b"{"))) > MAX_JSON_ENTRIES:
        raise InputError(f"{name} is larger than any file of a tokenizer: check the name")
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def byte_level_model(
    pieces: Sequence[str],
    pairs: Iterable[tuple[int, int]],
    *,
    splitting: str,
    begin_id: int,
    special: Iterable[int],
    symbols: Iterable[int] = (),
    ignore_merges: bool = False,
    normalize: str = "none",
    made_by: Mapping[str, str] | None = None,
) -> bytes:
    """The file of a vocabulary. `pairs` are ids, the best first; `special` and `symbols` are ids too."""
    told = {
        "format": FORMAT,
        "splitting": splitting,
        "normalize": normalize,
        "ignore_merges": ignore_merges,
        "begin_id": begin_id,
        "special": sorted(special),
        "symbols": sorted(symbols),
        "made_by": dict(made_by or {}),
        "pieces": list(pieces),
        "merges": [index for pair in pairs for index in pair],
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class ByteLevelModel:
    """A byte-level BPE vocabulary from its file, with the same face as `SentencePieceModel`.

    InputError where `model` is no such file, or its parts contradict each other; messages call it `name`.
    """

    def __init__(self, model: bytes, name: str) -> None:
        self._name = name
        try:
            told = read_bounded_json(model, name)
            if told.get("format") != FORMAT:
                raise InputError(
                    f"{name} is JSON, but no vocabulary of seqtool: import the model's directory, which reads its "
                    "tokenizer.json, and give vocab.model of that run"
                )
            self._read(told)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
            raise self._damaged("was edited or cut short") from error
        made = {key: value for key, value in told.items() if key != "made_by"}
        self.identity = canonical_sha256(made).encode()
        self.metadata = {
            "type": BYTE_LEVEL,
            "splitting": self.splitting,
            "normalize": self.normalize,
            "lowercase": False,
            "ignore_merges": self.ignore_merges,
            "merges": len(self.pairs),
            **({"symbols": list(self.symbols)} if self.symbols else {}),
            "made_by": told["made_by"],
        }

    def _damaged(self, what: str) -> InputError:
        return InputError(f"{self._name} {what}: get the vocabulary of byte-level BPE anew")

    def _read(self, told: Mapping[str, Any]) -> None:
        self.pieces: list[str] = told["pieces"]
        self.size = len(self.pieces)
        ids = [*told["special"], *told["symbols"], *told["merges"], told["begin_id"]]
        if (
            not 0 < self.size <= MAX_VOCABULARY
            or not all(type(piece) is str and 0 < len(piece) <= LONGEST_PIECE for piece in self.pieces)
            or not all(type(index) is int and 0 <= index < self.size for index in ids)
            or len(told["symbols"]) > MAX_SYMBOLS
            or len(set(self.pieces)) < self.size
            or len(told["merges"]) % 2
            or type(told["ignore_merges"]) is not bool
            or type(told["made_by"]) is not dict
        ):
            raise ValueError("entries of other kinds")
        self.splitting, self.normalize = str(told["splitting"]), str(told["normalize"])
        if self.splitting not in SPLITTINGS or self.normalize not in NORMAL_FORMS:
            raise self._damaged(f"splits text by {self.splitting[:40]!r}, which seqtool knows nothing of")
        self.ignore_merges: bool = told["ignore_merges"]
        self.begin_id, self.unknown_id, self.end_id = told["begin_id"], -1, -1
        self.special = frozenset([*told["special"], self.begin_id])
        self.dtype = np.dtype(np.uint16 if self.size <= 1 << 16 else np.uint32)
        self._ids = {piece: index for index, piece in enumerate(self.pieces)}
        symbols = [index for index in told["symbols"] if index not in self.special]
        self.symbols = {self.pieces[index]: index for index in symbols}
        """Strings that are never split, by their ids."""
        kept = set(symbols)
        self._bytes = [
            b"" if index in self.special else piece.encode() if index in kept else spelled_bytes(piece)
            for index, piece in enumerate(self.pieces)
        ]
        by_bytes = {spelled: index for index, spelled in enumerate(self._bytes) if index not in kept}
        by_bytes.pop(b"", None)
        bytes_found = [by_bytes.get(bytes([byte])) for byte in range(BYTES)]
        if missing := bytes_found.count(None):
            raise self._damaged(f"lacks the pieces of {missing} of the {BYTES} bytes, so that it spells not every text")
        self.byte_ids = np.array(bytes_found, dtype=self.dtype)
        """The id of each byte, (256,)."""
        self._whole = by_bytes if self.ignore_merges else {}
        self._read_merges(told["merges"])
        self.spells_all, self.newline_alone = True, False

    def _read_merges(self, flat: list[int]) -> None:
        self.pairs = list(zip(flat[::2], flat[1::2], strict=True))
        """The ids that are merged, the best first."""
        self._made: list[int] = []
        pieces, spelled = self.pieces, self._bytes
        for left, right in self.pairs:
            made = self._ids[pieces[left] + pieces[right]]
            if spelled[made] != spelled[left] + spelled[right]:
                raise self._damaged(f"merges to {pieces[made][:40]!r}, which has another text")
            self._made.append(made)
        self._merges = Merges(self.pairs, self._made)

    def is_text(self, index: int) -> bool:
        """Whether a piece stands for text: all but special ones."""
        return index not in self.special

    def bytes_of(self, index: int) -> bytes:
        """The bytes of text that an id stands for; none for a special one."""
        return self._bytes[index]

    def piece_id(self, piece: str) -> int | None:
        """The id of a piece, or None when there is none."""
        return self._ids.get(piece)

    @functools.cached_property
    def _rank(self) -> dict[int, int]:
        ranks: dict[int, int] = {}
        for rank, made in enumerate(self._made):
            ranks.setdefault(made, rank)
        return ranks

    def score(self, index: int) -> float:
        """Minus the place of a piece among the merges; 0 of one that none makes."""
        return -float(self._rank.get(index, 0))

    def merged(self, spelled: bytes) -> list[int]:
        """The ids of a unit of text by its merges, `ignore_merges` or not."""
        return self._merges.merge(self.byte_ids[list(spelled)].tolist())

    def unit_ids(self, spelled: bytes) -> list[int]:
        """The ids of a unit of text."""
        whole = self._whole.get(spelled)
        return self.merged(spelled) if whole is None else [whole]


class ByteLevelEncoder:
    """Encodes each unit of a text separately and only once, and each symbol as its id."""

    def __init__(self, model: ByteLevelModel) -> None:
        self._model, self._split = model, SPLITTINGS[model.splitting].split
        pattern = symbol_pattern(model.symbols)
        self._symbol = re.compile(f"({pattern.pattern})") if pattern else None
        self._units = UnitEncoder(self._units_of, self._encode, model.dtype.char)

    def __call__(self, text: str) -> npt.NDArray[np.unsignedinteger[Any]]:
        """Ids of a text; shape (tokens,)."""
        return np.frombuffer(self._units(text), dtype=self._model.dtype)

    def _units_of(self, text: str) -> list[str]:
        if self._symbol is None:
            return self._split(folded(text, self._model.normalize, False))
        units: list[str] = []
        for number, part in enumerate(self._symbol.split(text)):
            if number % 2:
                units.append(SYMBOL + part)
            elif part:
                units += self._split(folded(part, self._model.normalize, False))
        return units

    def _encode(self, units: list[str]) -> list[list[int]]:
        symbols, unit_ids = self._model.symbols, self._model.unit_ids
        return [[symbols[unit[1:]]] if unit[0] == SYMBOL else unit_ids(unit.encode()) for unit in units]
