"""How well and how fast texts and tables are told into classes where nothing is set, beside scikit-learn and a bag like fastText's.

    python tests/benchmarks/classification.py ../shared/data
    python tests/benchmarks/classification.py ../shared/data student --seeds 1

The real commands run: `train`, `eval` and `predict`, each setting at its default. What eval says is held to scikit-learn's
metrics of what predict wrote, and the program ends where they differ. Accuracies are medians over seeds, with the least and the
most; seconds are of whole commands, start-up included, beside those of the processor.

sst2      sentences of film reviews, the file's own split; the peers' settings are chosen on dev as well. scikit-learn: tf-idf of
          words and pairs, logistic regression. The bag: Joulin et al. 2016, a sentence at a time as fastText learns. A classifier
          that begins with a language model of the same sentences is beside the one that does not; both trainings are timed.
student   pass or fail without the earlier grades, 10-fold cross-validation with the folds that the number 0 draws. scikit-learn:
          one-hot and standardised columns, logistic regression.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import math
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from machine import machine, run, spread

Labels = npt.NDArray[np.int64]
SEQTOOL = [sys.executable, "-m", "seqtool"]
FOLDS = 10
LANGUAGE_TIME = "2m"  # in which a language model learns from the same sentences
PASS_FROM = 10  # of 20, the grade G3


class Result(NamedTuple):
    """What one training came to."""

    accuracy: float
    log_loss: float
    wall_s: float
    cpu_s: float


def children_s() -> float:
    """Seconds of the processor that ended children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# seqtool, by its commands.


def ours(
    train: Path, test: Path, target: str, flags: Sequence[str], yes: str, language: Sequence[str | Path] = ()
) -> Result:
    """Train by the real command with default settings, and judge what eval and predict say of the test examples.

    With the arguments of `language` a language model is trained first, and begun with; its time counts.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, wall_s = children_s(), 0.0
        if language:
            wall_s = run([*SEQTOOL, "train", *language, "-q", "-o", f"{folder}/lm"]).wall_s
            flags = [*flags, "--from", f"{folder}/lm"]
        trained = run([*SEQTOOL, "train", train, "--target", target, *flags, "-q", "-o", f"{folder}/run"])
        cpu_s = children_s() - before
        report = json.loads(run([*SEQTOOL, "eval", f"{folder}/run", test, "--json", "-q"]).last)
        told = [
            line.split("\t") for _, line in run([*SEQTOOL, "predict", f"{folder}/run", test, "-k", "2", "-q"]).lines
        ]
    predicted = np.array([int(row[0] == yes) for row in told])
    p_yes = np.array([float(row[1 if row[0] == yes else 3]) for row in told])
    check(report, labels_of(test, target, yes), predicted, p_yes)
    return Result(report["accuracy"], report["log_loss"], wall_s + trained.wall_s, cpu_s)


def check(report: dict[str, Any], truth: Labels, predicted: Labels, p_yes: npt.NDArray[np.float64]) -> None:
    """End where eval's figures are not scikit-learn's of the predictions; these are written to six places."""
    from sklearn import metrics

    expected = {
        "accuracy": (metrics.accuracy_score(truth, predicted), 1e-12),
        "macro_f1": (metrics.f1_score(truth, predicted, average="macro"), 1e-12),
        "log_loss": (metrics.log_loss(truth, np.clip(p_yes, 1e-15, 1 - 1e-15), labels=[0, 1]), 1e-4),
        "roc_auc": (metrics.roc_auc_score(truth, p_yes), 1e-4),
    }
    for name, (value, within) in expected.items():
        if not math.isclose(report[name], value, abs_tol=within):
            sys.exit(f"eval says {name} {report[name]!r}, scikit-learn {value!r} of the same predictions")


def read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """The names of a table's columns and its rows, as this program wrote them."""
    with open(path, encoding="utf-8", newline="") as stream:
        if path.suffix == ".tsv":
            rows = [line.rstrip("\n").split("\t") for line in stream]
        else:
            rows = list(csv.reader(stream))
    return rows[0], rows[1:]


def labels_of(path: Path, target: str, yes: str) -> Labels:
    """1 for each row whose target is `yes`."""
    names, rows = read_rows(path)
    return np.array([int(row[names.index(target)] == yes) for row in rows])


# Texts.


def write_sst2(source: Path, folder: Path) -> dict[str, Path]:
    """The sentences as tab-separated tables with a header, by the name of each part."""
    made = {}
    for part in ("train", "dev", "test"):
        lines = (source / f"{part}.txt").read_text(encoding="utf-8").splitlines()
        made[part] = folder / f"{part}.tsv"
        made[part].write_text("label\ttext\n" + "".join(f"{line[0]}\t{line[2:]}\n" for line in lines), encoding="utf-8")
    return made


def texts_of(path: Path) -> list[str]:
    """The sentences of a part."""
    return [row[1] for row in read_rows(path)[1]]


def nats(truth: Labels, p_yes: npt.NDArray[np.float64]) -> float:
    """The mean of -log p of what is so."""
    return float(-np.log(np.clip(np.where(truth == 1, p_yes, 1 - p_yes), 1e-15, 1)).mean())


def timed(fit: Callable[[], npt.NDArray[np.float64]], truth: Labels) -> Result:
    """What a peer's probabilities on the test examples come to."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    p_yes = fit()
    spent = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return Result(float(((p_yes > 0.5) == (truth == 1)).mean()), nats(truth, p_yes), *spent)


def tfidf_regression(texts: list[str], truth: Labels, others: list[str], C: float) -> npt.NDArray[np.float64]:
    """scikit-learn's tf-idf of words and pairs of words, and its logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=C, max_iter=1000))
    return np.asarray(model.fit(texts, truth).predict_proba(others)[:, 1])


def fasttext_bag(
    texts: list[str], truth: Labels, others: list[str], rate: float, seed: int, epochs: int = 10, width: int = 20
) -> npt.NDArray[np.float64]:
    """A bag of words and pairs: the mean of their vectors, a linear layer, and SGD a sentence at a time.

    Joulin et al. 2016: vectors uniform in 1 / width, outputs from 0, a rate that falls linearly to 0.
    """
    number: dict[tuple[str, ...], int] = {}

    def rows_of(text: str, grow: bool) -> Labels:
        words = text.split()
        found = [(word,) for word in words] + list(itertools.pairwise(words))
        if grow:
            return np.array([number.setdefault(gram, len(number)) for gram in found])
        return np.array([number[gram] for gram in found if gram in number], np.int64)

    bags, asked = [rows_of(text, True) for text in texts], [rows_of(text, False) for text in others]
    draw = np.random.default_rng(seed)
    table, output = draw.uniform(-1 / width, 1 / width, (len(number), width)), np.zeros(width)
    for step in range(epochs * len(bags)):
        if step % len(bags) == 0:
            order = draw.permutation(len(bags))
        place = order[step % len(bags)]
        rows, lr = bags[place], rate * (1 - step / (epochs * len(bags)))
        mean = table[rows].mean(0)
        error = truth[place] - 1 / (1 + math.exp(-float(mean @ output)))
        gradient = lr * error * output
        output = output + lr * error * mean
        np.add.at(table, rows, gradient)  # to each row all of it, as fastText does
    logits = np.array([table[rows].mean(0) @ output if len(rows) else 0.0 for rows in asked])
    return 1 / (1 + np.exp(-logits))


def sst2(data: Path, seeds: int, folder: Path) -> None:
    """Sentences of film reviews."""
    parts = write_sst2(data / "sst2", folder)
    train, dev, test = (texts_of(parts[name]) for name in ("train", "dev", "test"))
    truth, of_dev, of_test = (labels_of(parts[name], "label", "1") for name in ("train", "dev", "test"))

    def best(values: Sequence[float], fit: Callable[[float], npt.NDArray[np.float64]]) -> float:
        return min(values, key=lambda value: nats(of_dev, fit(value)))

    C = best((0.3, 1, 3, 10), lambda C: tfidf_regression(train, truth, dev, C))
    rate = best((0.05, 0.1, 0.25, 0.5), lambda rate: fasttext_bag(train, truth, dev, rate, 0))
    flags = ["--valid", str(parts["dev"])]
    plain = [folder / "train.txt", folder / "dev.txt"]
    for file, sentences in zip(plain, (train, dev), strict=True):
        file.write_text("".join(f"{sentence}\n" for sentence in sentences), encoding="utf-8")
    language = [plain[0], "--valid", plain[1], "--document", "line", "--time", LANGUAGE_TIME]

    def ours_from(*flags_of_language: str) -> list[Result]:
        judged = parts["train"], parts["test"], "label"
        return [
            ours(*judged, [*flags, *own], "1", [*language, *flags_of_language, *own])
            for own in (["--seed", str(seed)] for seed in range(seeds))
        ]

    rows: dict[str, list[Result]] = {
        "the label that is most frequent": [timed(lambda: np.full(len(test), truth.mean()), of_test)],
        "scikit-learn, tf-idf and logistic regression": [
            timed(lambda: tfidf_regression(train, truth, test, 1.0), of_test)
        ],
        f"the same with the C that is best on dev, {C:g}": [
            timed(lambda: tfidf_regression(train, truth, test, C), of_test)
        ],
        f"a bag like fastText's, rate {rate:g}": [
            timed(lambda seed=seed: fasttext_bag(train, truth, test, rate, seed), of_test) for seed in range(seeds)
        ],
        "seqtool train": [
            ours(parts["train"], parts["test"], "label", [*flags, "--seed", str(seed)], "1") for seed in range(seeds)
        ],
        f"{LANGUAGE_TIME} of a language model, and --from that": ours_from(),
        "the same, of characters": ours_from("--vocab-type", "char"),
    }
    show(f"SST-2, {len(train):,} sentences to learn from, {len(test):,} to be judged on", rows)


# Tables.


def student(data: Path, seeds: int, folder: Path) -> None:
    """Pass or fail of pupils, by cross-validation."""
    from sklearn.model_selection import StratifiedKFold

    for subject in ("mat", "por"):
        with open(data / "student" / f"student-{subject}.csv", encoding="utf-8", newline="") as stream:
            header, *pupils = csv.reader(stream, delimiter=";")
        kept = [place for place, name in enumerate(header) if name not in ("G1", "G2", "G3")]
        names = [*(header[place] for place in kept), "pass"]
        grade = header.index("G3")
        rows = [[*(row[at] for at in kept), "yes" if int(row[grade]) >= PASS_FROM else "no"] for row in pupils]
        truth = np.array([int(row[-1] == "yes") for row in rows])
        found: dict[str, list[list[Result]]] = {}
        splits = list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(rows, truth))
        for learned, judged in splits:
            train, test = ([rows[place] for place in places] for places in (learned, judged))
            for name, results in sides_of_fold(names, train, test, seeds, folder).items():
                found.setdefault(name, []).append(results)
        sizes = [len(judged) for _, judged in splits]
        pooled = {
            name: [over_folds(column, sizes) for column in zip(*folds, strict=True)] for name, folds in found.items()
        }
        show(f"student/{subject}, {len(rows)} pupils, {FOLDS}-fold cross-validation", pooled)


def sides_of_fold(
    names: list[str], train: list[list[str]], test: list[list[str]], seeds: int, folder: Path
) -> dict[str, list[Result]]:
    """What each side comes to on one fold, for each of its seeds."""
    files = [folder / "train.csv", folder / "test.csv"]
    for file, part in zip(files, (train, test), strict=True):
        with open(file, "w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([names, *part])
    of_train, of_test = (labels_of(file, "pass", "yes") for file in files)
    flags = ["--model", "ffn", "--layers", "1"]
    return {
        "the label that is most frequent": [timed(lambda: np.full(len(test), of_train.mean()), of_test)],
        "scikit-learn, logistic regression": [timed(lambda: regression(train, test), of_test)],
        "seqtool train --model ffn --layers 1": [
            ours(*files, "pass", [*flags, "--seed", str(seed)], "yes") for seed in range(seeds)
        ],
    }


def over_folds(results: Sequence[Result], sizes: Sequence[int]) -> Result:
    """The accuracy and loss over all rows, each judged once, and the time of a training."""
    accuracy, loss = (np.average([result[place] for result in results], weights=sizes) for place in (0, 1))
    wall_s, cpu_s = (statistics.mean(result[place] for result in results) for place in (2, 3))
    return Result(float(accuracy), float(loss), wall_s, cpu_s)


def regression(train: list[list[str]], test: list[list[str]]) -> npt.NDArray[np.float64]:
    """scikit-learn's logistic regression on one-hot and standardised columns; the last column is the target."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = range(len(train[0]) - 1)
    numeric = [place for place in columns if all(row[place].lstrip("-").isdigit() for row in train)]
    others = [place for place in columns if place not in numeric]
    scaled = ColumnTransformer(
        [("numbers", StandardScaler(), numeric), ("categories", OneHotEncoder(handle_unknown="ignore"), others)]
    )
    X, Y = (np.array([row[:-1] for row in rows], object) for rows in (train, test))
    model = make_pipeline(scaled, LogisticRegression(max_iter=1000))
    return np.asarray(model.fit(X, [int(row[-1] == "yes") for row in train]).predict_proba(Y)[:, 1])


def show(title: str, rows: dict[str, list[Result]]) -> None:
    """A line for each side."""
    width = max(map(len, rows)) + 2
    print(f"\n{title}\n{'':<{width}}{'accuracy, %':>22}{'log loss':>12}{'seconds':>10}{'of the processor':>18}")
    for name, results in rows.items():
        accuracy = spread([100 * result.accuracy for result in results], ".2f")
        loss, wall_s, cpu_s = (statistics.median(result[place] for result in results) for place in (1, 2, 3))
        print(f"{name:<{width}}{accuracy:>22}{loss:>12.4f}{wall_s:>10.1f}{cpu_s:>18.1f}", flush=True)


PARTS: dict[str, Callable[[Path, int, Path], None]] = {"sst2": sst2, "student": student}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder that holds sst2/ and student/")
    parser.add_argument("parts", nargs="*", metavar="PART", help="of sst2, student; all of them if none is named")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if wrong := [name for name in options.parts if name not in PARTS]:
        parser.error(f"{', '.join(wrong)}: choose from {', '.join(PARTS)}")
    print(machine())
    for part in options.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](options.data, options.seeds, Path(folder))


if __name__ == "__main__":
    main()
