"""What `seqtool eval` shows of a run that learned from examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtool.cli.evaluation_report import rows_table
from tests.conftest import Command
from tests.tasks.tables import done, report, texts


def test_a_person_sees_the_figures_the_labels_and_the_confusions(seqtool: Command, tmp_path: Path):
    path = texts(tmp_path / "a.tsv")
    done(seqtool, "train", path, "--target", "label", "-o", tmp_path / "run", "--steps", 60, "-q")
    shown = done(seqtool, "eval", tmp_path / "run", path).decode()
    found = report(seqtool, "eval", tmp_path / "run", path)
    assert f"accuracy           {found['accuracy']:.4f}" in shown
    assert "baseline accuracy" in shown
    assert "\nlabels\n" in shown
    assert "true label, and how often each was told" in shown
    assert sum(sum(row) for row in found["confusion"]) == found["rows"] == 300


def test_flags_for_text_are_refused(seqtool: Command, tmp_path: Path):
    path = texts(tmp_path / "a.tsv")
    done(seqtool, "train", path, "--target", "label", "-o", tmp_path / "run", "--steps", 5, "-q")
    result = seqtool("eval", tmp_path / "run", path, "--per", "line", "--context", 5)
    assert result.returncode == 2
    assert b"--per and --context" in result.stderr


def test_flags_for_writing_are_refused_where_nothing_is_written(seqtool: Command, translator: Path):
    asked = ["eval", translator / "run", translator / "test.a", "--target", translator / "test.b", "--per", "line"]
    result = seqtool(*asked, "--beam", 5, "--max-tokens", 3)
    assert result.returncode == 2
    assert b"--beam and --max-tokens: --per line scores the right texts and writes none" in result.stderr


@pytest.mark.parametrize("rows", [[{"label": "a", "f1": None}], [{"label": "a", "f1": 0.5}, {"label": "bb", "f1": 1}]])
def test_rows_are_a_table(rows: list[dict[str, object]]):
    assert rows_table(rows).count("\n") == len(rows) + 1
