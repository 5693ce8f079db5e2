"""Going on with a training: the command that began it given again, what early stopping says, whose directory it is."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.conftest import Command, Start

SMALL = ["--hidden", 16, "--batch-size", 4, "--bptt", 16, "-q"]


@pytest.fixture
def text(prose: str, tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(prose[:20_000])
    return path


def report(result: subprocess.CompletedProcess[bytes]) -> dict[str, object]:
    assert result.returncode == 0, result.stderr.decode()
    return dict(json.loads(result.stdout))


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


BEGINNINGS: dict[str, list[object]] = {
    "a vocabulary to learn": ["--vocab-type", "bpe", "--vocab-size", 400, "--precision", "auto", "--compile", "auto"],
    "a vocabulary that is there": ["--vocab", "char.model", "--valid", "valid.txt"],
    "a share and documents": ["--vocab-type", "char", "--valid", "0.20", "--document", "line", "--bptt", "full"],
    "a config": ["--config", "word.toml", "--lr", 0.01, "--schedule", "wsd", "--decay", 0.5],
    "weights of files": ["other.txt=2", "--vocab-type", "char"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BEGINNINGS)
def test_the_command_that_began_a_run_goes_on_with_it_from_any_directory(
    seqtool: Command, text: Path, tmp_path: Path, name: str
):
    """Files are compared by content and settings by value, not by how they are written."""
    (tmp_path / "valid.txt").write_text(text.read_text()[:3000])
    (tmp_path / "other.txt").write_text(text.read_text()[3000:9000])
    (tmp_path / "word.toml").write_text('vocab-type = "word"\nhidden = 16\nsteps = 999\n')
    assert seqtool("vocab", text, "--type", "char", "-o", tmp_path / "char.model", "-q").returncode == 0
    here = ["train", "text.txt", *BEGINNINGS[name], "-o", "run", "-q", "--batch-size", 4, "--hidden", 16]
    assert seqtool(*here, "--steps", 6, cwd=tmp_path).returncode == 0
    assert report(seqtool(*here, "--resume", "--steps", 9, "--json", cwd=tmp_path))["steps"] == 9
    names = ("text.txt", "valid.txt", "char.model", "word.toml", "run")
    moved = {name: str(tmp_path / name) for name in names} | {"other.txt=2": f"{tmp_path / 'other.txt'}=2"}
    elsewhere = [moved.get(str(word), word) for word in here]
    away = tmp_path / "away"
    away.mkdir()
    assert report(seqtool(*elsewhere, "--resume", "--steps", 11, "--json", cwd=away))["steps"] == 11
    least = [moved["text.txt"], *([moved["other.txt=2"]] if "other.txt=2" in here else []), "-o", moved["run"]]
    went_on = seqtool("train", *least, "--resume", "--steps", 12, "--json", "-q", cwd=away)
    assert report(went_on)["steps"] == 12, "validation text is found again"


def test_one_command_begins_goes_on_and_finds_itself_finished(seqtool: Command, text: Path, tmp_path: Path):
    """What a queue that starts jobs again needs; the weights are those of a training that nothing interrupted."""
    begin = ["train", text, "--vocab-type", "char", *SMALL[:-1], "--steps", 300, "--eval-every", 20, "--seed", 5]
    again = [*begin, "--resume-or-begin", "-o", tmp_path / "run"]
    stopped = seqtool(*again, kill=(signal.SIGTERM, [(str(tmp_path / "run" / "metrics.jsonl"), 0.01)]))
    assert stopped.returncode == 128 + signal.SIGTERM
    finished = seqtool(*again)
    assert finished.returncode == 0, finished.stderr.decode()
    assert b"nothing was left" not in finished.stderr
    assert seqtool(*begin, "-o", tmp_path / "whole").returncode == 0
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    once_more = seqtool(*again)
    assert once_more.returncode == 0
    assert b"nothing was left to do: all 300 steps were done before" in once_more.stderr
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert "-o" in error_of(seqtool(*begin, "--resume-or-begin"), 2)


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, f"{path} does not come"
        time.sleep(0.02)


LONG = [*SMALL, "--vocab-type", "char", "--steps", 1_000_000, "--eval-every", 25, "--early-stop", 0]


def test_a_run_that_is_being_written_is_not_replaced(seqtool: Command, start: Start, text: Path, tmp_path: Path):
    run = tmp_path / "run"
    first = start("train", text, *LONG, "-o", run)
    wait_for(run / "checkpoint" / "state.safetensors")
    for command in (
        ["train", text, *SMALL, "--steps", 5, "--force", "-o", run],
        ["train", text, "--resume", "-o", run],
        ["encode", text, "--vocab", run / "vocab.model", "--force", "-o", run],
    ):
        assert "another process" in error_of(seqtool(*command), 1)
    config = (run / "config.json").read_bytes()
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 128 + signal.SIGTERM
    assert (run / "config.json").read_bytes() == config
    assert seqtool("eval", run, text, "-q").returncode == 0
    assert seqtool("train", text, *SMALL, "--steps", 5, "--force", "-o", run).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "text.txt"]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_training_whose_directory_is_taken_away_writes_nothing_more(
    start: Start, text: Path, tmp_path: Path, replaced: bool
):
    run, away = tmp_path / "run", tmp_path / "away"
    first = start("train", text, *LONG, "-o", run)
    wait_for(run / "checkpoint" / "state.safetensors")
    run.rename(away)
    if replaced:
        run.mkdir()
    assert first.wait(60) == 1
    said = first.stderr.read().decode()
    assert f"{run} was moved, removed or replaced" in said
    assert "Traceback" not in said
    assert not run.exists() or not any(run.iterdir())
    assert (away / "checkpoint" / "state.safetensors").is_file()


def test_keep_checkpoints_keeps_the_last_ones_whole(seqtool: Command, text: Path, tmp_path: Path):
    run, folder = tmp_path / "run", tmp_path / "run" / "checkpoint"
    begin = ["train", text, "-o", run, *SMALL, "--vocab-type", "char", "--checkpoint-every", 10, "--eval-every", 40]
    assert seqtool(*begin, "--steps", 40, "--keep-checkpoints", 3).returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "state.safetensors", "step-20.safetensors", "step-30.safetensors"
    ]  # fmt: skip
    straight = weights(run)
    shutil.copy(folder / "step-20.safetensors", folder / "state.safetensors")
    assert seqtool("train", text, "-o", run, "--resume", "-q").returncode == 0
    assert weights(run) == straight, "gone on from there it comes to the same"
    assert seqtool("train", text, "-o", run, "--resume", "--steps", 60, "--keep-checkpoints", 1, "-q").returncode == 0
    assert [path.name for path in folder.iterdir()] == ["state.safetensors"]


def test_a_runs_own_config_repeats_it(seqtool: Command, text: Path, tmp_path: Path):
    for model in (["--model", "transformer", "--context", 8, "--heads", 2, "--layers", 1], ["--document", "line"]):
        first, second = tmp_path / f"first-{model[1]}", tmp_path / f"second-{model[1]}"
        begin = ["train", text, "--vocab-type", "word", "--seed", 9, "--steps", 12, *SMALL[:4], *model, "-q"]
        assert seqtool(*begin, "-o", first).returncode == 0
        repeated = seqtool("train", text, "--config", first / "config.json", "-o", second, "-q")
        assert repeated.returncode == 0, repeated.stderr.decode()
        assert weights(first) == weights(second)


def test_a_directory_without_a_name_and_a_file_that_is_no_config_are_told(seqtool: Command, text: Path, tmp_path: Path):
    (folder := tmp_path / "empty").mkdir()
    assert "has no name" in error_of(seqtool("train", text, "-o", ".", cwd=folder), 2)
    (other := tmp_path / "other.json").write_text("{}")
    assert f"{other} is no run's config.json" in error_of(seqtool("train", text, "--config", other), 3)
    (share := tmp_path / "share.toml").write_text("valid = 0.2\n")
    assert seqtool("train", text, "--config", share, "--dry-run", "-q").returncode == 0


def test_a_repeated_run_has_its_vectors_weights_and_kind_of_vocabulary(seqtool: Command, text: Path, tmp_path: Path):
    vectors, run = tmp_path / "v", tmp_path / "run"
    learned = seqtool("embed", "train", text, "-o", vectors, "--dim", 8, "--epochs", 1, "-q")
    assert learned.returncode == 0, learned.stderr.decode()
    (other := tmp_path / "other.txt").write_text(text.read_text()[:5000])
    data, small = [text, f"{other}=2"], ["--hidden", 16, "--batch-size", 4, "--steps", 4, "-q"]
    begun = seqtool("train", *data, "--vocab-type", "word", "--embeddings", vectors, "-o", run, *small)
    assert begun.returncode == 0, begun.stderr.decode()
    again = ["--config", run / "config.json", "-q"]
    assert seqtool("train", *data, *again, "-o", tmp_path / "again").returncode == 0
    assert weights(run) == weights(tmp_path / "again")
    assert "FILE=N" in error_of(seqtool("train", text, other, *again), 2)
    fewer = seqtool("train", *data, *again, "--min-count", 5, "--embed", 8, "-o", tmp_path / "fewer")
    assert fewer.returncode == 0, fewer.stderr.decode()
    sizes = [json.loads((tmp_path / name / "config.json").read_text())["symbols"]["size"] for name in ("run", "fewer")]
    assert sizes[1] < sizes[0]


def test_early_stopping_is_said_and_can_be_gone_on_from(seqtool: Command, text: Path, tmp_path: Path):
    run = tmp_path / "run"
    begin = ["train", text, "-o", run, "--vocab-type", "char", *SMALL[:-1], "--lr", 1e-7, "--min-gain", 9]
    begin += ["--early-stop", 2, "--eval-every", 5]
    stopped = seqtool(*begin, "--steps", 200, "--json")
    first = report(stopped)
    assert (first["steps"], first["stopped_early"]) == (15, True)
    said = stopped.stderr.decode()
    assert "stopped early, at step 15" in said
    assert "--early-stop 2" in said
    assert "--resume --early-stop 0" in said
    same = seqtool(*begin, "--steps", 200, "--resume", "--json")
    assert report(same)["steps"] == 15
    assert "stopped early" in same.stderr.decode()
    longer = report(seqtool(*begin, "--steps", 400, "--resume", "--json"))
    assert (longer["steps"], longer["stopped_early"]) == (25, True), "its patience begins anew"
    to_the_end = report(seqtool("train", text, "-o", run, "--resume", "--early-stop", 0, "--steps", 40, "--json"))
    assert (to_the_end["steps"], to_the_end["stopped_early"]) == (40, False)


def test_going_on_and_replacing_are_two_things(seqtool: Command, text: Path, tmp_path: Path):
    refused = seqtool("train", text, "-o", tmp_path / "run", "--resume", "--force")
    assert "--resume goes on with the run in -o, and --force would replace it: leave one out" in error_of(refused, 2)
