"""tokenizer.json as a vocabulary: the same ids on hostile strings, or a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtool.errors import InputError
from seqtool.exchange.foreign_vocabulary import as_its_program_reads, find_vocabulary, read_tokenizer
from seqtool.exchange.hub_tokenizer import hub_tokenizer
from seqtool.scoring.lines import encoded_lines
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.blocks import encode_blocks
from seqtool.text.documents import TextBlock, TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.sentencepiece_model import as_field, as_number, split_metadata
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


def with_prefix(own: Vocabulary, path: Path) -> Any:
    """A tokenizer with a space before a text, and U+2581 for spaces in its pieces, as Llama's; written to a file."""
    from tokenizers import Tokenizer, normalizers

    told = json.loads(hub_tokenizer(own).to_str())
    pieces = {piece.replace(" ", "\u2581"): index for piece, index in told["model"]["vocab"].items()}
    merges = [[part.replace(" ", "\u2581") for part in pair] for pair in told["model"]["merges"]]
    told["model"] |= {"vocab": pieces, "merges": merges}
    tokenizer = Tokenizer.from_str(json.dumps(told))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    path.write_text(tokenizer.to_str())
    return tokenizer


TEXTS = ("", "a", "hello the world", " two  spaces", "a\nthe\n\n  b cat \n", "\n a\tb", "\n\n", " \n", "é\n🙂\r\nx\x00")


def test_a_space_before_a_text_as_llama_has_it(own: Vocabulary, prose: str, tmp_path: Path):
    tokenizer = with_prefix(own, tmp_path / "tokenizer.json")
    found = as_its_program_reads(read_tokenizer(tmp_path / "tokenizer.json"))
    assert (found.type, found.prefixes_text) == ("foreign", True)
    for text in (*TEXTS, prose[:3000]):
        ids = found.encode(text).tolist()
        assert ids == tokenizer.encode(text, add_special_tokens=False).ids, text
        assert found.decode(ids) == text
    again = Vocabulary(found.model)
    assert (again.sha256, again.prefixes_text) == (found.sha256, True)


def test_only_documents_have_that_space_however_their_text_is_cut(own: Vocabulary, prose: str, tmp_path: Path):
    tokenizer = with_prefix(own, tmp_path / "tokenizer.json")
    found = as_its_program_reads(read_tokenizer(tmp_path / "tokenizer.json"))
    documents = [prose[:1500], "\n a\n", "b", prose[1500:2500]]
    expected = []
    for place, text in enumerate(documents):
        (tmp_path / f"{place}").write_text(text)
        expected += [found.begin_id, *tokenizer.encode(text, add_special_tokens=False).ids]
    source = TextSource([str(tmp_path / f"{place}") for place in range(len(documents))])
    for size in (7, 1 << 20):
        cut = (
            TextBlock(block.text[start : start + size], block.starts_document and not start)
            for block in source.blocks()
            for start in range(0, len(block.text), size)
        )
        assert np.concatenate(list(encode_blocks(found, cut))).tolist() == expected
    ids, _ = next(encoded_lines(found, source, False, "file"))
    assert ids.tolist() == [index for index in expected if index != found.begin_id]


def test_what_reads_spaces_otherwise_stays_as_it_is(own: Vocabulary):
    assert as_its_program_reads(own) is own
    joined = as_field(3, as_number(3, 1) + as_number(4, 1))  # a space before a text, and none twice
    found = Vocabulary(split_metadata(own.model)[1] + joined)
    assert as_its_program_reads(found) is found


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
