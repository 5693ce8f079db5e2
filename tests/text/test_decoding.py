"""Decoding a stream of ids, from the beginning of a text and behind a prompt."""

from __future__ import annotations

from pathlib import Path

import pytest
import sentencepiece

from seqtool.text.vocabulary import Vocabulary

FOREIGN = {
    "a dummy prefix": {},
    "spaces behind words": {"treat_whitespace_as_suffix": True},
    "no dummy prefix": {"add_dummy_prefix": False},
    "all white space": {"remove_extra_whitespaces": False},
    "byte fallback": {"byte_fallback": True},
}


@pytest.mark.parametrize("kind", ["word", *FOREIGN])
def test_text_goes_on_behind_its_prompt(
    vocabularies: dict[str, Vocabulary], prose_file: Path, tmp_path: Path, kind: str
):
    """Where a prompt's ids are the first of a text's, the others are written as the text goes on."""
    if kind != "word":
        sentencepiece.SentencePieceTrainer.train(
            input=str(prose_file), model_prefix=str(tmp_path / "other"), vocab_size=600, minloglevel=4, **FOREIGN[kind]
        )
    vocabulary = vocabularies["word"] if kind == "word" else Vocabulary((tmp_path / "other.model").read_bytes())
    text, tried = "The value of this is the name of the object", 0
    for cut in range(len(text)):
        prompt, ids = text[:cut], vocabulary.encode(text).tolist()
        begun = vocabulary.encode(prompt).tolist()
        decoder = vocabulary.decoder(vocabulary.seam(prompt, begun))
        if ids[: len(begun)] == begun:
            written = "".join(decoder.feed([index]) for index in ids[len(begun) :])
            assert (prompt + written).rstrip(" ") == text
            tried += 1
    assert tried >= 8


def test_a_word_behind_a_line_goes_without_its_space(vocabularies: dict[str, Vocabulary]):
    word = vocabularies["word"]
    ids = word.encode("the value\nthe name").tolist()
    for prompt, expected in [
        ("if", " the value\nthe name"),
        ("if ", "the value\nthe name"),
        ("if\n", "the value\nthe name"),
    ]:
        assert word.decoder(word.seam(prompt, word.encode(prompt).tolist())).feed(ids) == expected


def test_tokens_that_spell_no_whole_character_are_told(vocabularies: dict[str, Vocabulary]):
    ids = vocabularies["byte"].encode("a\u00e9\u65e5").tolist()
    for count, expected in ((1, 0), (2, 1), (3, 0), (4, 1), (5, 2), (6, 0)):
        decoder = vocabularies["byte"].decoder()
        decoder.feed(ids[:count])
        assert decoder.unfinished(ids[:count]) == expected
