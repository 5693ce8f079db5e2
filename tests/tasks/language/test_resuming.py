"""What a run may be gone on with, through the real command: the same data and settings, but for what may change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.cli.test_resume import SMALL
from tests.cli.test_train import BASE, lines_of
from tests.conftest import Command
from tests.tasks.tables import done


@pytest.mark.parametrize(("changed", "named"), [
    (["--vocab", "bpe.model"], "--vocab"),
    (["--valid", "text.txt"], "--valid"),
    (["--valid", "0.1"], "--valid"),
    (["--config", "other.toml"], "--lr"),
    (["other.txt"], "DATA"),
    (["exchanged.txt"], "DATA"),
])  # fmt: skip
def test_other_data_and_settings_are_refused_by_name(
    seqtool: Command, text: Path, tmp_path: Path, changed: list[str], named: str
):
    (tmp_path / "valid.txt").write_text(text.read_text()[:3000])
    (tmp_path / "other.txt").write_text(text.read_text()[:9000])
    (tmp_path / "exchanged.txt").write_text("".join(reversed(text.read_text())))
    (tmp_path / "other.toml").write_text("lr = 0.5\n")
    assert seqtool("vocab", text, "--type", "bpe", "-o", tmp_path / "bpe.model", "-q").returncode == 0
    begin = [*SMALL, "--steps", 4, "--vocab-type", "char", "--valid", "valid.txt", "-o", "run"]
    assert seqtool("train", "text.txt", *begin, cwd=tmp_path).returncode == 0
    data = [] if named == "DATA" else ["text.txt"]
    refused = seqtool("train", *data, *changed, "-o", "run", "--resume", cwd=tmp_path)
    assert refused.returncode in (2, 3)
    assert named in error_of(refused, refused.returncode)


def test_validation_text_that_is_gone_is_asked_for(seqtool: Command, text: Path, tmp_path: Path):
    shutil.copy(text, valid := tmp_path / "valid.txt")
    run = tmp_path / "run"
    assert seqtool("train", text, "--valid", valid, *SMALL, "--steps", 4, "-o", run).returncode == 0
    valid.rename(elsewhere := tmp_path / "moved.txt")
    assert "--valid" in error_of(seqtool("train", text, "-o", run, "--resume", "--steps", 5), 3)
    assert seqtool("train", text, "--valid", elsewhere, "-o", run, "--resume", "--steps", 5, "-q").returncode == 0


def test_the_rate_may_be_changed_by_a_flag_and_only_by_one(seqtool: Command, text: Path, tmp_path: Path):
    run = tmp_path / "run"
    assert seqtool("train", text, "-o", run, *SMALL, "--steps", 10, "--schedule", "constant").returncode == 0
    changed = seqtool("train", text, "-o", run, "--resume", "--steps", 30, "--lr", 0.001, "--schedule", "constant")
    assert changed.returncode == 0, changed.stderr.decode()
    assert "--lr 0.001 (was " in changed.stderr.decode()
    rates = [json.loads(line)["lr"] for line in (run / "metrics.jsonl").open() if '"lr"' in line]
    assert rates[-1] == 0.001
    assert rates[0] != 0.001
    (tmp_path / "rate.toml").write_text("lr = 0.5\n")
    refused = seqtool("train", text, "-o", run, "--resume", "--config", tmp_path / "rate.toml")
    assert "--lr 0.5" in error_of(refused, 2)


def test_what_may_change_on_resume_does_and_the_rest_is_refused_by_name(seqtool: Command, text: Path, tmp_path: Path):
    run = tmp_path / "run"
    assert seqtool("train", text, "-o", run, *BASE).returncode == 0
    go_on = ["train", text, "-o", run, "--resume", "-q"]
    refused = error_of(seqtool(*go_on, "--momentum", 0.5, "--batch-size", 3), 2)
    assert "--momentum 0.5" in refused
    assert "--batch-size 3" in refused
    assert "--steps" in refused
    assert "--hidden 64" in error_of(seqtool(*go_on, "--hidden", 64), 2)
    assert "--vocab-type" in error_of(seqtool(*go_on, "--vocab-type", "bpe"), 2)
    assert "--vocab-size" in error_of(seqtool(*go_on, "--vocab-size", 99), 2)
    assert "--document" in error_of(seqtool(*go_on, "--document", "line"), 2)
    assert "--valid" in error_of(seqtool(*go_on, "--valid", 0.2), 2)
    assert "--steps 12 is over" in error_of(seqtool(*go_on, "--steps", 12), 2)
    assert seqtool(*go_on, "--hidden", 24, "--steps", 45, "--eval-every", 5, "--device", "cpu").returncode == 0
    config = json.loads((run / "config.json").read_text())
    assert (config["training"]["steps"], config["training"]["eval_every"]) == (45, 5)
    assert [line["step"] for line in lines_of(run) if "valid_loss" in line][-3:] == [35, 40, 45]
    assert seqtool("eval", run, "-", stdin=b"text").returncode == 0


def losses(run: Path) -> list[float]:
    return [line["watched_loss"] for line in lines_of(run) if "watched_loss" in line]


def test_a_start_that_had_grown_is_watched_on_the_same_tokens(
    seqtool: Command, small_run: Path, prose: str, tmp_path: Path
):
    (new := tmp_path / "new.txt").write_text("".join(f"{place} \u00a3 \u20ac {place * 7}\n" for place in range(200)))
    (old := tmp_path / "old.txt").write_text(prose[:3000])
    still = ["--lr", 1e-12, "--weight-decay", 0, "--steps", 1, "-q"]
    grown, run = tmp_path / "grown", tmp_path / "run"
    done(seqtool, "train", new, "--from", small_run, "--grow-vocab", *still, "-o", grown)
    done(seqtool, "train", old, "--from", grown, *still, "-o", run)
    again = ["train", old, "-o", run, "--resume", "-q", "--steps", 2]
    assert "--grow-vocab names another" in error_of(seqtool(*again, "--grow-vocab"), 2)
    done(seqtool, *again)
    assert losses(run) == pytest.approx(losses(run)[:1] * 3, rel=1e-6)
    before = losses(grown)
    done(seqtool, "train", new, "-o", grown, "--resume", "--grow-vocab", "--steps", 2, "-q")
    assert losses(grown) == pytest.approx(before[:1] * 3, rel=1e-6)


def test_a_vocabulary_that_had_nothing_to_gain_goes_on(
    seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path
):
    begin = ["train", prose_file, "--from", small_run, "--grow-vocab", "-o", tmp_path / "run", "-q"]
    done(seqtool, *begin, "--steps", 1)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["from"]["grown"] == 0
    done(seqtool, *begin, "--steps", 2, "--resume")


def test_the_text_that_is_watched_is_the_same_or_watched_no_more(seqtool: Command, text: Path, tmp_path: Path):
    (watched := tmp_path / "w.txt").write_text(text.read_text()[:2000])
    (other := tmp_path / "o.txt").write_text(text.read_text()[500:2500])
    run = tmp_path / "run"
    train = ["train", text, "-o", run, *SMALL, "-q"]
    done(seqtool, *train, "--steps", 1)
    assert "--watch names another" in error_of(seqtool(*train, "--resume", "--watch", watched), 2)
    done(seqtool, *train, "--steps", 1, "--watch", watched, "--force")
    again = ["train", text, "-o", run, "--resume", "--steps", 2]
    assert "is another text than" in error_of(seqtool(*again, "--watch", other), 3)
    watched.rename(moved := tmp_path / "moved.txt")
    told = "w.txt is not there, and is not watched any more: say with --watch where it is"
    for flags in ([], ["--watch", watched]):
        assert told in seqtool(*again, *flags, "--dry-run").stderr.decode()
    watched.write_text("changed " * 200)
    assert "w.txt has changed, and is not" in seqtool(*again, "--dry-run").stderr.decode()
    assert "is another text than" in error_of(seqtool(*again, "--watch", watched), 3)
    done(seqtool, *again, "--watch", moved, "-q")
    assert len(losses(run)) == 3


def test_settings_of_examples_are_refused(seqtool: Command, small_run: Path, prose_file: Path):
    refused = error_of(seqtool("train", prose_file, "-o", small_run, "--resume", "--target", "label"), 2)
    assert "--target: " in refused
    assert "is a language model, which reads plain text" in refused
