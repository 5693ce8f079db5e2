"""Answers on the page: every number is that of `eval` and `predict`, by the real commands."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, precision_score, recall_score

from seqtool.reports.answers import MOST_TEXTS, drawn_answers
from seqtool.tasks import classify
from seqtool.tasks.examples.asking import Asking, answered_with_targets, load_to_ask
from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.reports.test_run_page import data_of
from tests.tasks.tables import done, pupils, waves

CPU = torch.device("cpu")
QUICK = ["--steps", 30, "--batch-size", 32, "-q"]


@pytest.fixture(scope="module")
def folder(seqtool: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier and a forecaster, and their data."""
    folder = tmp_path_factory.mktemp("answers")
    done(seqtool, "train", pupils(folder / "p.csv"), "--target", "pass", "-o", folder / "p", "--model", "ffn", *QUICK)
    series = ["--target", "value", "--horizon", 12, "--window", 24, "--hidden", 8]
    done(seqtool, "train", waves(folder / "w.csv"), *series, "-o", folder / "w", *QUICK)
    return folder


def test_confusions_are_evals_and_thresholds_those_of_scikit_learn(seqtool: Command, folder: Path):
    report = json.loads(done(seqtool, "eval", folder / "p", folder / "p.csv", "--json"))
    run = load_to_ask(folder / "p", CPU)
    told = drawn_answers(3, run, str(folder / "p.csv"), "strict")
    (heat,), (chart,) = told["heats"], told["charts"]
    assert told["run"] == 3
    assert heat["counts"] == report["confusion"]
    assert f"{report['accuracy']:.1%} are right" in told["about"]
    rows = np.array(heat["counts"])
    np.testing.assert_allclose(heat["shares"], rows / rows.sum(1, keepdims=True), atol=6e-4)
    classes = classify.answers(run.config.task)
    outputs, values, _ = answered_with_targets(run, [str(folder / "p.csv")], Asking())
    truth = np.array([value == classes.labels[1] for (value,) in values])
    scores, threshold = classes.decided(outputs, run.fitted)
    assert ((scores >= threshold) == (classes.chosen(outputs, run.fitted).numpy() > 0)).all()
    by_name = {line["name"]: line for line in chart["lines"]}
    for place in (30, 50, 70):
        predicted = scores >= by_name["recall"]["x"][place]
        for name, score in (("precision", precision_score), ("recall", recall_score), ("F1", f1_score)):
            assert by_name[name]["y"][place] == pytest.approx(score(truth, predicted), rel=1e-4)
    assert f"the run's own: {threshold:.2f}" in chart["rings"][0][3]


def test_forecasts_are_predicts_and_the_known_horizon_is_not_read(seqtool: Command, folder: Path, tmp_path: Path):
    told = drawn_answers(0, load_to_ask(folder / "w", CPU), str(folder / "w.csv"), "strict")
    chart, other = told["charts"]
    known, *past, future, low, high = chart["lines"]
    rows = [row for row in csv.DictReader(io.StringIO((folder / "w.csv").read_text())) if row["series"] == "a"]
    assert (chart["title"], other["title"]) == ("a", "b")
    assert known["y"] == pytest.approx([float(row["value"]) for row in rows[-len(known["y"]) :]], rel=1e-5)
    assert known["x"][-1] == len(rows)

    def told_by_predict(count: int) -> list[dict[str, str]]:
        with open(folder / "w.csv") as file, open(tmp_path / "cut.csv", "w") as cut:
            cut.writelines(file.readlines()[: 1 + count])  # of the first series alone
        return list(csv.DictReader(io.StringIO(done(seqtool, "predict", folder / "w", tmp_path / "cut.csv").decode())))

    for lines, end in (((future, low, high), len(rows)), (past, len(rows) - 12)):
        expected = told_by_predict(end)
        for line, column in zip(lines, ("mean", "q0.05", "q0.95"), strict=True):
            assert line["x"] == list(range(end + 1, end + 13))
            assert line["y"] == pytest.approx([float(row[column]) for row in expected], rel=1e-4)
    inside = []
    for known, _, low, high in (one["lines"][:4] for one in (chart, other)):
        inside += [a <= y <= b for a, y, b in zip(low["y"], known["y"][-12:], high["y"], strict=True)]
    assert (
        f"Of 24 values that were held back from the forecasts of the last horizon {np.mean(inside):.1%}"
        in told["about"]
    )


@pytest.mark.slow
def test_translations_have_the_attention_that_predict_draws(seqtool: Command, translator: Path, tmp_path: Path):
    (tmp_path / "t.txt").write_text("the red cat\nthe dog\n" + "the cat\n" * 20)
    told = drawn_answers(0, load_to_ask(translator / "run", CPU), str(tmp_path / "t.txt"), "strict")
    done(seqtool, "predict", translator / "run", tmp_path / "t.txt", "--attention-map", tmp_path / "m.html")
    maps = data_of((tmp_path / "m.html").read_bytes())["maps"][:MOST_TEXTS]
    assert len(told["heats"]) == MOST_TEXTS
    for heat, drawn in zip(told["heats"], maps, strict=True):
        assert (heat["rows"], heat["columns"], heat["title"]) == (drawn["target"], drawn["source"], drawn["title"])
        assert np.sum(heat["shares"], axis=1) == pytest.approx(np.ones(len(heat["rows"])), abs=0.02)


def test_the_command_takes_data_for_runs_of_examples_alone(
    seqtool: Command, folder: Path, small_run: Path, tmp_path: Path
):
    page = tmp_path / "r.html"
    done(seqtool, "report", small_run, folder / "p", "--data", folder / "p.csv", "-o", page)
    (told,) = data_of(page.read_bytes())["answers"]
    assert told["run"] == 1
    asked = ("report", small_run, "-o", tmp_path / "s.html")
    assert "none of these does: leave it out" in error_of(seqtool(*asked, "--data", folder / "p.csv"), 2)
    asked = ("report", folder / "p", "-o", tmp_path / "s.html")
    assert "name one" in error_of(seqtool(*asked, "--data", "-"), 2)
    assert "does not exist" in error_of(seqtool(*asked, "--data", tmp_path / "none"), 3)
    assert "pass" in error_of(seqtool(*asked, "--data", folder / "w.csv"), 3)
    assert not (tmp_path / "s.html").exists()
