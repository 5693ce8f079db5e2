"""How good forecasts are on ETTh1 and on the hourly series of M4, by the real command.

    python tests/benchmarks/forecasting.py DATA                  # a folder with ett/ETTh1.csv and m4-hourly/
    python tests/benchmarks/forecasting.py DATA --seeds 0 --choose    # compares windows on validation data alone

ETTh1: all seven columns by one model, each a series of its own, horizon 96; 8,640 rows to learn from, 2,880 to
validate, 2,880 to test, all windows of stride 1 whose targets lie there, and z-scores by the statistics of the rows that
are learned from (Zhou et al. 2021). Published there: DLinear 0.375, NLinear 0.374 (Zeng et al. 2023), Informer 0.865.
M4: 414 series by one model, horizon 48, a forecast each. Its seasonal naive forecast has an OWA of 0.627.

What was chosen on validation data: `--window 504` for ETTh1, and for both the unit in which errors count in training and
the defaults' rate and length. The test rows were read once. On two busy cores, seeds 0, 1, 2: ETTh1 MSE 0.368, 0.368,
0.372; M4 OWA 0.608, 0.604, 0.607, coverage 0.860, 0.861, 0.861.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
COLUMNS = "HUFL,HULL,MUFL,MULL,LUFL,LULL,OT"
TRAIN, VALID, TEST = 8640, 2880, 2880  # rows
ETT = ("--target", COLUMNS, "--horizon", "96", "--valid", str(VALID / (TRAIN + VALID)))
CHOSEN = ("--window", "504")
GOALS = {"ETTh1": "MSE at most 0.375", "M4 hourly": "OWA under 0.627, coverage of 90% intervals 0.85 to 0.95"}


def seqtool(*words: object) -> str:
    """What the command writes."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "seqtool", *map(str, words)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, check=True, text=True
    )
    return done.stdout


def trained(run: Path, data: Path, *flags: object) -> float:
    """Train; the seconds that it took."""
    begun = time.monotonic()
    seqtool("train", data, "-o", run, "--force", "-q", *flags)
    return time.monotonic() - begun


def judged(run: Path, data: Path, *flags: object) -> dict[str, Any]:
    """The report of `eval`."""
    return dict(json.loads(seqtool("eval", run, data, "--json", *flags)))


def coverage(report: dict[str, Any]) -> float:
    """Of the intervals that are to hold 90%."""
    return next(interval["coverage"] for interval in report["intervals"] if interval["level"] == 0.9)


def first_rows(source: Path, folder: Path, rows: int) -> Path:
    """The first rows of a table."""
    path = folder / f"{rows}.csv"
    path.write_text("".join(source.read_text().splitlines(keepends=True)[: rows + 1]))
    return path


def joined(train: Path, test: Path, folder: Path) -> Path:
    """The series of two tables, a row each, those of the second behind those of the first."""
    with open(train, newline="") as first, open(test, newline="") as second:
        (header, *before), (_, *after) = csv.reader(first), csv.reader(second)
    known = [[cell for cell in row if cell not in ("", "NA")] for row in before]
    rows = [[*row, *ahead[1:]] for row, ahead in zip(known, after, strict=True)]
    assert [row[0] for row in known] == [ahead[0] for ahead in after]
    width = max(map(len, rows))
    path = folder / "joined.csv"
    with open(path, "w", newline="") as stream:
        named = [f"V{place}" for place in range(1, width + 1)]
        csv.writer(stream).writerows([named, *([*row, *[""] * (width - len(row))] for row in rows)])
    assert len(header) <= width
    return path


def show(name: str, figures: list[dict[str, float]]) -> None:
    """Each seed's figures, and their medians."""
    for figure in figures:
        print(f"{name}  " + "  ".join(f"{what} {value:.4g}" for what, value in figure.items()), flush=True)
    if len(figures) > 1:
        medians = {what: statistics.median(each[what] for each in figures) for what in figures[0] if what != "seed"}
        print(f"{name}  median  " + "  ".join(f"{what} {value:.4g}" for what, value in medians.items()), flush=True)
    print(f"{name}  goal: {GOALS[name]}", flush=True)


def measure(data: Path, folder: Path, seeds: list[int]) -> None:
    """Train and judge on the test data."""
    etth1 = data / "ett" / "ETTh1.csv"
    learned, whole = (first_rows(etth1, folder, rows) for rows in (TRAIN + VALID, TRAIN + VALID + TEST))
    figures = []
    for seed in seeds:
        seconds = trained(folder / "ett.run", learned, *ETT, *CHOSEN, "--seed", seed)
        report = judged(folder / "ett.run", whole, "--from", TRAIN + VALID)
        assert report["windows"] == 7 * (TEST - 96 + 1)
        naive = next(row for row in report["baselines"] if row["forecast"] == "seasonal_naive")
        figures.append(
            {
                "seed": seed, "MSE": report["mse_in_deviations"], "MAE": report["mae_in_deviations"],
                "seasonal naive's MSE": naive["mse_in_deviations"], "coverage": coverage(report), "seconds": seconds,
            }
        )  # fmt: skip
    show("ETTh1", figures)
    m4 = data / "m4-hourly"
    whole = joined(m4 / "Hourly-train.csv", m4 / "Hourly-test.csv", folder)
    figures = []
    for seed in seeds:
        seconds = trained(folder / "m4.run", m4 / "Hourly-train.csv", "--horizon", 48, "--seed", seed)
        report = judged(folder / "m4.run", whole)
        assert report["windows"] == 414
        naive = next(row for row in report["baselines"] if row["forecast"] == "seasonal_naive")
        figures.append(
            {
                "seed": seed, "OWA": report["owa"], "sMAPE": report["smape"], "MASE": report["mase"],
                "seasonal naive's OWA": naive["owa"], "coverage": coverage(report), "seconds": seconds,
            }
        )  # fmt: skip
    show("M4 hourly", figures)


def choose(data: Path, folder: Path, seeds: list[int]) -> None:
    """Compare windows on validation data, without a look at the test rows."""
    learned = first_rows(data / "ett" / "ETTh1.csv", folder, TRAIN + VALID)
    m4 = data / "m4-hourly" / "Hourly-train.csv"
    for seed in seeds:
        for window in (336, 504, 720):
            trained(folder / "ett.run", learned, *ETT, "--window", window, "--seed", seed)
            mse = judged(folder / "ett.run", learned, "--from", TRAIN)["mse_in_deviations"]
            print(f"ETTh1  seed {seed}  window {window}  validation MSE {mse:.4f}", flush=True)
        for window in (168, 336, 504):
            trained(folder / "m4.run", m4, "--horizon", 48, "--window", window, "--seed", seed)
            report = judged(folder / "m4.run", m4)
            told = f"OWA {report['owa']:.4f}, coverage {coverage(report):.3f}"
            print(f"M4 hourly  seed {seed}  window {window}  of the last 48 of the training steps: {told}", flush=True)


def main() -> None:
    """Measure, or choose."""
    parser = argparse.ArgumentParser(description="Forecasts of ETTh1 and M4's hourly series, by the real command.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--choose", action="store_true", help="compare windows on validation data alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (choose if options.choose else measure)(options.data, Path(folder), options.seeds)


if __name__ == "__main__":
    main()
