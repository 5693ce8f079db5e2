"""The text that an earlier run was validated on is found again by its record, or a sentence says why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from seqtool.runs.config import read_config, read_vocabulary
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.tasks.language import old_text as module
from seqtool.tasks.language.data import TrainingData, prepare_data
from seqtool.tasks.language.old_text import old_text, with_old_text
from tests.conftest import Command
from tests.tasks.tables import done


def prepared(*data: Path, valid: str | None = None) -> TrainingData:
    return prepare_data(
        list(map(str, data)), vocabulary=None, vocabulary_config=VocabularyConfig(type="char"), valid=valid,
        errors="strict", document="line", seed=0,
    )  # fmt: skip


@pytest.fixture
def texts(prose: str, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path, start in zip(paths, (0, 30_000), strict=True):
        path.write_text(prose[start : start + 9000])
    return paths


def test_the_same_ids_are_found_again(texts: list[Path]):
    for data in (prepared(*texts), prepared(texts[0], valid=str(texts[1])), prepared(*texts, valid="0.2")):
        found = old_text("a.run", data.record, data.vocabulary, "strict")
        assert found.ids is not None
        assert np.array_equal(found.ids[:], data.valid_ids[:])
        watching = with_old_text(data, found)
        assert (watching.watched_ids, watching.record["old_text"]) == (found.ids, found.record)
        again = old_text("a.run", watching.record["old_text"], data.vocabulary, "strict")
        assert again.ids is not None
        assert np.array_equal(again.ids[:], data.valid_ids[:])


def test_a_text_that_is_not_to_be_had_is_told(texts: list[Path], monkeypatch: pytest.MonkeyPatch):
    data, in_file = prepared(*texts), prepared(texts[0], valid=str(texts[1]))

    def told(data: TrainingData) -> str:
        found = old_text("a.run", data.record, data.vocabulary, "strict")
        assert found.ids is None
        assert "old_text" not in with_old_text(data, found).record
        return found.told

    monkeypatch.setattr(module, "MAX_BYTES", 10)
    assert "is too long to be read again, so what is forgotten of it is not seen: name a text with --watch" in told(
        data
    )
    monkeypatch.undo()
    texts[1].write_text("other\n")
    assert "b.txt, on which a.run was validated, has changed since" in told(in_file)
    assert "has changed since" in told(data)
    texts[1].write_bytes(b"\xff\xfe")
    assert "cannot be read again" in told(data)
    texts[1].unlink()
    assert "b.txt, on which a.run was validated, is not there any more" in told(in_file)
    assert "is not there any more" in told(data)


def test_forgetting_is_reported_and_recorded_again_by_a_run_that_goes_on(
    seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path
):
    (text := tmp_path / "new.txt").write_text("1 2 3 4 5 6 7 8 9 10\n" * 300)
    run, flags = tmp_path / "run", ["--eval-every", 5, "--early-stop", 0]
    begun = seqtool("train", text, "--from", small_run, "-o", run, "--steps", 10, "--json", *flags)
    told = json.loads(begun.stdout)
    config = read_config(small_run)
    tokens = config.data["valid_tokens"]
    kept = old_text("x", config.data, read_vocabulary(small_run, config), "strict").ids
    assert kept is not None
    assert len(kept) == tokens
    assert b"the old text is the validation part of prose.txt" in begun.stderr
    assert told["old_text_nats_per_token_after"] > told["old_text_nats_per_token_before"] > 0
    went_on = seqtool("train", text, "-o", run, "--resume", "--steps", 20, "--json", *flags)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "watched_loss" in line] == [0, 5, 10, 15, 20]
    assert json.loads(went_on.stdout)["old_text_nats_per_token_before"] == told["old_text_nats_per_token_before"]
    shutil.move(text, elsewhere := tmp_path / "moved.txt")
    own = done(seqtool, "train", elsewhere, "--from", small_run, "--watch", prose_file, "-o", tmp_path / "w", "--json", "-q", "--steps", 2)  # fmt: skip
    assert "watched_nats_per_token_before" in json.loads(own)
