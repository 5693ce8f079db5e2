"""`seqtool average`, by the real command."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.tasks.tables import done, report, texts


def test_the_mean_is_a_run_like_any_other(seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path):
    other, mean = tmp_path / "other", tmp_path / "mean"
    done(seqtool, "train", prose_file, "--from", small_run, "-o", other, "-q", "--steps", 2)
    told = report(seqtool, "average", small_run, other, "-o", mean)
    assert (told["runs"], told["model"]) == (2, "lstm")
    assert report(seqtool, "eval", mean, prose_file)["nats"] > 0
    assert done(seqtool, "generate", mean, "--max-tokens", 3, "--prompt", "a")
    assert len(report(seqtool, "info", mean)["data"]["averaged"]) == 2
    done(seqtool, "train", prose_file, "--from", mean, "-o", tmp_path / "on", "-q", "--steps", 2)
    assert "exists already" in error_of(seqtool("average", small_run, other, "-o", mean), 2)
    resumed = error_of(seqtool("train", prose_file, "-o", mean, "--resume", "-q"), 3)
    assert f"no checkpoint to resume from: begin a new run with its weights by --from {mean}" in resumed
    again = seqtool("average", small_run, other, "-o", mean, "--force")
    assert b"next: seqtool eval" in again.stderr


def test_what_has_no_mean_is_refused_in_a_sentence(seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path):
    out = ["-o", tmp_path / "mean"]
    table = texts(tmp_path / "a.tsv")
    done(seqtool, "train", table, "--target", "label", "-o", tmp_path / "table", "-q", "--steps", 2)
    done(seqtool, "train", prose_file, "--model", "ngram", "--order", 2, "-o", tmp_path / "counts", "-q")
    done(seqtool, "mix", small_run, small_run, "-o", tmp_path / "mixed", "-q")
    for runs, told, code in (
        ([small_run], "two runs or more", 2),
        ([small_run, tmp_path / "none"], "does not exist", 3),
        ([small_run, tmp_path / "table"], "learned to classify, not to language", 3),
        ([tmp_path / "counts", tmp_path / "counts"], "has no weights but counts of n-grams", 3),
        ([small_run, tmp_path / "mixed"], "is a mixture of runs", 3),
        ([small_run, prose_file], "is not a run directory", 3),
    ):
        assert told in error_of(seqtool("average", *runs, *out), code)
    assert not (tmp_path / "mean").exists()
    done(seqtool, "average", tmp_path / "table", tmp_path / "table", *out, "-q")
    assert done(seqtool, "predict", tmp_path / "mean", table)
    config = json.loads((small_run / "config.json").read_text())
    assert "averaged" not in config["data"]
