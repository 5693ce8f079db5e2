"""`seqtool embed evaluate`, by the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.conftest import Command


def test_evaluate_reports_each_file(seqtool: Command, vectors: Path, tmp_path: Path):
    (tmp_path / "pairs.csv").write_text(
        "Word 1,Word 2,Human (mean)\nKing,queen,9\nking,man,5\nking,woman,1\nking,duke,7\n"
    )
    (tmp_path / "questions").write_text(
        ": royals\nman king woman queen\n: others\nman king woman naïve\nman x woman y\n"
    )
    result = seqtool("embed", "evaluate", vectors, "pairs.csv", "questions", "--json", cwd=tmp_path)
    pairs, questions = map(json.loads, result.stdout.splitlines())
    assert pairs == {
        "file": "pairs.csv", "kind": "similarity", "pairs": 4, "covered": 3, "coverage": 0.75, "spearman": pytest.approx(1.0)
    }  # fmt: skip
    assert (questions["questions"], questions["covered"], questions["correct"]) == (3, 2, 1)
    assert [section["correct"] for section in questions["sections"]] == [1, 0]
    shown = seqtool("embed", "evaluate", vectors, "pairs.csv", "questions", cwd=tmp_path).stdout.decode()
    assert "spearman  1.0000\n" in shown
    assert "\nroyals           1          1          1     1.0000\n" in shown
    few = seqtool("embed", "evaluate", vectors, "questions", "--top", 3, "--json", cwd=tmp_path)
    assert json.loads(few.stdout)["covered"] == 0


@pytest.mark.parametrize(("content", "options", "message"), [
    ("love-n,hate-n,3\nlove-n,\xe9,4\n", [], "none of standard input's words has a vector, such as love-n, hate-n, \ufffd: "
     "are they lower-cased, or of another form?\n"),
    ("king,duke,3\nlord,queen,4\n", [], "nothing of standard input is covered: too many words have no vector, such as duke, lord: are "),
    ("man king woman queen\n", ["--top", 2], "no question of standard input is among the 2 most frequent tokens: raise --top\n"),
])  # fmt: skip
def test_what_is_not_covered_at_all_is_told(
    seqtool: Command, vectors: Path, content: str, options: list[object], message: str
):
    stdin = content.encode("latin-1")
    result = seqtool("embed", "evaluate", vectors, "-", "--errors", "replace", "--json", *options, stdin=stdin)
    assert json.loads(result.stdout)["covered"] == 0
    assert result.stderr.decode().startswith(message)
    assert result.returncode == 0


@pytest.mark.parametrize(("arguments", "stdin", "code", "message"), [
    (["evaluate", "V", "-", "--top", "2"], b"king,queen,9\n", 2, "--top is for analogies"),
    (["evaluate", "-", "missing.txt"], b"", 2, "are read by memory map and cannot come from standard input"),
    (["evaluate", "V", "-", "--errors", "x"], b"", 2, "choose from strict, replace"),
    (["evaluate", "V", "-"], b"king,\xff,3\n", 3, "--errors replace"),
    (["evaluate", "V", "missing.txt"], b"", 3, "does not exist"),
    (["evaluate", "V", "-"], b"a b c d\na b c\n", 3, "standard input line 2"),
])  # fmt: skip
def test_what_cannot_be_judged_is_refused(
    seqtool: Command, vectors: Path, arguments: list[str], stdin: bytes, code: int, message: str
):
    words = [str(vectors) if word == "V" else word for word in arguments]
    assert message in error_of(seqtool("embed", *words, stdin=stdin), code)
