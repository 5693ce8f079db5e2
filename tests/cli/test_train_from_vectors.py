"""`seqtool train --embeddings`, by the real command: runs that start from vectors."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors, write_vectors
from tests.cli.conftest import SHORT
from tests.cli.test_contract import error_of
from tests.conftest import Command


def test_a_run_says_what_it_started_from_and_goes_on_without_it(
    seqtool: Command, short_text: Path, word_vectors: Path, frozen_run: Path, tmp_path: Path
):
    record = json.loads(seqtool("info", frozen_run, "--json").stdout)["data"]["embeddings"]
    assert (record["name"], record["matched_symbols"]) == (str(word_vectors), 5)
    assert record["sha256"] == hashlib.sha256(word_vectors.read_bytes()).hexdigest()
    other = tmp_path / "other"
    write_vectors(other, Vectors(TokenTable.of(["the"]), np.ones((1, 20), np.float32), {}))
    run = tmp_path / "run"
    shutil.copytree(frozen_run, run)
    go_on = ["train", short_text, "-o", run, "--resume", "--steps", 6, "-q"]
    assert "--embeddings names another" in error_of(seqtool(*go_on, "--embeddings", other), 2)
    assert "--freeze core (was embedding)" in error_of(seqtool(*go_on, "--freeze", "core"), 2)
    assert seqtool(*go_on).returncode == 0
    assert seqtool(*go_on, "--embeddings", word_vectors, "--freeze", "embedding").returncode == 0


def test_vectors_say_the_type_of_vocabulary_where_nobody_does(seqtool: Command, short_text: Path, tmp_path: Path):
    def vocabulary_type(told: str, *flags: object) -> str:
        metadata = {"method": "imported", "vocabulary_type": told}
        write_vectors(tmp_path / "v", Vectors(TokenTable.of(["the", "t"]), np.ones((2, 20), np.float32), metadata))
        run = tmp_path / "run"
        steps = ["--hidden", 8, "--batch-size", 8, "--steps", 1, "-q", "--force"]
        result = seqtool("train", short_text, "-o", run, "--embeddings", tmp_path / "v", *steps, *flags)
        assert result.returncode == 0, result.stderr
        return str(json.loads(seqtool("info", run / "vocab.model", "--json").stdout)["type"])

    assert [vocabulary_type(told) for told in ("", "char", "foreign")] == ["word", "char", "bpe"]
    assert vocabulary_type("word", "--vocab-type", "char") == "char"
    (tmp_path / "settings.toml").write_text('vocab_type = "char"\n')
    assert vocabulary_type("word", "--config", tmp_path / "settings.toml") == "char"


def test_vectors_that_are_not_finite_are_refused(seqtool: Command, short_text: Path, tmp_path: Path):
    for bad in (np.nan, np.inf, 1e30):
        rows = np.array([[1, 2], [3, bad]], np.float32)
        write_vectors(tmp_path / "v", Vectors(TokenTable.of(["the", "a"]), rows, {}))
        result = seqtool("train", short_text, "-o", tmp_path / "run", "--embeddings", tmp_path / "v", *SHORT)
        assert f"--embeddings {tmp_path / 'v'}: " in error_of(result, 3)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("flags", "code", "message"), [
    (["--embed", 32], 2, "has vectors of 20 numbers, where --embed is 32: give --embed 20"),
    (["--model", "transformer"], 2, "give --hidden 20"),
    (["--input", "one-hot"], 2, "--input one-hot"),
    (["--embeddings", "/nowhere"], 3, "/nowhere does not exist"),
    (["--vocab-type", "byte"], 3, "none of its tokens"),
])  # fmt: skip
def test_vectors_that_do_not_fit_are_refused(
    seqtool: Command, short_text: Path, word_vectors: Path, tmp_path: Path, flags: list[object], code: int, message: str
):
    if message == "none of its tokens":
        word_vectors = tmp_path / "v"
        write_vectors(word_vectors, Vectors(TokenTable.of(["xyz"]), np.ones((1, 20), np.float32), {}))
    run = tmp_path / "run"
    result = seqtool("train", short_text, "-o", run, "--vocab-type", "word", "--embeddings", word_vectors, *flags)
    assert message in error_of(result, code)
    assert not run.exists()


def test_freeze_needs_vectors(seqtool: Command, short_text: Path):
    assert "--embeddings" in error_of(seqtool("train", short_text, "--freeze", "embedding"), 2)
