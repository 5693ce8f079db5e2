"""What `seqtool train` reports, by the real command."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from seqtool.cli.training_report import say_next
from seqtool.settings.examples import CLASSIFY, LANGUAGE
from tests.conftest import Command


def test_how_much_starts_from_vectors_is_said(seqtool: Command, short_text: Path, word_vectors: Path):
    plan = ["train", short_text, "--embeddings", word_vectors, "--vocab-type", "word", "--dry-run", "--json"]
    result = seqtool(*plan, "--freeze", "embedding")
    assert b"5 of " in result.stderr
    assert b"symbols start from" in result.stderr
    told = json.loads(result.stdout)
    assert (told["embed"], told["freeze"], told["frozen_parameters"]) == (20, "embedding", 20 * told["vocab_size"])
    learned = json.loads(seqtool(*plan).stdout)
    assert learned["parameters"] == told["parameters"]
    assert learned["weights_gradients_optimizer_bytes"] > told["weights_gradients_optimizer_bytes"]
    assert seqtool(*plan, "--model", "transformer", "--hidden", 20, "--heads", 2).returncode == 0


def test_dry_run_tells_the_plan_and_writes_nothing(seqtool: Command, prose_file: Path, tmp_path: Path):
    plan = json.loads(seqtool("train", prose_file, "--dry-run", "--json", "--hidden", 10, cwd=tmp_path).stdout)
    assert plan["hidden"] == 10
    assert plan["parameters"] > 0
    assert plan["steps"] > 0
    assert list(tmp_path.iterdir()) == []


def test_what_to_run_next_can_be_pasted_whatever_the_names_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run, valid = tmp_path / "my 'run'", tmp_path / "held back.txt"
    valid.write_text("text")
    say_next(run, str(valid), LANGUAGE, False)
    commands = [line.removeprefix("next:").strip() for line in capsys.readouterr().err.splitlines()]
    assert [shlex.split(command)[1:4] for command in commands] == [
        ["eval", str(run), str(valid)], ["generate", str(run), "--prompt"], ["info", str(run)]
    ]  # fmt: skip
    say_next(Path("run"), None, CLASSIFY, False)
    assert capsys.readouterr().err.splitlines()[:2] == ["next: seqtool eval run FILE", "      seqtool predict run FILE"]
