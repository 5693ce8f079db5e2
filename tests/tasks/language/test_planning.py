"""What a training comes to before it begins, through the real command: what was asked, and what follows from the data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.cli.test_resume import SMALL, weights
from tests.conftest import Command

CHAR = ["--vocab-type", "char"]


def plan(seqtool: Command, *arguments: object) -> dict[str, object]:
    result = seqtool("train", *arguments, "--dry-run", "--json")
    assert result.returncode == 0, result.stderr.decode()
    return dict(json.loads(result.stdout))


def test_what_was_asked_is_kept_and_the_rest_follows_from_the_text(seqtool: Command, text: Path, tmp_path: Path):
    (short := tmp_path / "short.txt").write_text(text.read_text()[:600])
    asked = {"hidden": 77, "lr": 0.0125, "batch_size": 3}
    flags = [word for name, value in asked.items() for word in (f"--{name.replace('_', '-')}", value)]
    plans = [plan(seqtool, file, *CHAR, *flags) for file in (short, text)]
    assert all(asked.items() <= found.items() for found in plans)
    assert plans[0]["steps"] != plans[1]["steps"]
    free = [plan(seqtool, file, *CHAR) for file in (short, text)]
    assert free[0]["batch_size"] != free[1]["batch_size"]
    assert [found["train_tokens"] + found["valid_tokens"] for found in free] == [601, 20_001]  # type: ignore[operator]


def test_a_store_and_a_vocabulary_plan_what_their_text_does(seqtool: Command, text: Path, tmp_path: Path):
    vocab, store = tmp_path / "char.model", tmp_path / "text.store"
    assert seqtool("vocab", text, "--type", "char", "-o", vocab, "-q").returncode == 0
    assert seqtool("encode", text, "--vocab", vocab, "-o", store, "-q").returncode == 0
    plans = [plan(seqtool, *data) for data in ([text, *CHAR], [text, "--vocab", vocab], [store])]
    assert plans[0] == plans[1] == plans[2]


def test_a_dry_run_writes_and_refuses_nothing_at_its_place(seqtool: Command, text: Path, tmp_path: Path):
    (there := tmp_path / "there").mkdir()
    (there / "config.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    plan(seqtool, text, *CHAR, "-o", there)
    plan(seqtool, text, *CHAR, "-o", tmp_path / "new" / "run")
    assert sorted(tmp_path.rglob("*")) == before
    assert "exists already" in error_of(seqtool("train", text, *CHAR, "-o", there), 2)


@pytest.mark.parametrize(("flags", "message"), [
    (["--heads", 2], "--heads is for --model transformer, mingru, gdn, not lstm"),
    (["--freeze", "embedding"], "--freeze keeps what --from or --embeddings gives"),
    (["--freeze", "layers"], "--freeze 'layers': choose from embedding, core, or both"),
    (["--min-count", 2], "--min-count is for --vocab-type word, not char"),
    (["--subword-sampling", 0.1], "a char vocabulary has one split of a text"),
    (["--model", "transformer", "--hidden", 30, "--heads", 4], "--hidden 30 does not divide by --heads 4"),
])  # fmt: skip
def test_what_does_not_go_with_the_rest_is_refused_dry_or_not(
    seqtool: Command, text: Path, tmp_path: Path, flags: list[object], message: str
):
    for dry in ([], ["--dry-run"]):
        assert message in error_of(seqtool("train", text, *CHAR, *flags, *dry, "-o", tmp_path / "run"), 2)
    assert not (tmp_path / "run").exists()


def test_a_flag_in_a_config_that_has_no_effect_is_no_error(seqtool: Command, text: Path, tmp_path: Path):
    """Only the command line says what its user means of this very training."""
    (tmp_path / "transformer.toml").write_text("heads = 2\n")
    assert plan(seqtool, text, *CHAR, "--config", tmp_path / "transformer.toml")["heads"] == 2


def test_a_command_that_torchrun_starts_again_goes_on_with_what_it_left(seqtool: Command, text: Path, tmp_path: Path):
    """And never with what another command left there."""
    restarted = {
        "TORCHELASTIC_RUN_ID": "1", "RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RESTART_COUNT": "1", "TORCHELASTIC_MAX_RESTARTS": "3"
    }  # fmt: skip
    run, begin = tmp_path / "run", ["train", text, *CHAR, *SMALL, "--steps", 6]
    assert seqtool(*begin, "-o", run).returncode == 0
    first = weights(run)
    again = seqtool(*begin, "-o", run, "--json", env=restarted)
    assert again.returncode == 0, again.stderr.decode()
    assert json.loads(again.stdout)["steps"] == 6
    assert weights(run) == first
    other = seqtool(*begin, "--lr", 0.5, "-o", run, env=restarted)
    assert "exists already" in error_of(other, 2)
    assert weights(run) == first
    new = seqtool(*begin, "-o", tmp_path / "new", env=restarted)
    assert new.returncode == 0, new.stderr.decode()
    assert weights(tmp_path / "new") == first, "one that died before it left anything begins anew"
