"""A vocabulary as tokenizer.json, by the tokenizers library itself."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from seqtool.exchange.foreign_vocabulary import read_tokenizer
from seqtool.exchange.hub_tokenizer import hub_tokenizer, tokenizer_config
from tests.conftest import ODD_STRINGS
from tests.exchange.byte_level import TEXT, saved
from tests.exchange.untrained import HOSTILE, vocabulary_of
from tests.text.test_splitting import hostile

pytest.importorskip("tokenizers")

SYMBOLS = "<sep>,<se,aba"
PARTS = [*"abcdeth \u2581\n\t<>sx0", "ab", "aba", "the ", "  ", "<s>", "<sep>", "<se", "🙂", "é"]


def texts(source: str) -> list[str]:
    rng = random.Random(3)
    drawn = ["".join(rng.choice(PARTS) for _ in range(rng.randrange(30))) for _ in range(150)]
    starts = [rng.randrange(len(source)) for _ in range(50)]
    return [
        *HOSTILE,
        *(text for text in ODD_STRINGS if len(text) < 8192),
        *drawn,
        *(source[at : at + 200] for at in starts),
    ]


@pytest.mark.parametrize(("kind", "settings"), [
    ("bpe", {}), ("bpe", {"symbols": SYMBOLS}), ("char", {}), ("char", {"symbols": SYMBOLS}), ("byte", {}),
], ids=lambda value: str(value))  # fmt: skip
def test_every_text_has_the_same_ids_and_comes_back(prose: str, short_text: Path, kind: str, settings: dict[str, Any]):
    vocabulary = vocabulary_of(short_text, kind, **settings)
    tokenizer = hub_tokenizer(vocabulary)
    assert tokenizer.get_vocab_size() == vocabulary.size
    for text in texts(prose):
        ids = vocabulary.encode(text).tolist()
        assert tokenizer.encode(text).ids == [vocabulary.begin_id, *ids], text
        assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_the_configuration_keeps_special_tokens_out_of_texts(short_text: Path):
    told = tokenizer_config(vocabulary_of(short_text, "char"), 77)
    assert (told["split_special_tokens"], told["bos_token"], told["model_max_length"]) == (True, "<s>", 77)


@pytest.mark.slow
def test_a_large_vocabulary_splits_a_long_text_the_same(whole_prose_file: Path, prose: str):
    vocabulary = vocabulary_of(whole_prose_file, "bpe", size=4000)
    tokenizer = hub_tokenizer(vocabulary)
    for line in prose.split("\n"):
        assert tokenizer.encode(line).ids[1:] == vocabulary.encode(line).tolist()
    assert tokenizer.encode(prose).ids[1:] == vocabulary.encode(prose).tolist()


@pytest.mark.parametrize("kind", ["gpt-2", "smollm", "llama-3", "qwen2"])
def test_byte_level_bpe_goes_out_as_it_came(kind: str, tmp_path: Path):
    saved(tmp_path, kind, symbols=("<sep>", "  "), ignore_merges=kind == "llama-3")
    vocabulary = read_tokenizer(tmp_path / "tokenizer.json")
    tokenizer = hub_tokenizer(vocabulary)
    assert tokenizer.get_vocab_size() == vocabulary.size
    begin = vocabulary.piece(vocabulary.begin_id)
    for text in [*HOSTILE, *hostile(100), TEXT[:300], f"a<sep>{begin} b"]:
        assert tokenizer.encode(text).ids == [vocabulary.begin_id, *vocabulary.encode(text).tolist()], text
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_str())
    told = tokenizer_config(vocabulary, 77)
    assert "unk_token" not in told
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    again = read_tokenizer(tmp_path / "tokenizer.json")
    assert again.encode(TEXT).tolist() == vocabulary.encode(TEXT).tolist()
    assert again.begin_id == vocabulary.begin_id
