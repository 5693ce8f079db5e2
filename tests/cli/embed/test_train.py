"""seqtool embed train: the real command on real text, stopped and gone on with, refused and repeated."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from seqtool.vectors.vectors import read_vectors
from tests.cli.test_contract import error_of
from tests.conftest import Command, Start

METHODS = ("skipgram", "cbow", "glove", "svd", "one-hot")


@pytest.fixture(scope="module")
def relations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text in which a and b are used alike, and so are x and y."""
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(3000):
        first, second = (("a", "b"), ("x", "y"))[rng.integers(2)]
        word = (first, second)[rng.integers(2)]
        near = {"a": "red blue green", "x": "one two three"}[first].split()
        lines.append(" ".join([near[rng.integers(3)], word, near[rng.integers(3)], near[rng.integers(3)]]))
    path = tmp_path_factory.mktemp("text") / "relations.txt"
    path.write_text("\n".join(lines))
    return path


def cosine(vectors, first: str, second: str) -> float:
    a, b = vectors.of(first), vectors.of(second)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_words_used_alike_come_near(seqtool: Command, relations: Path, tmp_path: Path, method: str):
    size = [] if method == "one-hot" else ["--dim", 4 if method == "svd" else 16, "--document", "line", "--window", 2]
    words = (
        "embed",
        "train",
        relations,
        "--method",
        method,
        *size,
        "--json",
        "-q",
    )
    result = seqtool(*words, "-o", tmp_path / "v")
    assert result.returncode == 0, result.stderr.decode()
    report = json.loads(result.stdout)
    assert report["method"] == method
    assert report["tokens"] == 11
    vectors = read_vectors(tmp_path / "v")
    assert np.isfinite(vectors.matrix_VD).all()
    if method == "one-hot":
        assert (vectors.matrix_VD == np.eye(11)).all()
    else:
        assert cosine(vectors, "a", "b") > cosine(vectors, "a", "x") + 0.3
        assert cosine(vectors, "x", "y") > cosine(vectors, "b", "y") + 0.3
    assert seqtool(*words, "-o", tmp_path / "again").returncode == 0
    assert (read_vectors(tmp_path / "again").matrix_VD == vectors.matrix_VD).all()
    if method in ("skipgram", "glove"):
        assert seqtool(*words, "-o", tmp_path / "other", "--seed", 9).returncode == 0
        assert (read_vectors(tmp_path / "other").matrix_VD != vectors.matrix_VD).any()


def test_an_unseen_word_has_a_vector_with_subword(seqtool: Command, prose_file: Path, tmp_path: Path):
    words = ("embed", "train", prose_file, "--dim", 20, "--epochs", 2, "-q")
    assert seqtool(*words, "-o", tmp_path / "v", "--subword").returncode == 0
    vectors = read_vectors(tmp_path / "v")
    assert vectors.tokens.find("functionally-wise") is None
    assert np.isfinite(vectors.of("functionally-wise")).all()
    assert cosine(vectors, "functionally-wise", "functions") > cosine(vectors, "functionally-wise", "the")
    assert seqtool(*words, "-o", tmp_path / "w").returncode == 0
    assert read_vectors(tmp_path / "w").of("functionally-wise") is None


@pytest.mark.parametrize("kind", ["bpe", "char", "byte", "unigram"])
def test_any_vocabulary_will_do(seqtool: Command, prose_file: Path, tmp_path: Path, kind: str):
    words = ("embed", "train", prose_file, "--dim", 8, "--epochs", 1, "--vocab-type", kind, "-q")
    result = seqtool(*words, "-o", tmp_path / "v")
    assert result.returncode == 0, result.stderr.decode()
    vectors = read_vectors(tmp_path / "v")
    assert vectors.metadata["vocabulary_type"] == kind
    assert np.isfinite(vectors.matrix_VD).all()


def test_a_store_and_its_text_give_the_same_vectors(seqtool: Command, prose_file: Path, tmp_path: Path):
    vocabulary, store = tmp_path / "w.model", tmp_path / "store"
    assert seqtool("vocab", prose_file, "-o", vocabulary, "--type", "word").returncode == 0
    assert seqtool("encode", prose_file, "--vocab", vocabulary, "-o", store).returncode == 0
    for name, data in (("a", [store]), ("b", [prose_file, "--vocab", vocabulary, "--document", "file"])):
        words = ("--dim", 8, "--epochs", 1, "-q", "-o", tmp_path / name)
        assert seqtool("embed", "train", *data, *words).returncode == 0
    assert (read_vectors(tmp_path / "a").matrix_VD == read_vectors(tmp_path / "b").matrix_VD).all()


@pytest.mark.slow
def test_a_stopped_learning_goes_on_exactly(seqtool: Command, prose_file: Path, tmp_path: Path):
    # So many passes take more than a second, after which there is a checkpoint.
    words = ["embed", "train", prose_file, "--dim", 30, "--epochs", 120, "-q"]
    assert seqtool(*words, "-o", tmp_path / "whole").returncode == 0
    partial = tmp_path / "v"
    moment = (signal.SIGTERM, [(f"{tmp_path}/v.checkpoint", 0.0)])
    result = seqtool(*words, "-o", partial, "--checkpoint-every", 1, kill=moment)
    assert result.returncode in (0, 143), result.stderr.decode()
    if result.returncode == 143:
        assert b"--resume" in result.stderr
        assert not partial.exists()
        again = seqtool(*words, "-o", partial)
        assert again.returncode == 2
        assert b"--resume" in again.stderr
        other = seqtool(*words, "-o", partial, "--seed", 4, "--resume")
        assert other.returncode == 3
        assert b"belongs to other settings" in other.stderr
        assert seqtool(*words, "-o", partial, "--resume").returncode == 0
    assert (read_vectors(partial).matrix_VD == read_vectors(tmp_path / "whole").matrix_VD).all()
    assert not (tmp_path / "v.checkpoint").exists()


@pytest.mark.slow
def test_time_is_kept(seqtool: Command, prose_file: Path, tmp_path: Path):
    result = seqtool("embed", "train", prose_file, "-o", tmp_path / "v", "--time", "2s", "--json", "-q")
    assert 1 <= json.loads(result.stdout)["seconds"] <= 10  # others use the machine too


def test_what_cannot_be_done_is_said_in_one_sentence(seqtool: Command, prose_file: Path, tmp_path: Path):
    def refused(code: int, says: str, *words: object, stdin: bytes = b"") -> None:
        result = seqtool("embed", "train", *words, stdin=stdin)
        assert result.returncode == code, result.stderr.decode()
        assert says in result.stderr.decode()
        assert result.stderr.count(b"\n") <= 2, result.stderr.decode()

    out = ("-o", tmp_path / "v", "-q")
    refused(3, "does not exist", tmp_path / "nothing", *out)
    refused(3, "is empty", "-", *out)
    refused(3, "lower --min-count", prose_file, "--vocab-type", "char", "--min-count", 10**6, *out)
    refused(2, "lower --min-count", prose_file, "--min-count", 10**6, *out)
    refused(2, "choose from skipgram", prose_file, "--method", "skip", *out)
    refused(2, "give one of them", prose_file, "--epochs", 1, "--time", "1s", *out)
    refused(2, "is for skipgram and cbow", prose_file, "--method", "glove", "--subword", *out)
    refused(2, "no passes to learn in", prose_file, "--method", "svd", "--epochs", 2, *out)
    refused(2, "one-hot vector has a number for each token", prose_file, "--method", "one-hot", "--dim", 3, *out)
    refused(2, "take --dim", prose_file, "--method", "svd", "--dim", 60_000, *out)
    refused(2, "exchange them", prose_file, "--subword", "--shortest-ngram", 9, *out)
    refused(2, "name a file", prose_file, "-o", "-")
    refused(3, "there is nothing that --resume", prose_file, "--resume", *out)
    refused(3, "not UTF-8", "-", *out, stdin=b"word \xff word")
    refused(2, "leave it out, or give more", prose_file, "--epochs", 0, *out)
    refused(2, "--vocab-size -3", prose_file, "--vocab-size", -3, *out)
    refused(2, "learned at once", prose_file, "--method", "svd", "--resume", *out)
    refused(2, "there is no directory", prose_file, "-o", tmp_path / "nothing" / "v", "-q")
    refused(2, "more than this machine has", prose_file, "--dim", 65536, "--subword", "--ngram-rows", 1 << 24, *out)
    refused(3, "raise --subsample", prose_file, "--subsample", 1e-300, "--epochs", 1, *out)
    for flags, says in (
        (["--method", "glove", "--negative", 5], "--negative is for skipgram and cbow, not --method glove"),
        (["--method", "glove", "--noise-power", 0.5], "--noise-power is for skipgram and cbow and svd"),
        (["--x-max", 10], "--x-max is for glove, not --method skipgram"),
        (["--method", "svd", "--checkpoint-every", 9], "--checkpoint-every is for"),
        (["--method", "svd", "--device", "cpu"], "--device is for"),
        (["--method", "one-hot", "--window", 2], "--window is for"),
        (["--method", "one-hot", "--document", "line"], "--document says where windows end"),
        (["--ngram-rows", 64], "--ngram-rows is for --subword"),
        (["--longest-ngram", 4, "--no-subword"], "--longest-ngram is for --subword"),
    ):
        refused(2, says, prose_file, *flags, *out)
    refused(2, "see seqtool embed train --help", prose_file)
    (tmp_path / "v").write_text("something")
    refused(2, "exists already", prose_file, *out)


def test_nothing_but_a_checkpoint_is_replaced_or_removed(seqtool: Command, prose_file: Path, tmp_path: Path):
    text = tmp_path / "v.checkpoint"
    text.write_bytes(prose_file.read_bytes())
    for force in ([], ["--force"]):
        result = seqtool("embed", "train", text, "-o", tmp_path / "v", "--epochs", 1, "-q", *force)
        assert result.returncode == 2
        assert b"in the way" in result.stderr
    assert text.read_bytes() == prose_file.read_bytes()
    vocabulary = tmp_path / "w.model"
    assert seqtool("vocab", prose_file, "-o", vocabulary, "--type", "word").returncode == 0
    before = vocabulary.read_bytes()
    result = seqtool("embed", "train", prose_file, "--vocab", vocabulary, "-o", vocabulary, "--force", "-q")
    assert result.returncode == 2
    assert vocabulary.read_bytes() == before


def test_what_a_store_has_cannot_be_chosen_again(seqtool: Command, prose_file: Path, tmp_path: Path):
    vocabulary, store = tmp_path / "w.model", tmp_path / "store"
    assert seqtool("vocab", prose_file, "-o", vocabulary, "--type", "word").returncode == 0
    assert seqtool("encode", prose_file, "--vocab", vocabulary, "-o", store).returncode == 0
    for flags in (["--lowercase"], ["--vocab-type", "bpe"], ["--document", "line"], ["--errors", "replace"]):
        result = seqtool("embed", "train", store, "-o", tmp_path / "v", "-q", *flags)
        assert result.returncode == 2
        assert b"leave" in result.stderr


def test_a_lowercased_word_is_found_whatever_its_last_letter(seqtool: Command, tmp_path: Path):
    (tmp_path / "t").write_text("Straße ΟΔΟΣ İstanbul and the ΣΑΣ words\n" * 6, encoding="utf-8")
    for form in ("none", "nfkc"):
        words = ("--lowercase", "--normalize", form, "--dim", 4, "--min-count", 1, "-q", "--force")
        assert seqtool("embed", "train", tmp_path / "t", "-o", tmp_path / "v", *words).returncode == 0
        result = seqtool("embed", "nearest", tmp_path / "v", "ΟΔΟΣ", "οδοσ", "Straße", "İstanbul", "-n", 1)
        assert result.returncode == 0, result.stderr.decode()


def test_vectors_no_better_than_their_beginning_are_not_written(seqtool: Command, prose_file: Path, tmp_path: Path):
    words = ("--method", "glove", "--dim", 8, "--lr", 900, "--epochs", 2, "-q", "-o", tmp_path / "v")
    result = seqtool("embed", "train", prose_file, *words)
    assert result.returncode == 4
    assert b"lower --lr" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_is_refused(seqtool: Command, prose_file: Path, tmp_path: Path):
    (tmp_path / "v.checkpoint").write_bytes(b"\x10" + bytes(200))
    result = seqtool("embed", "train", prose_file, "-o", tmp_path / "v", "--resume", "-q")
    assert result.returncode == 3
    assert b"not a checkpoint" in result.stderr


def test_a_name_is_one_learning_s(seqtool: Command, start: Start, prose_file: Path, tmp_path: Path):
    """Two would write over each other's checkpoints."""
    vectors = tmp_path / "v"
    first = start("embed", "train", "-", "-o", vectors, "-q")  # still waits for its text
    until = time.monotonic() + 60
    while not (tmp_path / ".v.lock").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    words = ["embed", "train", prose_file, "-o", vectors, "--dim", 4, "--epochs", 1, "-q"]
    assert "another process" in error_of(seqtool(*words), 1)
    first.kill()
    first.wait()
    assert seqtool(*words).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["v"]
