"""SentencePiece models, and the metadata in them."""

from __future__ import annotations

import json

import pytest
import sentencepiece

from seqtool.errors import InputError
from seqtool.text.sentencepiece_model import SentencePieceModel, split_metadata, with_metadata
from seqtool.text.vocabulary import Vocabulary


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80" * 100_000, json.dumps({"a": 1}).encode()])
def test_what_is_not_a_model_is_refused(content: bytes):
    with pytest.raises(InputError):
        Vocabulary(content, "file")


def test_metadata_come_back_and_other_readers_skip_them(vocabularies: dict[str, Vocabulary]):
    metadata, learned = split_metadata(vocabularies["char"].model)
    assert metadata["type"] == "char"
    other = with_metadata(learned, {"type": "word", "é": ["x" * 300]})
    assert split_metadata(other) == ({"type": "word", "é": ["x" * 300]}, learned)
    assert split_metadata(learned) == ({}, learned)
    with_them, without = (sentencepiece.SentencePieceProcessor(model_proto=model) for model in (other, learned))
    assert with_them.encode("The value of a\n") == without.encode("The value of a\n")


@pytest.mark.parametrize("content", [b"", b"\x80" * 30, b"\xc2\x0c\x05[1,2]", b"\xc2\x0c\x02{"])
def test_what_holds_no_metadata_is_a_whole_model(content: bytes):
    assert split_metadata(content) == ({}, content)


def test_a_model_knows_what_each_piece_is(vocabularies: dict[str, Vocabulary]):
    vocabulary = vocabularies["bpe"]
    model = SentencePieceModel(vocabulary.model, "model")
    assert (model.pieces[model.begin_id], model.pieces[model.unknown_id]) == ("<s>", "<unk>")
    assert [model.pieces[index] for index in model.byte_ids[[0, 255]]] == ["<0x00>", "<0xFF>"]
    assert model.spells_all
    assert not any(map(model.is_text, [model.begin_id, model.unknown_id, *model.byte_ids.tolist()]))
    assert sum(map(model.is_text, range(model.size))) == model.size - 2 - 256
