"""Telling classes through the real command: from texts, tables and labelled lines, with probabilities that mean something."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics

from seqtool.settings.training import TrainConfig
from seqtool.tasks.classify import Classes
from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.tasks.tables import done, pupils, report, texts

QUICK = ["--steps", 120, "-q"]


@pytest.fixture(scope="module")
def spoken(seqtool: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tells good from bad, beside its data."""
    folder = tmp_path_factory.mktemp("classify")
    done(seqtool, "train", texts(folder / "train.tsv"), "--target", "label", "-o", folder / "run", *QUICK)
    texts(folder / "test.tsv", seed=1)
    return folder


def test_eval_agrees_with_scikit_learn_on_what_predict_writes(seqtool: Command, spoken: Path):
    found = report(seqtool, "eval", spoken / "run", spoken / "test.tsv")
    rows = [
        line.split("\t") for line in done(seqtool, "predict", spoken / "run", spoken / "test.tsv").decode().splitlines()
    ]
    truth = [line.split("\t")[0] for line in (spoken / "test.tsv").read_text().splitlines()[1:]]
    told = [label for label, _ in rows]
    positive = [float(p) if label == "pos" else 1 - float(p) for label, p in rows]
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, told))
    assert found["accuracy"] > 0.95
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(truth, told, average="macro"))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, positive), abs=1e-4)
    assert found["roc_auc"] == pytest.approx(
        metrics.roc_auc_score([label == "pos" for label in truth], positive), abs=1e-4
    )
    majority = max(truth.count("pos"), truth.count("neg")) / len(truth)
    assert found["baseline_accuracy"] in (pytest.approx(majority), pytest.approx(1 - majority))


@pytest.mark.parametrize(
    "model",
    ["bag", "lstm", "transformer", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gru", "rnn", "ffn"))],
)
def test_a_text_is_told_the_same_alone_in_any_batch_and_in_any_order(
    seqtool: Command, spoken: Path, tmp_path: Path, model: str
):
    run = tmp_path / "run"
    done(
        seqtool,
        "train",
        spoken / "train.tsv",
        "--target",
        "label",
        "--model",
        model,
        "-o",
        run,
        "--steps",
        10,
        "-q",
        "--hidden",
        16,
        *(["--embed", 8] if model not in ("bag", "transformer") else []),
    )
    lines = [line.split("\t")[1] for line in (spoken / "test.tsv").read_text().splitlines()[1:30]] + [
        "",
        "a",
        "the " * 80,
    ]

    def told(texts_in: list[str], *options: object) -> list[float]:
        out = done(
            seqtool, "predict", run, "-", "--json", *options, stdin="".join(f"{line}\n" for line in texts_in).encode()
        )
        rows = [json.loads(line) for line in out.splitlines()]
        assert len(rows) == len(texts_in)
        return [row["probabilities"][0] if row["labels"][0] == "pos" else 1 - row["probabilities"][0] for row in rows]

    together = told(lines)
    assert told(lines, "--batch-size", 1) == pytest.approx(together, abs=1e-6)
    assert told(lines[::-1], "--batch-size", 7)[::-1] == pytest.approx(together, abs=1e-6)
    assert told(lines[3:4]) == pytest.approx(together[3:4], abs=1e-6)


def test_a_perceptron_learns_who_passes(seqtool: Command, tmp_path: Path):
    train, test = pupils(tmp_path / "a.csv"), pupils(tmp_path / "b.csv", seed=1)
    run = tmp_path / "run"
    told = seqtool(
        "train",
        train,
        "--target",
        "pass",
        "--ignore",
        "mark",
        "--model",
        "ffn",
        "--layers",
        1,
        "-o",
        run,
        "--steps",
        400,
    )
    assert told.returncode == 0
    assert b"pass is told from hours, shoes as numbers; school as categories" in told.stderr
    assert report(seqtool, "info", run)["parameters"] == 2 + 2 + 1  # two numbers, a one-hot of two schools, a bias
    found = report(seqtool, "eval", run, test)
    assert found["accuracy"] > 0.9 > found["baseline_accuracy"]


def test_a_column_that_alone_tells_the_target_is_warned_of(seqtool: Command, tmp_path: Path):
    path = tmp_path / "leak.csv"
    path.write_text(
        "a,code,y\n" + "".join(f"{row * 7 % 13},{'XY'[row % 2]},{'no' if row % 2 else 'yes'}\n" for row in range(60))
    )
    told = seqtool("train", path, "--target", "y", "-o", tmp_path / "run", "--steps", 5)
    assert b"warning: column code alone tells the target" in told.stderr


@pytest.mark.slow
def test_several_labels_a_line_are_told_together(seqtool: Command, tmp_path: Path):
    path = tmp_path / "topics.txt"
    lines = []
    for row in range(240):
        labels = [name for place, name in enumerate(("sea", "sun")) if row >> place & 1]
        words = [*labels, "day", "we", str(row % 7)]
        lines.append(" ".join([*(f"__label__{label}" for label in labels), *words]))
    path.write_text("\n".join(line for line in lines if line.startswith("__")) + "\n")
    run = tmp_path / "run"
    done(seqtool, "train", path, "-o", run, "--steps", 600, "-q")
    assert json.loads((run / "config.json").read_text())["task"]["several"]
    rows = done(seqtool, "predict", run, "-", stdin=b"sea day we\nsea sun day we\nsun day we 3\n").decode().splitlines()
    assert [set(row.split("\t")[::2]) for row in rows] == [{"sea"}, {"sea", "sun"}, {"sun"}]
    found = report(seqtool, "eval", run, path)
    assert found["micro_f1"] > 0.95 > found["baseline_micro_f1"]


def test_labels_never_seen_in_training_count_as_errors_and_are_named(seqtool: Command, spoken: Path, tmp_path: Path):
    path = tmp_path / "new.tsv"
    path.write_text("label\ttext\npos\tfine song\nodd\tgrim film\n")
    found = report(seqtool, "eval", spoken / "run", path)
    assert found["unseen_labels"] == ["odd"]
    assert found["accuracy"] == 0.5


@pytest.mark.slow
def test_classes_weigh_the_same_when_balanced_and_probabilities_stay_true(seqtool: Command, tmp_path: Path):
    drawn = np.random.default_rng(0)
    hours = drawn.uniform(0, 1, 3000)
    is_so = drawn.uniform(size=3000) < 0.02 + 0.2 * hours
    path = tmp_path / "rare.csv"
    path.write_text("x,y\n" + "".join(f"{x:.4f},{'yes' if so else 'no'}\n" for x, so in zip(hours, is_so, strict=True)))
    means, told = {}, {}
    for weight in ("none", "balanced"):
        run = tmp_path / weight
        done(
            seqtool,
            "train",
            path,
            "--target",
            "y",
            "--model",
            "ffn",
            "--layers",
            1,
            "--class-weight",
            weight,
            "-o",
            run,
            "--steps",
            800,
            "-q",
        )
        rows = [json.loads(line) for line in done(seqtool, "predict", run, path, "--json").splitlines()]
        told[weight] = sum(row["labels"][0] == "yes" for row in rows)
        means[weight] = np.mean(
            [row["probabilities"][0] if row["labels"][0] == "yes" else 1 - row["probabilities"][0] for row in rows]
        )
    assert told["none"] == 0 < told["balanced"]
    assert means["balanced"] == pytest.approx(is_so.mean(), abs=0.05)
    assert means["none"] == pytest.approx(is_so.mean(), abs=0.03)


def test_killed_and_resumed_is_as_if_it_had_not_stopped(seqtool: Command, spoken: Path, tmp_path: Path):
    train = ["train", spoken / "train.tsv", "--target", "label", "--model", "lstm", "--hidden", 12, "--embed", 8]
    train += ["--dropout", 0.2, "--steps", 60, "-q"]
    done(seqtool, *train, "-o", tmp_path / "parts", "--checkpoint-every", 20, "--eval-every", 30)
    often = ["--checkpoint-every", 1, "--eval-every", 3]
    waits = [(f"{tmp_path}/killed/checkpoint/state.safetensors", 0.05)]
    assert seqtool(*train, "-o", tmp_path / "killed", *often, kill=(9, waits)).returncode == -9
    done(seqtool, *train, "-o", tmp_path / "killed", "--resume")
    one, other = (
        json.loads((tmp_path / name / "metrics.jsonl").read_text().splitlines()[-1]) for name in ("parts", "killed")
    )
    assert one["valid_loss"] == other["valid_loss"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "lable"], "did you mean label?"),
        (["--target", "label", "--positive", "up"], "--positive up: the target's values are neg, pos"),
        (["--target", "label", "--bptt", 8], "--bptt: that is for language models"),
        (["--target", "label", "--model", "bag", "--heads", 2], "--heads is for --model transformer"),
        (["--text", "label"], "--text: a language model reads plain text"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    seqtool: Command, spoken: Path, tmp_path: Path, arguments: list[object], message: str
):
    result = seqtool("train", spoken / "train.tsv", *arguments, "-o", tmp_path / "run")
    assert message in error_of(result, 2)


def test_broken_rows_have_empty_answers_when_replaced(seqtool: Command, tmp_path: Path):
    run, bad = tmp_path / "run", tmp_path / "bad.csv"
    done(
        seqtool,
        "train",
        pupils(tmp_path / "a.csv"),
        "--target",
        "pass",
        "--ignore",
        "mark",
        "-o",
        run,
        "--steps",
        20,
        "-q",
    )
    bad.write_text("hours,school,shoes\n1,north,40\nmany,south,41\n2,north\n3,elsewhere,\n")
    result = seqtool("predict", run, bad)
    assert result.returncode == 3
    assert result.stdout.count(b"\n") == 1  # the answer to the row before it
    assert f"line 3 of {bad} has 'many' in column hours, which is no number" in result.stderr.decode()
    replaced = seqtool("predict", run, bad, "--errors", "replace")
    rows = replaced.stdout.decode().splitlines()
    assert [bool(row) for row in rows] == [True, False, False, True]
    assert b"2 rows have no answer" in replaced.stderr
    bad.write_text("hours,shoes\n1,40\n")
    assert "lacks the column school" in error_of(seqtool("predict", run, bad), 3)


def test_objective_and_losses_are_torchs():
    drawn = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(50, 3, generator=drawn), torch.randint(3, (50,), generator=drawn)
    classes = Classes(("a", "b", "c"), False, (1, 1, 1), 3)
    expected = torch.nn.functional.cross_entropy(outputs, targets, reduction="sum")
    assert torch.allclose(classes.objective(outputs, targets, None, TrainConfig()), expected)
    binary = Classes(("a", "b"), False, (1, 1), 2)
    expected = torch.nn.functional.binary_cross_entropy(outputs[:, 0].sigmoid(), (targets > 0).float(), reduction="sum")
    assert torch.allclose(binary.losses(outputs[:, :1], (targets > 0).long()).sum(), expected)


def test_the_fitted_temperature_and_threshold_are_used():
    classes = Classes(("a", "b"), False, (1, 1), 2, by_f1=True)
    drawn = np.random.default_rng(0)
    true = drawn.uniform(size=4000) < 0.2
    logits = torch.tensor(3 * (np.where(true, 0.0, -2.0) + drawn.normal(size=4000)), dtype=torch.float32)[:, None]
    targets = torch.tensor(true.astype(np.int64))
    fitted = classes.fit(logits, targets)
    plain = torch.zeros(2)
    assert metrics.log_loss(true, classes.probabilities(logits, fitted)[:, 1]) < metrics.log_loss(
        true, classes.probabilities(logits, plain)[:, 1]
    )
    scores = [metrics.f1_score(true, classes.chosen(logits, one).numpy()) for one in (fitted, plain)]
    assert scores[0] > scores[1]
    assert classes.score(logits, targets, fitted, "f1") == pytest.approx(scores[0])


def test_a_pipe_can_be_learned_from(seqtool: Command, spoken: Path, tmp_path: Path):
    table = (spoken / "train.tsv").read_bytes()
    done(seqtool, "train", "-", "--target", "label", "-o", tmp_path / "run", "--steps", 5, "-q", stdin=table)
    result = seqtool("train", "-", "--target", "label", "--valid", "-", "-o", tmp_path / "r", stdin=table)
    assert "DATA and --valid are both standard input" in error_of(result, 2)


def test_a_value_that_training_has_not_counts_as_the_mean_of_all(seqtool: Command, tmp_path: Path):
    run, asked = tmp_path / "run", tmp_path / "asked.csv"
    done(
        seqtool,
        "train",
        pupils(tmp_path / "a.csv"),
        "--target",
        "mark",
        "--ignore",
        "pass",
        "--model",
        "ffn",
        "--layers",
        1,
        "-o",
        run,
        "--steps",
        300,
        "-q",
    )
    asked.write_text("hours,school,shoes\n" + "".join(f"9,{school},40\n" for school in ("north", "south", "east", "")))
    north, south, east, none = map(float, done(seqtool, "predict", run, asked).split())
    assert north - south == pytest.approx(4, abs=0.7)
    assert east == none == pytest.approx((north + south) / 2, abs=1e-4)


def test_balanced_classes_are_validated_as_they_are(seqtool: Command, tmp_path: Path):
    """The loss by which the best weights are chosen is that of the probabilities that are told, but for the temperature."""
    path, run = tmp_path / "rare.tsv", tmp_path / "run"
    lines = texts(path, rows=400).read_text().splitlines()
    path.write_text("\n".join(line for n, line in enumerate(lines) if n == 0 or line[0] == "n" or n % 5 == 0) + "\n")
    done(
        seqtool,
        "train",
        path,
        "--target",
        "label",
        "--valid",
        path,
        "--class-weight",
        "balanced",
        "--model",
        "lstm",
        "--hidden",
        8,
        "--embed",
        8,
        "-o",
        run,
        "--steps",
        30,
        "--early-stop",
        0,
        "-q",
    )
    best = min(
        line["valid_loss"]
        for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        if "valid_loss" in line
    )
    assert report(seqtool, "eval", run, path)["log_loss"] == pytest.approx(best, rel=0.1)


def test_a_table_without_a_header_is_asked_without_its_target(seqtool: Command, tmp_path: Path):
    path, run = pupils(tmp_path / "a.csv"), tmp_path / "run"
    path.write_text(path.read_text().partition("\n")[2])
    done(seqtool, "train", path, "--target", "5", "--ignore", "4", "-o", run, "--steps", 20, "-q")
    without = done(seqtool, "predict", run, "-", stdin=b"3.5,north,40,9\n")
    assert without == done(seqtool, "predict", run, "-", stdin=b"3.5,north,40,9,no\n")


def test_a_table_that_lacks_the_text_is_no_text(seqtool: Command, spoken: Path):
    result = seqtool("predict", spoken / "run", "-", stdin=b"id\tlabel\n1\tpos\n")
    assert "lacks the column text" in error_of(result, 3)
    rows = done(seqtool, "predict", spoken / "run", "-", stdin=b'{"text": "fine"}\n{"text": "grim"}\n')
    assert [row.split("\t")[0] for row in rows.decode().splitlines()] == ["pos", "neg"]


@pytest.mark.parametrize(
    "edit",
    [
        {"target": 5}, {"target": []}, {"target": [["a"]]}, {"max_length": "x"}, {"max_length": 1 << 40}, {"labels": ["a"]},
        {"several": True}, {"counts": [1, 10**400]}, {"columns": {"text": [], "numeric": [], "categorical": []}},
    ],
)  # fmt: skip
def test_an_edited_run_is_refused_in_a_sentence(
    seqtool: Command, spoken: Path, tmp_path: Path, edit: dict[str, object]
):
    """By its hash, and by what it says where whoever means harm has made the hash anew."""
    from seqtool.files.tensors import open_tensors, write_tensors
    from seqtool.runs.config import read_config

    run = tmp_path / "run"
    shutil.copytree(spoken / "run", run)
    content = json.loads((run / "config.json").read_text())
    content["task"] |= edit
    (run / "config.json").write_text(json.dumps(content))
    for asked in (
        ["predict", run, "-"],
        ["eval", run, spoken / "test.tsv"],
        ["train", spoken / "train.tsv", "-o", run, "--resume", "-q"],
    ):
        error_of(seqtool(*asked, stdin=b"a"), 3)
    with open_tensors(run / "model.safetensors") as weights:
        tensors, metadata = weights.tensors(), weights.metadata
    forged = {**metadata, "model_sha256": read_config(run).model_sha256}
    write_tensors(
        run / "model.safetensors",
        tensors,
        {
            name: value
            for name, value in forged.items()
            if "sha256" not in name or name in ("model_sha256", "vocabulary_sha256")
        },
    )
    error_of(seqtool("predict", run, "-", stdin=b"a"), 3)
