"""The corpus of a text or a token store: against words counted by Python, and refusals that say what does not go."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from seqtool.embeddings.words import default_min_count, read_corpus
from seqtool.errors import InputError, UsageError
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.store import write_store

TEXT = "the cat saw the dog\nthe dog slept\n\nthe end\n"
WORD = VocabularyConfig(type="word")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text(TEXT)
    return path


def test_words_are_counted_and_a_line_is_a_document(text: Path):
    vocabulary, corpus, sha256 = read_corpus([str(text)], None, WORD, None, "strict", None, 0)
    words = [vocabulary.token(index) for index in corpus.word_ids.tolist()]
    expected = Counter(TEXT.split()) + Counter({"<eos>": TEXT.count("\n")})
    assert dict(zip(words, corpus.counts.tolist(), strict=True)) == expected
    assert sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    (chunk,) = corpus.chunks()
    documents = [
        [words[word] for word in chunk.words[chunk.documents == number].tolist()] for number in set(chunk.documents)
    ]
    assert sorted(documents) == sorted([*line.split(), "<eos>"] for line in TEXT.splitlines())


def test_another_document_and_rarer_words_can_be_asked_for(text: Path):
    vocabulary, corpus, _ = read_corpus([str(text)], None, WORD, 2, "strict", "file", 0)
    assert {vocabulary.token(index) for index in corpus.word_ids.tolist()} == {"the", "dog", "<eos>"}
    (chunk,) = corpus.chunks()
    assert len(set(chunk.documents.tolist())) == 1


def test_a_store_gives_the_corpus_of_its_text(text: Path, tmp_path: Path):
    vocabulary, corpus, sha256 = read_corpus([str(text)], None, WORD, None, "strict", "file", 0)
    write_store(tmp_path / "store", vocabulary, TextSource([str(text)]))
    (tmp_path / "v").write_bytes(vocabulary.model)
    for vocab in (None, tmp_path / "v"):
        _, stored, stored_sha256 = read_corpus([str(tmp_path / "store")], vocab, WORD, None, "strict", None, 0)
        assert stored_sha256 == sha256
        assert np.array_equal(stored.ids[:], corpus.ids[:])
        assert np.array_equal(stored.word_ids, corpus.word_ids)


def test_what_does_not_go_with_a_store_is_refused(text: Path, tmp_path: Path):
    vocabulary, _, _ = read_corpus([str(text)], None, WORD, None, "strict", None, 0)
    store = str(tmp_path / "store")
    write_store(Path(store), vocabulary, TextSource([str(text)]))
    other = read_corpus([str(text)], None, VocabularyConfig(type="char"), None, "strict", None, 0)[0]
    (tmp_path / "v").write_bytes(other.model)
    with pytest.raises(UsageError, match="give one token store, or text"):
        read_corpus([str(text), store], None, WORD, None, "strict", None, 0)
    with pytest.raises(UsageError, match=r"--document: the documents of .* leave it out"):
        read_corpus([store], None, WORD, None, "strict", "line", 0)
    with pytest.raises(InputError, match="encoded with another vocabulary"):
        read_corpus([store], tmp_path / "v", WORD, None, "strict", None, 0)


@pytest.mark.parametrize(("text_bytes", "least"), [(1, 1), (49_999, 1), (50_000, 2), (999_999, 2), (1_000_000, 5)])
def test_a_long_text_leaves_out_rare_words(text_bytes: int, least: int):
    assert default_min_count(text_bytes) == least
