"""A vocabulary that grows keeps its ids, and gains the characters or words of a text that it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest
import sentencepiece

from seqtool.errors import UsageError
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.growing import before_growing, grown, spelled_before
from seqtool.text.learning import learn_vocabulary
from seqtool.text.vocabulary import Vocabulary
from tests.conftest import ODD_STRINGS

OLD, NEW = (
    "the cat sat on the mat, the end of the cat\n" * 50,
    "кот сидел the cat zzz кот zzz\u2585 \t\u2581\n" * 3 + "once\n",
)


def source(folder: Path, text: str) -> TextSource:
    (folder / "text").write_text(text)
    return TextSource([str(folder / "text")])


def both(folder: Path, kind: str) -> tuple[Vocabulary, Vocabulary]:
    before = learn_vocabulary(source(folder, OLD), VocabularyConfig(type=kind))
    return before, grown(before, source(folder, NEW))


@pytest.mark.parametrize("kind", ["char", "bpe", "unigram", "word"])
def test_known_ids_stay_and_what_was_lacking_has_one(kind: str, tmp_path: Path):
    before, after = both(tmp_path, kind)
    assert after.type == kind
    assert [after.piece(index) for index in range(before.size)] == [before.piece(index) for index in range(before.size)]
    assert after.encode(OLD).tolist() == before.encode(OLD).tolist()
    ids = after.encode("кот zzz\n").tolist()
    assert sum(index >= before.size for index in ids) == (2 if kind == "word" else 6)
    if kind != "word":
        assert all(after.decode(after.encode(text).tolist()) == text for text in (*ODD_STRINGS[:-1], NEW))


def test_the_most_frequent_come_first_and_single_words_stay_unknown(tmp_path: Path):
    before = learn_vocabulary(source(tmp_path, OLD), VocabularyConfig(type="word"))
    after = grown(before, source(tmp_path, "b a b a b once\n"))
    assert [after.token(index) for index in range(before.size, after.size)] == ["b", "a"]
    assert after.encode("once")[0] == before.unknown_id


def test_what_it_was_before_comes_back_and_so_does_what_stood_for_a_token(tmp_path: Path):
    before, after = both(tmp_path, "char")
    assert before_growing(after).sha256 == before.sha256
    assert before_growing(before) is before
    spelled = spelled_before(after, before)
    index = after.piece_id("к")
    assert index is not None
    assert before.decode(spelled[index]) == "к"
    words, more = both(tmp_path, "word")
    assert set(map(tuple, spelled_before(more, words).values())) == {(words.unknown_id,)}
    assert (after.metadata["grown"]["by"], after.metadata["type"]) == (after.size - before.size, "char")


def test_it_is_still_a_model_that_sentencepiece_reads(tmp_path: Path):
    _, after = both(tmp_path, "bpe")
    processor = sentencepiece.SentencePieceProcessor(model_proto=after.model)
    assert processor.vocab_size() == after.size
    assert processor.encode("кот the") == after.encode("кот the").tolist()


def test_nothing_to_add_is_the_vocabulary_itself_and_some_cannot_grow(tmp_path: Path):
    before, after = both(tmp_path, "char")
    assert grown(before, source(tmp_path, "the mat\n")) is before
    assert grown(after, source(tmp_path, NEW)) is after
    of_bytes = learn_vocabulary(source(tmp_path, OLD), VocabularyConfig(type="byte"))
    with pytest.raises(UsageError, match="has all bytes, and nothing else"):
        grown(of_bytes, source(tmp_path, NEW))
