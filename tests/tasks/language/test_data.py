"""What of the data is held back for validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqtool.errors import InputError
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.tasks.language.data import TrainingData, file_spans, hold_back, prepare_data
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.store import write_store
from seqtool.text.vocabulary import Vocabulary

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    path = tmp_path_factory.mktemp("letters") / "letters.txt"
    path.write_text(LETTERS + LETTERS.upper())
    return learn_vocabulary(TextSource([str(path)]), VocabularyConfig(type="char"))


def prepared(vocabulary: Vocabulary, data: list[str], **options: object) -> TrainingData:
    settings = {"valid": None, "errors": "strict", "document": "file", "seed": 0, **options}
    return prepare_data(data, vocabulary=vocabulary, vocabulary_config=VocabularyConfig(), **settings)  # type: ignore[arg-type]


def texts(data: TrainingData) -> tuple[str, str]:
    """Training and validation text, `|` for `<s>`."""
    shown = []
    for ids in (data.train_ids, data.valid_ids):
        parts = "".join(
            "\x01" if i == data.vocabulary.begin_id else data.vocabulary.decode([i]) for i in ids[: len(ids)].tolist()
        )
        shown.append(parts.replace("\x01", "|"))
    return shown[0], shown[1]


def written(folder: Path, **files: str) -> list[str]:
    for name, content in files.items():
        (folder / name).write_text(content)
    return [str(folder / name) for name in files]


def test_one_file_gives_its_end(vocabulary: Vocabulary, tmp_path: Path):
    train, valid = texts(prepared(vocabulary, written(tmp_path, a="a" * 4500 + "b" * 500)))
    assert (train, valid) == ("|" + "a" * 4500, "b" * 500)


def test_each_file_gives_its_end(vocabulary: Vocabulary, tmp_path: Path):
    data = written(tmp_path, a="a" * 9000 + "A" * 1000, b="b" * 1800 + "B" * 200, empty="", c="c" * 2700 + "C" * 300)
    found = prepared(vocabulary, data)
    assert texts(found) == (
        "|" + "a" * 9000 + "|" + "b" * 1800 + "|" + "c" * 2700,
        "A" * 1000 + "|" + "B" * 200 + "|" + "C" * 300,
    )
    assert found.record["held_back"] == {"share": 0.1, "files": 3, "ends": 3, "whole": 0}


def test_a_store_of_several_files_is_split_like_the_files(vocabulary: Vocabulary, tmp_path: Path):
    """Whatever separates its documents."""
    lines = {name: (name * 9 + "\n") * 300 for name in ("a", "b")}
    data = written(tmp_path, **lines)
    for document in ("file", "line"):
        store = tmp_path / f"{document}.store"
        write_store(store, vocabulary, TextSource(data, document=document))
        from_store = texts(prepared(vocabulary, [str(store)]))
        assert from_store == texts(prepared(vocabulary, data, document=document))
        assert all(letter in part for letter in "ab" for part in from_store)


def test_small_files_are_held_back_whole_and_evenly(vocabulary: Vocabulary, tmp_path: Path):
    data = written(tmp_path, big="x" * 5000, **{f"f{n:03}": LETTERS[n % 26] * 50 for n in range(200)})
    train, valid = texts(prepared(vocabulary, data))
    held = [part for part in valid.split("|") if part and "x" not in part]
    assert len(held) == 20
    assert all(len(part) == 50 for part in held)
    assert valid.startswith("x" * 500)
    assert len(train.split("|")) - 2 == 180
    numbers = [index for index, name in enumerate(data[1:]) if f"|{Path(name).read_text()}|" not in train + "|"]
    assert numbers == [] or max(np.diff(numbers)) < 40


def test_a_few_small_files_give_an_end_each(vocabulary: Vocabulary, tmp_path: Path):
    train, valid = texts(prepared(vocabulary, written(tmp_path, a="a" * 45 + "A" * 5, b="b" * 45 + "B" * 5)))
    assert (train, valid) == ("|" + "a" * 45 + "|" + "b" * 45, "AAAAA|BBBBB")


def test_the_cut_moves_to_a_document_that_is_near(vocabulary: Vocabulary, tmp_path: Path):
    train, valid = texts(prepared(vocabulary, written(tmp_path, a=("a" * 299 + "\n") * 40), document="line"))
    assert valid == ("|" + "a" * 299 + "\n") * 3 + "|" + "a" * 299 + "\n"
    assert train.endswith("\n")


def test_weights_repeat_files(vocabulary: Vocabulary, tmp_path: Path):
    data = written(tmp_path, a="a" * 90 + "A" * 10, b="b" * 90 + "B" * 10)
    train, valid = texts(prepared(vocabulary, data, weights=[1.0, 2.5]))
    assert train == "|" + "a" * 90 + ("|" + "b" * 90) * 2 + "|" + "b" * 45
    assert valid == "A" * 10 + "|" + "B" * 10


def test_nothing_is_held_back_of_nothing():
    with pytest.raises(InputError, match="no text is left"):
        hold_back(np.array([1]), [range(1)], 0.1, 1)


def test_no_more_than_a_million_of_a_long_text():
    ids = np.zeros(30_000_000, np.uint16)
    kept, held = hold_back(ids, [range(20_000_000), range(20_000_000, 30_000_000)], 0.1, 1)
    assert sum(len(span or ()) for span in held) == 1_000_000
    assert len(held[1] or ()) == pytest.approx(1_000_000 / 3, abs=2)
    assert file_spans  # used through prepare_data above
    assert kept[0] == range(20_000_000 - len(held[0] or ()))
