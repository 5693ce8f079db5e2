"""Text and a token store of it are the same data."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from seqtool.errors import InputError, UsageError
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text import store
from seqtool.text.documents import TextSource
from seqtool.text.encoded import documents_are_settled, encode_text, read_encoded
from seqtool.text.learning import learn_vocabulary
from seqtool.text.store import write_store
from seqtool.text.vocabulary import Vocabulary

CHARACTERS = VocabularyConfig(type="char")


def source_of(*paths: Path) -> TextSource:
    return TextSource([str(path) for path in paths], document="blank-line")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name, content in (("a", "one\n\ntwo words\n"), ("b", "three\n")):
        (tmp_path / name).write_text(content)
    return [tmp_path / "a", tmp_path / "b"]


@pytest.fixture
def vocabulary(files: list[Path]) -> Vocabulary:
    return learn_vocabulary(source_of(*files), CHARACTERS)


@pytest.fixture
def stored(files: list[Path], vocabulary: Vocabulary, tmp_path: Path) -> Path:
    write_store(tmp_path / "store", vocabulary, source_of(*files))
    return tmp_path / "store"


def refused(source: TextSource | None = None) -> Vocabulary:
    raise AssertionError("neither is text opened nor is a vocabulary learned")


def test_text_and_its_store_give_the_same(files: list[Path], vocabulary: Vocabulary, stored: Path):
    text = read_encoded([str(file) for file in files], vocabulary, lambda: source_of(*files), refused)
    for given in (None, vocabulary):
        read = read_encoded([str(stored)], given, refused, refused)  # type: ignore[arg-type]
        assert np.array_equal(read.ids[0:99], text.ids[0:99])
        assert read.vocabulary.sha256 == text.vocabulary.sha256 == vocabulary.sha256
        counts = [getattr(read.counts, name) for name in ("documents", "words", "characters", "bytes")]
        assert counts == [3, 4, 21, 21]
        assert counts == [getattr(text.counts, name) for name in ("documents", "words", "characters", "bytes")]
        assert read.file_documents == text.file_documents == [2, 1]
        assert read.sha256 == text.sha256
    assert text.sha256 == hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def test_a_vocabulary_is_learned_where_none_is_given(files: list[Path]):
    data = [str(file) for file in files]
    text = read_encoded(data, None, lambda: source_of(*files), lambda source: learn_vocabulary(source, CHARACTERS))
    assert text.vocabulary.type == "char"
    assert text.ids[0:1].tolist() == [text.vocabulary.begin_id]
    assert text.vocabulary.decode(text.ids[1:4].tolist()) == "one"


def test_a_store_among_others_is_refused(files: list[Path], stored: Path):
    for data in ([str(stored), str(files[0])], [str(files[0]), str(stored)], [str(stored)] * 2):
        with pytest.raises(UsageError, match="give one token store, or text: encode several texts into one store"):
            read_encoded(data, None, refused, refused)  # type: ignore[arg-type]


def test_a_store_of_another_vocabulary_is_refused_with_the_mend(prose_file: Path, stored: Path):
    other = learn_vocabulary(TextSource([str(prose_file)]), CHARACTERS)
    with pytest.raises(InputError) as error:
        read_encoded([str(stored)], other, refused, refused)  # type: ignore[arg-type]
    mend = "give the text itself, or a store of it that was encoded with that one"
    assert str(error.value) == f"{stored} was encoded with another vocabulary than {other.name}: {mend}"


def test_a_store_is_read_whole_unless_another_process_does(stored: Path):
    shard = stored / "ids-00000.safetensors"
    content = bytearray(shard.read_bytes())
    content[store.HEADER_BYTES + 4] ^= 1
    shard.write_bytes(content)
    read_encoded([str(stored)], None, refused, refused, verify=False)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cut short or changed"):
        read_encoded([str(stored)], None, refused, refused)  # type: ignore[arg-type]


def test_documents_of_a_store_are_settled():
    assert str(documents_are_settled("a.store")) == (
        "--document: the documents of a.store are those it was encoded with; leave it out"
    )


def test_encoded_text_lies_on_disk_not_in_memory(prose_file: Path):
    vocabulary = learn_vocabulary(TextSource([str(prose_file)]), CHARACTERS)
    assert isinstance(encode_text(vocabulary, TextSource([str(prose_file)])).ids, np.memmap)
