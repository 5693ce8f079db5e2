from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seqtool.config import VocabularyConfig
from seqtool.errors import InputError
from seqtool.text import store
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.store import Joined, Slice, document_ids, encode_text, open_store, write_store
from seqtool.text.vocabulary import Vocabulary


@pytest.fixture
def vocabulary(prose_file: Path) -> Vocabulary:
    return learn_vocabulary(TextSource([str(prose_file)]), VocabularyConfig(type="char"))


@pytest.fixture
def written(prose_file: Path, vocabulary: Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store, "SHARD_TOKENS", 30_000)
    write_store(tmp_path / "store", vocabulary, TextSource([str(prose_file)]))
    return tmp_path / "store"


def test_a_store_holds_the_ids_of_the_text(written: Path, vocabulary: Vocabulary, prose: str):
    opened = open_store(written)
    assert len(list(written.glob("*.safetensors"))) == 4
    expected = np.concatenate([[vocabulary.begin_id], vocabulary.encode(prose)])
    assert np.array_equal(opened.ids[0 : len(opened.ids)], expected)
    for start, stop in [(0, 1), (29_990, 30_010), (59_999, 60_000), (10, 90_000), (5, 5)]:
        assert np.array_equal(opened.ids[start:stop], expected[start:stop])


@pytest.mark.parametrize("part", ["ids-00001.safetensors", "vocab.model", "store.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_store_is_refused(written: Path, part: str, damage: str):
    file = written / part
    content = file.read_bytes()
    if damage == "remove":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        middle = len(content) // 2 if part != "store.json" else content.index(b'"shards"') + 1
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(InputError):
        open_store(written)


@pytest.mark.parametrize(
    "changes", [{"shards": []}, {"documents": None}, {"tokens": 5}, {"shards": 3}, {"input_sha256": 1}]
)
def test_an_edited_store_is_refused(written: Path, changes: dict):
    file = written / "store.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(InputError):
        open_store(written)


def test_encoded_text_lies_on_disk_not_in_memory(prose_file: Path, vocabulary: Vocabulary):
    assert isinstance(encode_text(vocabulary, TextSource([str(prose_file)])).ids, np.memmap)


def test_parts_and_joins():
    joined = Joined([np.arange(3, dtype=np.uint16), np.arange(3, 10, dtype=np.uint16)])
    assert len(joined) == 10
    assert joined[2:5].tolist() == [2, 3, 4]
    assert Slice(joined, 2, 8)[1:100].tolist() == [3, 4, 5, 6, 7]
    assert len(Slice(joined, 2, 8)) == 6


def test_documents_lie_between_the_beginning_symbols(monkeypatch: pytest.MonkeyPatch):
    ids = np.array([1, 5, 6, 1, 1, 7], dtype=np.uint16)
    for scanned in (1, 2, 100):
        monkeypatch.setattr(store, "SCANNED_TOKENS", scanned)
        found = [document[0 : len(document)].tolist() for document in document_ids(ids, 1)]
        assert found == [[5, 6], [], [7]]
