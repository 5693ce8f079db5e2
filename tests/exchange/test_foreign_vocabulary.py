"""tokenizer.json as a vocabulary: the same ids on hostile strings, or a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqtool.errors import InputError
from seqtool.exchange.foreign_vocabulary import find_vocabulary, read_tokenizer
from seqtool.exchange.hub_tokenizer import hub_tokenizer
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.vocabulary import Vocabulary
from tests.conftest import ODD_STRINGS

pytest.importorskip("tokenizers")


@pytest.fixture
def own(prose: str, tmp_path: Path) -> Vocabulary:
    (tmp_path / "t").write_text(prose[:20_000])
    return learn_vocabulary(TextSource([str(tmp_path / "t")]), VocabularyConfig(type="bpe", size=400))


def test_what_was_exported_comes_back(own: Vocabulary, prose: str, tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text(hub_tokenizer(own).to_str())
    found = find_vocabulary(tmp_path)
    assert (found.type, found.size, found.begin_id, found.lossless) == ("bpe", own.size, own.begin_id, True)
    for text in (*ODD_STRINGS, prose[:3000]):
        assert found.encode(text).tolist() == own.encode(text).tolist()


def test_a_space_before_a_text_as_llama_has_it(own: Vocabulary, prose: str, tmp_path: Path):
    from tokenizers import Tokenizer, normalizers

    told = json.loads(hub_tokenizer(own).to_str())
    pieces = {piece.replace(" ", "\u2581"): index for piece, index in json.loads(hub_tokenizer(own).to_str())["model"]["vocab"].items()}  # fmt: skip
    merges = [[part.replace(" ", "\u2581") for part in pair] for pair in json.loads(hub_tokenizer(own).to_str())["model"]["merges"]]  # fmt: skip
    told["model"] |= {"vocab": pieces, "merges": merges}
    tokenizer = Tokenizer.from_str(json.dumps(told))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_str())
    found = read_tokenizer(tmp_path / "tokenizer.json")
    for text in ("hello the world", " two  spaces", prose[:500].replace("\n", " ")):
        assert found.encode(text).tolist() == tokenizer.encode(text, add_special_tokens=False).ids
    assert found.type == "foreign"


def test_what_is_no_such_tokenizer_is_told(own: Vocabulary, tmp_path: Path):
    path = tmp_path / "tokenizer.json"
    content = json.loads(hub_tokenizer(own).to_str())
    for change, told in (
        ({"model": {**content["model"], "byte_fallback": False}}, "BPE of characters, without bytes for the others"),
        ({"model": {**content["model"], "type": "WordPiece"}}, "of the kind WordPiece"),
        ({"model": {**content["model"], "merges": content["model"]["merges"][5:]}}, "merges other pairs"),
        ({"normalizer": {"type": "NFC"}}, "treats text by NFC"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "treats text by Whitespace"),
        ({"model": {**content["model"], "vocab": {"a": 0, "b": 5}}}, "leaves out ids"),
        ({"model": 3}, "is no whole tokenizer.json"),
    ):
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(InputError) as caught:
            read_tokenizer(path)
        assert told in str(caught.value)
        assert "--vocab" in str(caught.value)
    path.unlink()
    with pytest.raises(InputError, match=r"neither tokenizer\.model nor tokenizer\.json"):
        find_vocabulary(tmp_path)
