from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors

from seqtool.errors import InputError, SeqtoolError
from seqtool.files.writing import canonical_sha256, locked
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text import store
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.store import (
    append_to_store,
    open_store,
    write_store,
)
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
    "changes",
    [
        {"shards": []}, {"documents": None}, {"tokens": 5}, {"shards": 3}, {"input_sha256": 1}, {"inputs": [{}]},
        {"shards": [{"tokens": -1, "sha256": ""}]}, {"shards": [{"tokens": 10**15, "sha256": "0"}]}, {"words": 1.5},
    ],
)  # fmt: skip
@pytest.mark.parametrize("hashed", [False, True])
def test_an_edited_store_is_refused(written: Path, changes: dict, hashed: bool):
    file = written / "store.json"
    description = {**json.loads(file.read_text()), **changes}
    if hashed:
        del description["sha256"]
        description["sha256"] = canonical_sha256(description)
    file.write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"store\.json|was cut short"):
        open_store(written)


def test_damage_to_any_byte_of_a_header_or_length_is_found(written: Path):
    file = written / "ids-00002.safetensors"
    content = file.read_bytes()
    for place in range(0, store.HEADER_BYTES, 5):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x20]) + content[place + 1 :])
        with pytest.raises(InputError, match="ids-00002"):
            open_store(written, verify=False)
    file.write_bytes(content + b"\0")
    with pytest.raises(InputError, match="cut short or changed"):
        open_store(written, verify=False)


def test_a_shard_is_a_safetensors_file_that_says_what_it_is(written: Path, vocabulary: Vocabulary):
    with safetensors.safe_open(written / "ids-00001.safetensors", "np") as shard:
        assert shard.metadata()["format"] == "seqtool token shard"
        assert shard.metadata()["vocabulary_sha256"] == vocabulary.sha256
        assert np.array_equal(shard.get_tensor("ids"), open_store(written).ids[30_000:60_000])


def test_an_appended_store_holds_both_texts(written: Path, vocabulary: Vocabulary, tmp_path: Path):
    (tmp_path / "more").write_text("some more\nof it")
    before = open_store(written)
    description = append_to_store(written, vocabulary, TextSource([str(tmp_path / "more")]))
    after = open_store(written)
    assert after.description == description
    more = [vocabulary.begin_id, *vocabulary.encode("some more\nof it").tolist()]
    assert after.ids[0 : len(after.ids)].tolist() == [*before.ids[0 : len(before.ids)].tolist(), *more]
    assert description["words"] == before.description["words"] + 4
    assert [item["sha256"] for item in description["inputs"]] == [
        before.description["input_sha256"],
        hashlib.sha256(b"some more\nof it").hexdigest(),
    ]
    assert description["input_sha256"] not in [item["sha256"] for item in description["inputs"]]


@pytest.mark.parametrize("stopped_at", ["encode", "close", "write_json", "killed"])
def test_a_stopped_append_leaves_the_old_store(
    written: Path, vocabulary: Vocabulary, prose_file: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: str
):
    old = {file.name: file.read_bytes() for file in written.iterdir()}

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if stopped_at == "killed":  # nothing is tidied: the next append does it
            for number in (4, 5, 9):
                (written / f"ids-{number:05d}.safetensors").write_bytes(b"left")
            (written / ".store.json.abcdefgh.partial").write_bytes(b"{")
            assert open_store(written).description["tokens"] > 0
        part = {"encode": vocabulary, "write_json": store}.get(stopped_at, store._ShardWriter)
        patch.setattr(part, stopped_at if stopped_at != "killed" else "close", stop)
        with pytest.raises(KeyboardInterrupt):
            append_to_store(written, vocabulary, TextSource([str(prose_file)]))
    assert {file.name: file.read_bytes() for file in written.iterdir()} == old
    append_to_store(written, vocabulary, TextSource([str(prose_file)]))
    assert open_store(written).description["documents"] == 2


def test_an_append_by_another_vocabulary_or_beside_another_append_is_refused(
    written: Path, vocabulary: Vocabulary, prose_file: Path
):
    source = TextSource([str(prose_file)])
    other = learn_vocabulary(source, VocabularyConfig(type="byte"))
    with pytest.raises(InputError, match="another vocabulary"):
        append_to_store(written, other, source)
    with pytest.raises(InputError, match="not a token store"):
        append_to_store(written / "ids", vocabulary, source)
    with locked(written), pytest.raises(SeqtoolError, match="another process"):
        append_to_store(written, vocabulary, source)
