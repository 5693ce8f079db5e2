"""From a table to examples: what its columns are for, and what is told of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqtool.errors import InputError
from seqtool.records.layout import Layout
from seqtool.tasks.examples.table import buckets_for, layout_from, layout_record
from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.tasks.tables import done, pupils, report, texts


def test_rows_without_a_target_are_named_or_left_out(seqtool: Command, tmp_path: Path):
    path = tmp_path / "a.tsv"
    path.write_text(texts(path).read_text() + "\tfine song\npos\tgood\textra\n")
    train = ["train", path, "--target", "label", "-o", tmp_path / "run", "--steps", 5, "-q"]
    assert f"line 303 of {path} has 3 fields, not 2" in error_of(seqtool(*train), 3)
    done(seqtool, *train, "--errors", "replace")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["left_out"] == 2


def test_long_texts_are_cut_and_it_is_said(seqtool: Command, tmp_path: Path):
    result = seqtool(
        "train", texts(tmp_path / "a.tsv"), "--target", "label", "--max-length", 3, "-o", tmp_path / "run", "--steps", 5
    )
    assert b"texts are longer than --max-length 3 tokens" in result.stderr


def test_validation_is_a_file_or_a_share_of_each_class(seqtool: Command, tmp_path: Path):
    train, valid = texts(tmp_path / "a.tsv"), texts(tmp_path / "b.tsv", rows=50, seed=2)
    plan = ["train", train, "--target", "label", "--dry-run"]
    assert report(seqtool, *plan, "--valid", valid)["valid_examples"] == 50
    assert report(seqtool, *plan, "--valid", 0.2)["valid_examples"] == pytest.approx(60, abs=2)
    valid.write_text("label\ttext\nother\tx\n")
    assert "labels that the training examples have not: other" in error_of(seqtool(*plan, "--valid", valid), 3)


def test_ngrams_are_by_the_vocabulary_and_the_text_and_case_is_folded(seqtool: Command, tmp_path: Path):
    path = tmp_path / "a.tsv"
    path.write_text(texts(path).read_text().replace("film", "Film"))
    plan = ["train", path, "--target", "label", "--dry-run"]
    assert report(seqtool, *plan, "--vocab-type", "word")["ngrams"] == 2
    assert report(seqtool, *plan, "--ngrams", 3, "--buckets", 77)["buckets"] == 77
    run = ["-o", tmp_path / "run", "--steps", 2, "-q"]
    done(seqtool, *plan[:-1], *run)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"]["ngrams"] == 7
    assert config["model"]["buckets"] == buckets_for(config["data"]["train_tokens"])
    told = [done(seqtool, "predict", tmp_path / "run", "-", stdin=line) for line in (b"a FILM\n", b"a film\n")]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("tokens", "buckets"), [(0, 1 << 12), (133_000, 1 << 17), (800_000, 1 << 19), (10**9, 1 << 19)]
)
def test_there_is_about_a_bucket_for_each_ngram(tokens: int, buckets: int):
    assert buckets_for(tokens) == buckets


def test_columns_can_be_told_what_they_are(seqtool: Command, tmp_path: Path):
    plan = ["train", pupils(tmp_path / "a.csv"), "--target", "pass", "--dry-run"]
    found = report(seqtool, *plan, "--categorical", "shoes", "--text", "school", "--ignore", "mark")["columns"]
    assert (found["text"], found["categorical"]) == (["school"], ["shoes"])
    assert "named by --text and --ignore" in error_of(seqtool(*plan, "--text", "school", "--ignore", "school"), 2)
    assert "nothing is left to tell pass from" in error_of(seqtool(*plan, "--ignore", "hours,school,shoes,mark"), 2)


def test_embeddings_begin_a_text_classifier(seqtool: Command, tmp_path: Path):
    (words := tmp_path / "words.txt").write_text("fine film kind song grim film dull song warm cold\n" * 200)
    done(seqtool, "embed", "train", words, "-o", tmp_path / "v", "--dim", 12, "--min-count", 1, "-q")
    table = texts(tmp_path / "a.tsv")
    train = ["train", table, "--target", "label", "--embeddings", tmp_path / "v", "-o", tmp_path / "run", "--steps", 5]
    result = seqtool(*train)
    assert result.returncode == 0, result.stderr
    assert b"symbols start from" in result.stderr
    assert report(seqtool, "info", tmp_path / "run")["hidden"] == 12
    pupil = pupils(tmp_path / "p.csv")
    refused = seqtool("train", pupil, "--target", "pass", "--embeddings", tmp_path / "v", "-o", tmp_path / "r")
    assert "there is no text" in error_of(refused, 2)


def test_a_layout_comes_back_as_it_was_and_an_edited_one_is_refused():
    layout = Layout("csv", ("a", "b"), "\t")
    assert layout_from(json.loads(json.dumps(layout_record(layout)))) == layout
    for edited in ({}, {"format": "csv", "columns": [3]}, {"format": "csv", "columns": ["a"], "x": 1}, 7):
        with pytest.raises(InputError, match="edited"):
            layout_from(edited)
