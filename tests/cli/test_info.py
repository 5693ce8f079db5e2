"""`seqtool info`, through the real command; what it says of artifacts is tested beside the commands that make them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from seqtool.embeddings.learning import CHECKPOINT_FORMAT
from seqtool.files.tensors import AS_GIVEN, write_tensors
from seqtool.native.loading import describe
from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.text.small_byte_level import small_model


def test_info_of_the_machine_says_what_became_of_each_part_in_c(seqtool: Command):
    report = json.loads(seqtool("info", "--machine", "--json").stdout)
    assert (report["kind"], report["torch"]) == ("machine", torch.__version__)
    assert report["threads"] == 1  # OMP_NUM_THREADS of tests/conftest.py
    assert report["name"]
    assert report["parts"] == {name: dataclasses.asdict(part) for name, part in describe().items()}
    lines = seqtool("info", "--machine").stdout.decode().splitlines()
    for name, part in describe().items():
        assert f"{name}.c  ".ljust(14) + str(part) in lines


def test_info_of_nothing_and_of_both_is_wrong_usage(seqtool: Command, tmp_path: Path):
    assert "missing argument 'PATH'" in error_of(seqtool("info"), 2)
    assert "give one of them" in error_of(seqtool("info", "--machine", tmp_path), 2)


def test_info_tells_what_is_not_ours(seqtool: Command, word_vectors: Path, short_text: Path, tmp_path: Path):
    for format in ("word2vec", "word2vec-binary", "glove"):
        seqtool("embed", "export", word_vectors, "-o", tmp_path / format, "--format", format)
    (tmp_path / "empty").write_bytes(b"")
    assert "is empty" in error_of(seqtool("info", tmp_path / "empty"), 3)
    for path in (*(tmp_path / name for name in ("word2vec", "word2vec-binary", "glove")), short_text):
        message = error_of(seqtool("info", path), 3)
        assert "neither a vocabulary, vectors, a store nor a run" in message
        assert f"seqtool embed import {path}" in message
    (tmp_path / "cut.model").write_bytes(b"\n\x0e\n\x05<unk>")
    assert "cut short" in error_of(seqtool("info", tmp_path / "cut.model"), 3)


def test_info_of_a_checkpoint(seqtool: Command, tmp_path: Path):
    path = tmp_path / "v.checkpoint"
    write_tensors(path, {"input": np.zeros((2, 3), np.float32)}, {"format": CHECKPOINT_FORMAT}, AS_GIVEN)
    told = json.loads(seqtool("info", path, "--json").stdout)
    assert told == {"kind": "embedding checkpoint", "path": str(path), "bytes": path.stat().st_size}


def test_info_describes_every_artifact(seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path):
    seqtool("encode", prose_file, "--vocab", small_run / "vocab.model", "-o", tmp_path / "store")
    (tmp_path / "byte-level.model").write_bytes(small_model(made_by={"program": "seqtool"}))
    for path, kind in (
        (small_run, "run"),
        (tmp_path / "byte-level.model", "vocabulary"),
        (small_run / "vocab.model", "vocabulary"),
        (tmp_path / "store", "token store"),
    ):
        described = json.loads(seqtool("info", path, "--json").stdout)
        assert described["kind"] == kind
        assert described["made_by"]["program"] == "seqtool"
    error_of(seqtool("info", tmp_path), 3)
    (tmp_path / "empty").touch()
    for path, message in (
        (small_run / "config.json", f"a part of the run {small_run}"),
        (small_run / "model.safetensors", f"a part of the run {small_run}"),
        (small_run / "checkpoint", f"a part of the run {small_run}"),
        (tmp_path / "store" / "store.json", f"a part of the token store {tmp_path / 'store'}"),
        (tmp_path / "empty", "is empty"),
        ("-", "not standard input"),
    ):
        assert message in error_of(seqtool("info", path), 3)
