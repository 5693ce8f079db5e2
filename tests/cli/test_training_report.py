"""What `seqtool train` reports, by the real command."""

from __future__ import annotations

import json
from pathlib import Path

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
