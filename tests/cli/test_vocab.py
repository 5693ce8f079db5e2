"""`seqtool vocab`, by the real command; what a vocabulary is like is tested beside seqtool.text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.conftest import Command


def test_a_vocabulary_can_go_to_a_pipe(shell: Command, prose_file: Path, tmp_path: Path):
    result = shell(f"seqtool vocab {prose_file} --type char -o - > v.model && seqtool info v.model", cwd=tmp_path)
    assert b"vocabulary" in result.stdout, result.stderr


def test_symbols_and_digits_by_the_command(seqtool: Command, tmp_path: Path):
    (tmp_path / "text").write_text("so<sep>1940 <user> 1940\n" * 20)
    words = ["vocab", tmp_path / "text", "-o", tmp_path / "v", "--symbols", "<sep>,<user>", "--split-digits"]
    assert seqtool(*words).returncode == 0
    pieces = seqtool("encode", tmp_path / "text", "--vocab", tmp_path / "v", "--pieces").stdout.decode().splitlines()[0]
    assert {"<sep>", "<user>", "1", "9"} <= set(pieces.split())
    ids = seqtool("encode", tmp_path / "text", "--vocab", tmp_path / "v").stdout
    assert seqtool("decode", "--vocab", tmp_path / "v", stdin=ids).stdout == (tmp_path / "text").read_bytes()
    assert json.loads(seqtool("info", tmp_path / "v", "--json").stdout)["symbols"] == ["<sep>", "<user>"]
    assert "--split-digits" in error_of(seqtool(*words, "--force", "--type", "word"), 2)


@pytest.mark.parametrize(("flags", "named"), [
    (["--min-count", 2], "--min-count: it is for --type word, not bpe"),
    (["--min-count", 1, "--type", "char"], "--min-count: it is for --type word, not char"),
    (["--seed", 1, "--type", "char"], "--seed: it is for --type bpe and unigram, not char"),
    (["--seed", 0, "--type", "byte"], "--seed: it is for --type bpe and unigram, not byte"),
    (["--seed", 1, "--type", "word"], "--seed: it is for --type bpe and unigram, not word"),
    (["-o", "-", "--json"], "--json: -o - writes the model and no report"),
    (["-o", "-", "--force"], "--force: -o - writes the model and no report"),
    (["--errors", "ignore"], "--errors 'ignore': choose from strict, replace"),
    (["--document", "page"], "--document 'page': choose from file, blank-line, line, at:TEXT"),
])  # fmt: skip
def test_a_flag_that_is_wrong_or_has_no_effect_is_refused_by_name(
    seqtool: Command, tmp_path: Path, flags: list[object], named: str
):
    assert named in error_of(seqtool("vocab", "-", "-o", "new", *flags, stdin=b"a text\n", cwd=tmp_path), 2)
    assert list(tmp_path.iterdir()) == []


def test_what_separates_documents_is_not_learned(seqtool: Command, tmp_path: Path):
    """As in a training, which learns from the same documents."""
    (tmp_path / "text").write_text("one two<|e|>\ntwo one\n" * 20)
    words = ["vocab", tmp_path / "text", "-o", tmp_path / "v", "--type", "char", "--json", "--document"]
    split = json.loads(seqtool(*words, "at:<|e|>").stdout)
    whole = json.loads(seqtool(*words, "file", "--force").stdout)
    assert (split["size"], split["measured_on_characters"]) == (whole["size"] - 3, len("one twotwo one\n") * 20)
    assert seqtool(*words, "at:<|e|>", "--force").returncode == 0
    train = ["train", tmp_path / "text", "-o", tmp_path / "run", "--vocab-type", "char", "--document", "at:<|e|>"]
    assert seqtool(*train, "--steps", 1, "--hidden", 8, "-q").returncode == 0
    infos = [
        json.loads(seqtool("info", path, "--json").stdout) for path in (tmp_path / "v", tmp_path / "run/vocab.model")
    ]
    assert infos[0]["sha256"] == infos[1]["sha256"]
