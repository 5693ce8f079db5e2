"""Plans of tasks on examples: settings that suit them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.tasks.tables import done, pupils, report, texts


def test_settings_suit_the_kind_of_examples(seqtool: Command, tmp_path: Path):
    text, table = texts(tmp_path / "a.tsv"), pupils(tmp_path / "b.csv")
    of_text = report(seqtool, "train", text, "--target", "label", "--dry-run")
    of_table = report(seqtool, "train", table, "--target", "pass", "--dry-run")
    assert of_table["model"] == "ffn" != of_text["model"]
    assert not of_text["stateful"]
    assert of_table["columns"] == {"text": [], "numeric": ["hours", "shoes", "mark"], "categorical": ["school"]}


def test_what_is_for_other_tasks_is_refused(seqtool: Command, tmp_path: Path):
    train = ["train", texts(tmp_path / "a.tsv"), "--target", "label", "-o", tmp_path / "run"]
    assert "--watch: that is for language models" in error_of(seqtool(*train, "--watch", tmp_path / "a.tsv"), 2)
    assert "--freeze keeps what" in error_of(seqtool(*train, "--freeze", "embedding"), 2)
    plain = ["train", tmp_path / "a.tsv", "-o", tmp_path / "run"]
    assert "--pooling: that is for tasks on examples" in error_of(seqtool(*plain, "--pooling", "max"), 2)
    assert "--wide-ngrams: that is for tasks on examples" in error_of(seqtool(*plain, "--wide-ngrams", 2), 2)


def test_ngrams_stand_beside_a_net_that_reads_a_text(seqtool: Command, tmp_path: Path):
    train = ["train", texts(tmp_path / "a.tsv"), "--target", "label", "--dry-run"]
    assert report(seqtool, *train, "--model", "gru")["wide_ngrams"] == 0
    assert report(seqtool, *train, "--model", "gru", "--wide-ngrams", 2)["wide_ngrams"] == 2
    assert "--buckets is for --model bag, or with --wide-ngrams, not gru" in error_of(
        seqtool(*train, "--model", "gru", "--buckets", 9), 2
    )
    assert "bag has none else: give --ngrams" in error_of(seqtool(*train, "--wide-ngrams", 2), 2)
    table = ["train", pupils(tmp_path / "p.csv"), "--target", "pass", "--dry-run", "--wide-ngrams", 2]
    assert "--wide-ngrams is for classes and numbers that are told of texts" in error_of(seqtool(*table), 2)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--task", "regress", "--positive", "a"], "--positive: that is for other tasks, not to regress"),
        (["--task", "regress", "--best-by", "f1"], "--best-by: that is for other tasks, not to regress"),
        (["--task", "classify", "--horizon", 3], "--horizon: that is for other tasks, not to classify"),
        (["--horizon", 3, "--class-weight", "balanced"], "--class-weight: that is for other tasks, not to forecast"),
    ],
)
def test_settings_of_other_tasks_are_refused(seqtool: Command, tmp_path: Path, flags: list[object], message: str):
    table = pupils(tmp_path / "a.csv")
    assert message in error_of(seqtool("train", table, "--target", "mark", *flags, "-o", tmp_path / "run"), 2)


def test_a_length_of_examples_is_not_for_text(seqtool: Command, prose_file: Path, tmp_path: Path):
    result = seqtool("train", prose_file, "--max-length", 5, "-o", tmp_path / "run")
    assert "--max-length: a language model reads plain text" in error_of(result, 2)


def test_a_run_goes_on_with_its_own_beginning_or_says_which_flag_names_another(seqtool: Command, tmp_path: Path):
    table, run, other = texts(tmp_path / "a.tsv"), tmp_path / "run", tmp_path / "other.model"
    done(seqtool, "vocab", table, "--type", "byte", "-o", other, "-q")
    train = ["train", table, "--target", "label", "-o", run, "-q"]
    done(seqtool, *train, "--vocab-type", "char", "--steps", 3)
    vocabulary = (run / "vocab.model").read_bytes()
    again = [*train, "--resume", "--steps", 4]
    for flags, named in (
        (["--vocab", other], "--vocab names another"),
        (["--vocab-type", "word", "--min-count", 3], "--vocab-type and --min-count name another"),
        (["--embeddings", table], "--embeddings names another"),
        (["--from", run], "--from names another"),
        (["--watch", table], "--watch: that is for language models"),
        (["--grow-vocab"], "--grow-vocab: that is for language models"),
        (["--jsonl-field", "text"], "--jsonl-field: that is for language models"),
        (["--document", "line"], "--document: that is for language models"),
        (["--task", "regress"], "--task says another"),
    ):
        assert named in error_of(seqtool(*again, *flags), 2)
    assert (run / "vocab.model").read_bytes() == vocabulary
    (run / "vocab.model").write_bytes(other.read_bytes())
    assert "is not the vocabulary of this run" in error_of(seqtool(*again), 3)
    (run / "vocab.model").write_bytes(vocabulary)
    done(seqtool, *again, "--vocab", run / "vocab.model")
    done(seqtool, *again, "--vocab-type", "char")
    assert done(seqtool, "predict", run, table)
