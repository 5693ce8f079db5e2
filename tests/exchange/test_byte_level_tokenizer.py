"""Tokenizers of byte-level BPE are read with the same ids on hostile strings, or refused in a sentence."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from seqtool.errors import InputError
from seqtool.exchange.byte_level_tokenizer import GPT4
from seqtool.exchange.foreign_vocabulary import find_vocabulary, read_tokenizer
from seqtool.exchange.importing import import_model, write_imported
from seqtool.runs.loading import load_run
from tests.conftest import ODD_STRINGS
from tests.exchange import foreign
from tests.exchange.byte_level import BEGIN, TEXT, saved
from tests.exchange.untrained import greedy
from tests.text.test_byte_level import DAMAGED, DAMAGED_SLOW, VALUES
from tests.text.test_splitting import hostile

pytest.importorskip("tokenizers")

KINDS: dict[str, dict[str, Any]] = {
    "gpt-2": {}, "smollm": {}, "gpt-2 symbols": {"symbols": ("<sep>", "  ", "the ")}, "llama-3": {"ignore_merges": True},
    "llama-3 symbols": {"symbols": ("<sep>", "\n\n\n")}, "qwen2": {"symbols": ("<|im_start|>",)},
}  # fmt: skip
TEXTS = [TEXT[:200], "a<sep>the <|im_start|>b", "e\u0301 A\u030a <|endoftext|><|eot|>", "aaaa" * 100, "ab" * 400]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_those_of_the_library(kind: str, tmp_path: Path):
    theirs = saved(tmp_path, kind.split()[0], **KINDS[kind])
    found = find_vocabulary(tmp_path)
    assert (found.type, found.size, found.metadata["splitting"]) == (
        "byte-bpe",
        theirs.get_vocab_size(),
        kind.split()[0],
    )
    assert found.piece(found.begin_id) == BEGIN[kind.split()[0]]
    assert found.token_bytes(found.begin_id) == b""
    for text in [*TEXTS, *(one for one in ODD_STRINGS if len(one) < 8192), *hostile(150)]:
        assert found.encode(text).tolist() == theirs.encode(text).ids, text
        assert found.decode(found.encode(text).tolist()) == found.normalized(text) or "<sep>" in text


def test_ignored_merges_are_ignored(tmp_path: Path):
    theirs = saved(tmp_path, "llama-3", ignore_merges=True)
    told = json.loads(theirs.to_str())
    last = max(told["model"]["vocab"].values())
    piece = next(piece for piece, index in told["model"]["vocab"].items() if index == last)
    told["model"]["merges"] = [pair for pair in told["model"]["merges"] if "".join(pair) != piece]
    for ignored in (True, False):
        told["model"]["ignore_merges"] = ignored
        (tmp_path / "tokenizer.json").write_text(json.dumps(told))
        found = read_tokenizer(tmp_path / "tokenizer.json")
        assert last in found.unreached()
        assert (found.encode(found.token_text(last)).tolist() == [last]) is ignored


def test_the_older_pair_of_files_is_read(tmp_path: Path):
    theirs = saved(tmp_path, "gpt-2")
    expected = read_tokenizer(tmp_path / "tokenizer.json")
    theirs.model.save(str(tmp_path))
    vocab = json.loads((tmp_path / "vocab.json").read_text())
    (tmp_path / "vocab.json").write_text(json.dumps(vocab | {"<|endoftext|>": len(vocab)}))
    (tmp_path / "tokenizer.json").unlink()
    found = find_vocabulary(tmp_path)
    assert (found.size, found.piece(found.begin_id)) == (expected.size - 1, "<|endoftext|>")
    assert found.encode(TEXT).tolist() == expected.encode(TEXT).tolist()
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "Qwen2Tokenizer"}')
    with pytest.raises(InputError, match="of the class Qwen2Tokenizer: get its tokenizer"):
        find_vocabulary(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b c\n")
    with pytest.raises(InputError, match="is no whole tokenizer of byte-level BPE"):
        find_vocabulary(tmp_path)


def test_a_model_with_more_symbols_than_its_tokenizer_has_unused_ones(tmp_path: Path):
    saved(tmp_path, "gpt-2")
    found = find_vocabulary(tmp_path, 400)
    assert (found.size, found.piece(399), found.token_bytes(399)) == (400, "<|unused_399|>", b"")
    assert find_vocabulary(tmp_path, 10).size == find_vocabulary(tmp_path).size


def test_where_a_text_begins_is_told_by_the_files_beside_it(tmp_path: Path):
    theirs = saved(tmp_path, "llama-3")
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": {"content": "<|eot|>"}}')
    assert find_vocabulary(tmp_path).begin_id == theirs.token_to_id("<|eot|>")
    (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": theirs.token_to_id("<|begin_of_text|>")}))
    assert find_vocabulary(tmp_path).begin_id == theirs.token_to_id("<|begin_of_text|>")


LAST = -1  # of an id that is the next
SPLIT = {"type": "Split", "pattern": {"Regex": r"\d"}, "behavior": "Isolated", "invert": False}
LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}


@pytest.mark.parametrize(("change", "said"), [
    ({"pre_tokenizer": {**LEVEL, "add_prefix_space": True}}, "puts a space before every text (add_prefix_space)"),
    ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT, LEVEL]}}, "splits text by two patterns"),
    ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT, {**LEVEL, "use_regex": False}]}}, r"by the pattern '\\d'"),
    ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": False}, LEVEL]}}, "splits text by Digits"),
    ({"normalizer": {"type": "Lowercase"}}, "normalizes text by Lowercase"),
    ({"added_tokens": [{"id": LAST, "content": "<s>", "rstrip": True}]}, "takes more than itself for the token '<s>' (rstrip)"),
    ({"added_tokens": []}, "leaves out ids"),
    ({"added_tokens": [{"id": 5, "content": "<s>"}]}, "has the id 5 twice"),
    ({"added_tokens": [{"id": LAST, "content": "<x>", "special": True}]}, "names no token that begins a text"),
    ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "added_tokens": [{"id": 1, "content": "<s>"}]}, "lacks the pieces of 255"),
])  # fmt: skip
def test_what_no_vocabulary_here_does_is_refused_by_name(change: dict[str, Any], said: str, tmp_path: Path):
    told = json.loads(saved(tmp_path, "gpt-2").to_str())
    if "added_tokens" in change and "model" not in change:
        for one in change["added_tokens"]:
            one["id"] = len(told["model"]["vocab"]) if one["id"] == LAST else one["id"]
        told["model"]["vocab"] |= {} if change["added_tokens"] else {"x" * 30: 400}
    (tmp_path / "tokenizer.json").write_text(json.dumps({**told, **change}))
    with pytest.raises(InputError) as caught:
        find_vocabulary(tmp_path)
    assert said in str(caught.value)


def test_a_pattern_in_another_spelling_is_known(tmp_path: Path):
    told = json.loads(saved(tmp_path, "llama-3").to_str())
    told["pre_tokenizer"]["pretokenizers"][0] |= {"pattern": {"Regex": GPT4}, "behavior": "Removed", "invert": True}
    (tmp_path / "tokenizer.json").write_text(json.dumps(told))
    assert find_vocabulary(tmp_path).metadata["splitting"] == "llama-3"


def damaged(told: dict[str, Any], rng: random.Random) -> str:
    content, kind = json.dumps(told), rng.randrange(5)
    if kind == 0:
        return content[: rng.randrange(len(content))]
    if kind == 1:
        place = rng.randrange(len(content))
        return content[:place] + rng.choice('0"{}[],:x\\') + content[place + 1 :]
    if kind == 2:
        return '{"model": ' + rng.choice('[{"') * rng.choice([1, 100_000])
    spoiled = json.loads(content)
    part = spoiled
    while isinstance(part, (dict, list)) and part:
        key = rng.choice(list(part) if isinstance(part, dict) else range(len(part)))
        if kind == 3 and rng.random() < 0.4:
            break
        if not isinstance(part[key], (dict, list)) or not part[key]:
            break
        part = part[key]
    if isinstance(part, dict) and rng.random() < 0.3:
        del part[key]
    else:
        part[key] = rng.choice(VALUES)
    return json.dumps(spoiled)


def check_damaged(count: int, seed: int, folder: Path) -> None:
    told, rng, said = (
        json.loads(saved(folder, "llama-3", symbols=("<sep>",)).to_str()),
        random.Random(seed),
        list[str](),
    )
    for _ in range(count):
        (folder / "tokenizer.json").write_text(damaged(told, rng))
        try:
            found = find_vocabulary(folder)
        except InputError as error:
            said.append(str(error))
        else:  # what is still whole is a vocabulary
            assert found.decode(found.encode(TEXT[:50]).tolist()) == TEXT[:50]
    assert len(said) > count // 2
    assert not [one for one in said if not one.startswith(str(folder)) or "\n" in one]


def test_damaged_tokenizers_are_refused_in_a_sentence(tmp_path: Path):
    check_damaged(DAMAGED, 3, tmp_path)


@pytest.mark.slow
def test_many_damaged_tokenizers_are_refused_in_a_sentence(tmp_path: Path):
    check_damaged(DAMAGED_SLOW, 4, tmp_path)


@pytest.mark.parametrize(("make", "splitting"), [(foreign.gpt2, "gpt-2"), (foreign.llama, "llama-3")])
@torch.inference_mode()
def test_a_directory_has_the_logits_and_the_greedy_text_of_transformers(make: Any, splitting: str, tmp_path: Path):
    pytest.importorskip("transformers")
    folder, run = tmp_path / "theirs", tmp_path / "ours"
    tokenizer = saved(folder, splitting)
    size, begin = tokenizer.get_vocab_size(), tokenizer.token_to_id(BEGIN[splitting])
    theirs = make(folder, vocab_size=size, bos_token_id=begin, eos_token_id=begin)
    run.mkdir()
    write_imported(run, import_model(folder, None))
    ours = load_run(run, torch.device("cpu"))
    ids = ours.vocabulary.encode(TEXT[:60])
    assert ids.tolist() == tokenizer.encode(TEXT[:60]).ids
    read = torch.tensor([[begin, *ids.tolist()]])
    assert (ours.model(read)[0][0] - theirs(read).logits[0]).abs().max() < 1e-4
    written = theirs.generate(read, max_new_tokens=12, do_sample=False, pad_token_id=begin)[0, read.shape[1] :]
    assert greedy(ours.model, ids.tolist(), 12)[: len(written)] == written.tolist()
