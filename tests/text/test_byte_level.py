"""Byte-level BPE as a vocabulary: exact bytes, round trips, hostile files."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from seqtool.errors import InputError
from seqtool.text.byte_level import byte_characters, spelled_bytes, spelled_piece
from seqtool.text.vocabulary import Vocabulary
from tests.conftest import ODD_STRINGS
from tests.text.small_byte_level import WHOLE, small_model, small_vocabulary
from tests.text.test_splitting import hostile

DAMAGED, DAMAGED_SLOW = 50, 1000
VALUES: list[Any] = [None, True, -1, 10**30, 1.5, float("inf"), "", "x", "\ud800", [], {}, [[]], [None], 256, 10**9]


def test_every_byte_has_a_character_that_stands_for_it():
    assert byte_characters()[:3] == ["Ā", "ā", "Ă"]
    assert [byte_characters()[byte] for byte in b" \nA~\x7f\xad\xff"] == ["Ġ", "Ċ", "A", "~", "ġ", "Ń", "ÿ"]
    assert len(set(byte_characters())) == 256
    assert spelled_bytes("ĠthÃ©") == " thé".encode()
    assert spelled_piece(" thé\n") == "ĠthÃ©Ċ"
    assert spelled_bytes("a b") == b"a b"


@pytest.mark.parametrize("splitting", ["gpt-2", "llama-3", "qwen2"])
@pytest.mark.parametrize("symbols", [(), ("<sep>", "  ", "<s")])
def test_every_text_comes_back(splitting: str, symbols: tuple[str, ...]):
    vocabulary = small_vocabulary(splitting, symbols)
    assert (vocabulary.type, vocabulary.lossless, vocabulary.unknown_id) == ("byte-bpe", True, -1)
    for text in [*ODD_STRINGS, *hostile(100), "a<sep>b  c<s>", "<|endoftext|>"]:
        ids = vocabulary.encode(text)
        assert b"".join(vocabulary.token_strings[index] for index in ids) == text.encode()
        assert vocabulary.decode(ids.tolist()) == text
        assert vocabulary.begin_id not in ids


def test_ids_are_those_of_the_merges():
    vocabulary = small_vocabulary("llama-3", ("<sep>",))
    pieces = [vocabulary.piece(index) for index in vocabulary.encode("in the<sep>her.\n\naba 1234é")]
    assert pieces == ["in", "Ġthe", "<sep>", "h", "er", ".ĊĊ", "aba", "Ġ", "123", "4", "Ã©"]
    assert vocabulary.token_text(vocabulary.encode(" the")[0]) == " the"
    assert vocabulary.piece_id("Ġthe") == vocabulary.encode(" the")[0]
    assert vocabulary.piece_id("no such") is None
    assert vocabulary.symbols == {"<sep>": vocabulary.size - 2}


def test_a_unit_that_is_a_piece_is_merged_only_where_that_is_asked_for():
    merged, whole = small_vocabulary(), small_vocabulary(ignore_merges=True)
    index = merged.piece_id(WHOLE)
    assert len(merged.encode(" whole")) == 6
    assert whole.encode(" whole").tolist() == [index]
    assert index in merged.unreached()
    assert merged.sha256 != whole.sha256


def test_a_normal_form_is_taken_before():
    vocabulary = small_vocabulary(normalize="nfc", symbols=("e\u0301!",))
    assert not vocabulary.lossless
    assert vocabulary.decode(vocabulary.encode("e\u0301 e\u0301!").tolist()) == "é e\u0301!"


def test_the_hash_is_of_all_but_what_made_it():
    content = small_model()
    other = json.loads(content) | {"made_by": {"command": "x"}}
    assert Vocabulary(json.dumps(other).encode()).sha256 == Vocabulary(content).sha256
    other["merges"] = other["merges"][:-2]
    assert Vocabulary(json.dumps(other).encode()).sha256 != Vocabulary(content).sha256


def damaged(content: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(6)
    if kind == 0:
        return content[: rng.randrange(1, len(content))]
    if kind == 1:
        spoiled = bytearray(content)
        for _ in range(rng.randrange(1, 4)):
            spoiled[rng.randrange(1, len(spoiled))] = rng.randrange(256)
        return bytes(spoiled)
    if kind == 2:
        return b'{"format":' + b"[" * rng.choice([10, 100_000])
    told = json.loads(content)
    key = rng.choice(list(told))
    if kind == 3:
        told[key] = rng.choice(VALUES)
    elif kind == 4:
        del told[key]
    elif isinstance(told[key], list) and told[key]:
        told[key][rng.randrange(len(told[key]))] = rng.choice(VALUES)
    return json.dumps(told).encode()


def check_damaged(count: int, seed: int) -> None:
    rng, content, told = random.Random(seed), small_model("llama-3", ("<sep>",)), list[str]()
    for _ in range(count):
        try:
            vocabulary = Vocabulary(damaged(content, rng), "v.model")
        except InputError as error:
            told.append(str(error))
        else:  # what is still whole is a vocabulary
            assert vocabulary.decode(vocabulary.encode("in the end é").tolist()) == "in the end é"
    assert len(told) > count // 2
    assert all(said.startswith("v.model ") and "\n" not in said for said in told)


def test_damaged_files_are_refused_in_a_sentence():
    check_damaged(DAMAGED, 1)


@pytest.mark.slow
def test_many_damaged_files_are_refused_in_a_sentence():
    check_damaged(DAMAGED_SLOW, 2)


@pytest.mark.parametrize(("told", "said"), [
    ({"format": "x"}, "is JSON, but no vocabulary of seqtool: import the model's directory"),
    ({"splitting": "o200k"}, "splits text by 'o200k'"),
    ({"merges": [0, 1]}, "was edited or cut short"),
    ({"special": [65]}, "lacks the pieces of 1 of the 256 bytes"),
    ({"special": [256, 280]}, "merges to 'th', which has another text"),
])  # fmt: skip
def test_what_is_wrong_is_said(told: dict[str, Any], said: str):
    with pytest.raises(InputError, match=said):
        Vocabulary(json.dumps(json.loads(small_model()) | told).encode(), "v.model")
