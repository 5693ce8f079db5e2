"""The vocabulary beside another program's model: tokenizer.model, or tokenizer.json.

Byte-pair pieces that fall back to bytes are read as a SentencePiece model, and byte-level BPE as such; others are
refused by name.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqtool.errors import InputError
from seqtool.exchange.byte_level_tokenizer import has_old_pair, is_byte_level, read_byte_level, read_old_pair
from seqtool.exchange.pieces import BYTES, merges
from seqtool.files.writing import read_small_file
from seqtool.settings.vocabulary import MAX_VOCABULARY
from seqtool.text.byte_level import MAX_JSON_BYTES, read_bounded_json
from seqtool.text.normalizing import SPACE
from seqtool.text.sentencepiece_model import SentencePieceModel, as_field, as_number, with_metadata
from seqtool.text.vocabulary import Vocabulary, load_vocabulary

NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6  # types of a SentencePiece
BPE = 2  # of a trainer's model types
BEGINNINGS = ("<s>", "<|begin_of_text|>", "<bos>", "<|endoftext|>")
LINES = ("a", "a\nb", "a b\n\n  c \n", "\n a\tb", " \n")
UNREACHED = -1e9  # the score of a piece that no merge makes
SENTENCEPIECE = b"\n"  # the first byte of its models
ELSE = "give a SentencePiece model of the same ids with --vocab"


def find_vocabulary(folder: Path, size: int = 0) -> Vocabulary:
    """The vocabulary in another program's directory: tokenizer.model, tokenizer.json, or vocab.json and merges.txt.

    `size` is how many symbols its model has: more than a tokenizer of byte-level BPE has are unused ones.
    """
    model, told = folder / "tokenizer.model", folder / "tokenizer.json"
    if model.is_file() and not (told.is_file() and _is_other(model)):
        return load_vocabulary(model)
    if told.is_file():
        return read_tokenizer(told, size)
    if has_old_pair(folder):
        return read_old_pair(folder, size)
    raise InputError(f"{folder} has neither tokenizer.model nor tokenizer.json: {ELSE}")


def as_its_program_reads(vocabulary: Vocabulary) -> Vocabulary:
    """The vocabulary of a model of another program, which puts a space before a text, where SentencePiece's program,
    whose every line is a text, puts one before each line; as it is where it reads spaces and newlines otherwise.
    """
    if vocabulary.type != "foreign" or not vocabulary.has_newline or not vocabulary.begins_with_space:
        return vocabulary
    own = Vocabulary(with_metadata(vocabulary.model, {**vocabulary.metadata, "prefix": "text"}), vocabulary.name)
    known = SentencePieceModel(vocabulary.model, vocabulary.name).processor
    same = all(own.encode(text).tolist() == known.encode(text) for text in LINES)
    return own if same else vocabulary


def _is_other(path: Path) -> bool:
    """Whether a tokenizer.model is no SentencePiece model, as Llama 3's own is none."""
    with open(path, "rb") as stream:
        return stream.read(1) != SENTENCEPIECE


def read_tokenizer(path: Path, size: int = 0) -> Vocabulary:
    """A tokenizer as a vocabulary that splits texts exactly as it does; InputError where there is none.

    `size` is as in `find_vocabulary`.
    """
    try:
        told = read_bounded_json(read_small_file(path, MAX_JSON_BYTES), str(path))
        if is_byte_level(told):
            return read_byte_level(told, path, size)
        model = told["model"]
        ids, pairs = dict(model["vocab"]), list(model.get("merges") or [])
        added = {one["id"]: one for one in told.get("added_tokens") or []}
        pairs = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in pairs]
        if not all(type(index) is int for index in (*ids.values(), *added)) or not all(
            len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in pairs
        ):
            raise TypeError("ids that are no numbers")
        dummy = _begins_with_space(told, path)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no whole tokenizer.json: get it anew, or {ELSE}") from error
    if model.get("type") != "BPE" or not model.get("byte_fallback"):
        kind = model.get("type") if model.get("type") != "BPE" else "BPE of characters, without bytes for the others"
        raise InputError(f"{path} is of the kind {str(kind)[:60]}, which no SentencePiece model is: {ELSE}")
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"):
        if model.get(key):
            raise InputError(f"{path}: {key} is {str(model[key])[:40]}, which no SentencePiece model has: {ELSE}")
    pieces = _in_order(ids, added, path)
    unknown = str(model.get("unk_token"))
    vocabulary = _vocabulary(pieces, pairs, unknown, added, dummy, path)
    theirs = {tuple(part.replace(SPACE, " ") for part in pair) for pair in pairs}
    if not dummy and pairs and theirs != set(merges(vocabulary)):
        raise InputError(f"{path} merges other pairs than a SentencePiece model of its pieces would: {ELSE}")
    return vocabulary


def _begins_with_space(told: Mapping[str, Any], path: Path) -> bool:
    """Whether a space is put before a text, as Llama's does; InputError for any other treatment of text."""
    steps = [told.get("normalizer"), told.get("pre_tokenizer")]
    flat = [one for step in steps if step for one in step.get("normalizers", step.get("pretokenizers", [step]))]
    prepends = False
    for step in flat:
        kind = step["type"]
        if kind == "Prepend" and step["prepend"] == SPACE:
            prepends = True
        elif kind == "Metaspace" and step.get("replacement") == SPACE and not step.get("split", True):
            prepends |= step.get("prepend_scheme", "always") != "never"
        elif kind == "Replace" and step["pattern"] == {"String": " "} and step["content"] == SPACE:
            pass
        else:
            raise InputError(f"{path} treats text by {str(kind)[:40]}, as no SentencePiece model does: {ELSE}")
    return prepends


def _in_order(ids: Mapping[str, int], added: Mapping[int, Any], path: Path) -> list[str]:
    """The pieces by their ids; InputError where an id is missing or there twice."""
    known = {index: piece for piece, index in ids.items()}
    for index, one in added.items():
        known.setdefault(index, str(one["content"]))
    if not known or len(known) > MAX_VOCABULARY or sorted(known) != list(range(len(known))):
        raise InputError(f"{path} leaves out ids, or has one twice: get it anew, or {ELSE}")
    return [known[index] for index in range(len(known))]


def _vocabulary(
    pieces: list[str], pairs: list[tuple[str, ...]], unknown: str, added: Mapping[int, Any], dummy: bool, path: Path
) -> Vocabulary:
    """The SentencePiece model of these pieces: what is merged first has the highest score."""
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(pairs):
        ranks.setdefault("".join(pair), rank)
    begins = [piece for piece in BEGINNINGS if piece in pieces]
    if unknown not in pieces or not begins:
        raise InputError(f"{path} has no {'<s>' if unknown in pieces else '<unk>'} among its pieces: {ELSE}")
    model = bytearray()
    for index, piece in enumerate(pieces):
        kind = NORMAL
        if piece == unknown:
            kind = UNKNOWN
        elif len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            kind = BYTE
        elif piece in begins or (index in added and added[index].get("special")):
            kind = CONTROL
        elif index in added and piece not in ranks and len(piece) > 1:
            kind = USER
        spelled = piece.replace(" ", SPACE) if kind in (NORMAL, USER) else piece
        score = -float(ranks[piece]) if piece in ranks else UNREACHED if len(piece) > 1 else -1e6
        body = as_field(1, spelled.encode()) + b"\x15" + struct.pack("<f", score) + bytes([3 << 3, kind])
        model += as_field(1, body)
    model += as_field(2, _trainer(unknown, begins[0], pieces)) + as_field(3, _normalizer(dummy))
    counted = sum(1 for piece in pieces if len(piece) == 6 and piece.startswith("<0x"))
    own = not dummy and counted == BYTES
    told: dict[str, Any] = {"type": "bpe" if pairs else "char", "normalize": "none", "lowercase": False}
    symbols = [piece for index, piece in enumerate(pieces) if index in added and not added[index].get("special")]
    if symbols:
        told["symbols"] = symbols
    content = bytes(model)
    return Vocabulary(with_metadata(content, told) if own else content, str(path))


def _trainer(unknown: str, begin: str, pieces: list[str]) -> bytes:
    """The part of a model that names special pieces: TrainerSpec."""
    fields = bytes([3 << 3, BPE]) + as_number(35, 1)  # model_type, byte_fallback
    fields += (
        as_number(40, pieces.index(unknown))
        + as_number(41, pieces.index(begin))
        + as_number(42, -1)
        + as_number(43, -1)
    )
    return fields + as_field(45, unknown.encode()) + as_field(46, begin.encode())


def _normalizer(dummy: bool) -> bytes:
    """The part of a model that says what is done to a text: NormalizerSpec."""
    return as_field(1, b"identity") + as_number(3, int(dummy)) + as_number(4, 0) + as_number(5, 1)
