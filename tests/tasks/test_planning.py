"""Each task is planned by its module, the same way: a dry run tells what would be learned and from what."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtool.tasks.planning import planner_of
from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.tasks.tables import done, pupils, report


def test_a_dry_run_tells_the_task_and_its_columns_and_writes_nothing(seqtool: Command, tmp_path: Path):
    path = pupils(tmp_path / "a.csv")
    found = report(seqtool, "train", path, "--target", "pass", "--ignore", "mark", "--dry-run", "-o", tmp_path / "run")
    assert found["task"] == "classify"
    assert found["labels"] == ["no", "yes"]
    assert found["columns"]["numeric"] == ["hours", "shoes"]
    assert found["train_examples"] + found["valid_examples"] == 400
    assert not (tmp_path / "run").exists()


def test_language_models_and_examples_have_planners_of_their_own():
    planners = [planner_of("language", "lstm"), planner_of("language", "ngram"), planner_of("classify", "lstm")]
    assert len({planner.__name__ for planner in planners}) == 3  # type: ignore[attr-defined]
    assert planner_of("language", "there is none") is planners[0]
    assert planner_of("classify", "lstm") is planner_of("regress", "ffn")


def test_settings_come_from_a_file_or_a_run_as_from_flags(seqtool: Command, tmp_path: Path):
    path = pupils(tmp_path / "a.csv")
    (config := tmp_path / "c.toml").write_text(
        'target = "pass"\nignore = "mark,shoes"\nmodel = "ffn"\nlayers = 1\nsteps = 9\n'
    )
    done(seqtool, "train", path, "--config", config, "-o", tmp_path / "run", "-q")
    again = report(seqtool, "train", path, "--config", tmp_path / "run" / "config.json", "--steps", 5, "--dry-run")
    assert again["columns"] == {"text": [], "numeric": ["hours"], "categorical": ["school"]}
    assert (again["layers"], again["steps"]) == (1, 5)


@pytest.mark.slow
def test_a_forecast_and_a_tagging_are_repeated_from_their_configuration(seqtool: Command, tmp_path: Path):
    (series := tmp_path / "s.csv").write_text("y\n" + "".join(f"{k % 7}\n" for k in range(200)))
    (tags := tmp_path / "g.conllu").write_text("1\tthe\tthe\tDET\n2\tcat\tcat\tNOUN\n\n" * 30)
    (words := tmp_path / "w.tsv").write_text("word\tspelled\n" + "".join(f"w{k}\tw {k}\n" for k in range(60)))
    spelled = ["--target", "spelled", "--target-type", "word", "--source-type", "char"]
    for data, flags in ((series, ["--target", "y", "--horizon", 7]), (tags, ["--target", "upos"]), (words, spelled)):
        run = tmp_path / f"{data.stem}.run"
        done(seqtool, "train", data, *flags, "-o", run, "--steps", 3, "-q")
        again = report(seqtool, "train", data, "--config", run / "config.json", "--steps", 5, "--dry-run")
        assert again["steps"] == 5


def test_a_bag_predicts_no_text(seqtool: Command, prose_file: Path, tmp_path: Path):
    result = seqtool("train", prose_file, "--model", "bag", "-o", tmp_path / "run")
    assert "--model bag does not predict text" in error_of(result, 2)
