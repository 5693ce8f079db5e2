"""Where a run goes, through the real command: its name is its own from the beginning."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.cli.test_resume import LONG, SMALL, report, wait_for
from tests.conftest import Command, Start


def test_without_a_name_the_only_run_of_the_text_is_gone_on_with(seqtool: Command, text: Path, tmp_path: Path):
    begin = ["train", "text.txt", *SMALL, "--vocab-type", "char"]
    assert "-o RUN" in error_of(seqtool(*begin, "--resume", cwd=tmp_path), 2)
    assert seqtool(*begin, "--steps", 4, cwd=tmp_path).returncode == 0
    assert report(seqtool(*begin, "--steps", 6, "--resume", "--json", cwd=tmp_path))["run"] == "runs/text-lstm"
    assert seqtool(*begin, "--steps", 4, cwd=tmp_path).returncode == 0
    which = error_of(seqtool(*begin, "--resume", cwd=tmp_path), 2)
    assert "runs/text-lstm, runs/text-lstm-2" in which


def test_a_name_is_reserved_before_there_is_a_run(seqtool: Command, start: Start, text: Path, tmp_path: Path):
    run = tmp_path / "run"
    first = start("train", "-", *LONG, "-o", run)  # still waits for its text
    wait_for(tmp_path / ".run.lock")
    assert "another process" in error_of(seqtool("train", text, *SMALL, "--steps", 5, "-o", run), 1)
    first.kill()
    first.wait()
    assert seqtool("train", text, *SMALL, "--steps", 5, "-o", run).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "text.txt"]


def test_two_trainings_at_once_choose_two_names(start: Start, text: Path, tmp_path: Path):
    settings = ["--vocab-type", "char", "--hidden", 16, "--steps", 20, "-q", "--seed"]
    both = [start("train", "text.txt", *settings, seed, cwd=tmp_path) for seed in (1, 2)]
    assert [process.wait() for process in both] == [0, 0], [process.stderr.read() for process in both]
    runs = sorted((tmp_path / "runs").iterdir())
    assert [run.name for run in runs] == ["text-lstm", "text-lstm-2"]
    assert {json.loads((run / "config.json").read_text())["training"]["seed"] for run in runs} == {1, 2}


@pytest.mark.parametrize(("data", "flags", "name"), [
    (["text.txt"], [], "text-lstm"),
    (["text.txt"], ["--model", "gru"], "text-gru"),
    (["-"], [], "stdin-lstm"),
    (["a novel, in parts.txt", "text.txt"], [], "a_novel_in_parts-lstm"),
])  # fmt: skip
def test_a_name_that_nobody_gave_is_that_of_the_first_file_and_the_model(
    seqtool: Command, text: Path, tmp_path: Path, data: list[str], flags: list[str], name: str
):
    (tmp_path / "a novel, in parts.txt").write_text(text.read_text())
    begin = [*data, *flags, *SMALL, "--vocab-type", "char", "--steps", 1, "--json"]
    trained = seqtool("train", *begin, stdin=text.read_bytes(), cwd=tmp_path)
    assert report(trained)["run"] == f"runs/{name}"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [name]


def test_a_restart_needs_a_name_that_it_finds_again(seqtool: Command, text: Path):
    by_torchrun = {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "TORCHELASTIC_MAX_RESTARTS": "2"}
    assert re.search("torchrun --max-restarts needs -o RUN", error_of(seqtool("train", text, env=by_torchrun), 2))
