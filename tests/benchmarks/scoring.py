"""Speed and memory of scoring: many lines as they come, against one at a time; whole texts by each architecture.

    python tests/benchmarks/scoring.py --text train.txt --lines 100000
    python tests/benchmarks/scoring.py --text train.txt --run novel.run --run words.run --rates-only

Without `--run`, an lstm and a transformer of the default sizes are trained for a few steps; the rates of whole texts
are of every architecture. Memory is the peak of the real command's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from machine import ROOT, machine, spread

sys.path.insert(0, str(Path(__file__).parents[2]))

from seqtool.runs.loading import Run, load_run
from seqtool.scoring.reports import text_report
from seqtool.scoring.scorer import score_documents
from seqtool.settings.scoring import EvalConfig
from seqtool.text.documents import TextSource

MODELS = ("rnn", "gru", "lstm", "ffn", "transformer")
SAMPLED_LINES, REPEATS = 1000, 3


def train(text: Path, model: str, folder: Path) -> Path:
    """A run of default sizes that has seen a few steps."""
    path = folder / model
    command = [sys.executable, "-m", "seqtool", "train", text, "--vocab-type", "char", "--model", model, "-q"]
    subprocess.run([*command, "--steps", "20", "-o", path], check=True, cwd=ROOT, stdout=-3)
    return path


def lines_of(text: Path, count: int) -> list[str]:
    """The lines of a text, over and over."""
    lines = text.read_text(encoding="utf-8").splitlines(keepends=True)
    return [lines[number % len(lines)] for number in range(count)]


def command_rows(run: Path, lines: list[str], *flags: str) -> tuple[list[dict[str, object]], float, float]:
    """The rows of the real command, its seconds less those for one line, and its peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lines"
        file.write_text("".join(lines), encoding="utf-8")
        program = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)"
        )
        command = [sys.executable, "-c", program, sys.executable, "-m", "seqtool", "eval", str(run), str(file)]
        start = time.perf_counter()
        done = subprocess.run([*command, "--per", "line", "--json", *flags], check=True, cwd=ROOT, capture_output=True)
        elapsed_s = time.perf_counter() - start
    rows = [json.loads(row) for row in done.stdout.decode().split("\n")[:-1]]
    return rows, elapsed_s, int(done.stderr.split()[-1]) / 1024


def one_at_a_time(run: Run, lines: list[str]) -> tuple[list[float], float]:
    """Nats of lines scored one by one, and the lines per second."""
    start = time.perf_counter()
    nats = [
        sum(
            float(part.nats.sum(dtype=np.float64)) for part in score_documents(run.model, [run.vocabulary.encode(line)])
        )
        for line in lines
    ]
    return nats, len(lines) / (time.perf_counter() - start)


def measure_lines(path: Path, text: Path, count: int) -> None:
    """Print what `--per line` does to many lines, and whether its rows are those of single calls."""
    run, lines = load_run(path, torch.device("cpu")), lines_of(text, count)
    _, start_s, _ = command_rows(path, lines[:1])
    quarter, _, quarter_mb = command_rows(path, lines[: count // 4])
    rows, elapsed_s, whole_mb = command_rows(path, lines)
    sample = range(0, count, max(1, count // SAMPLED_LINES))
    single, single_rate = one_at_a_time(run, [lines[number] for number in sample])
    ours = [float(str(rows[number]["nats"])) for number in sample]
    rate = count / (elapsed_s - start_s)
    in_order = [row["text"] for row in rows] == lines and len(quarter) == count // 4
    print(
        f"{path.name:<12} {count:>8,} lines {rate:>9,.0f} lines/s, one at a time {single_rate:>7,.0f} "
        f"({rate / single_rate:.1f} times)  in order: {in_order}  "
        f"sums differ by {abs(sum(ours) / sum(single) - 1):.1e}, a line by at most "
        f"{max(abs(a - b) / b for a, b in zip(ours, single, strict=True)):.1e}  "
        f"peak {quarter_mb:,.0f} MB at {count // 4:,}, {whole_mb:,.0f} MB at {count:,}",
        flush=True,
    )


def measure_carry(path: Path, text: Path) -> None:
    """Print the sum of `--carry` rows over a text and the total of its report."""
    rows, _, _ = command_rows(path, [text.read_text(encoding="utf-8")], "--carry")
    report = text_report(load_run(path, torch.device("cpu")), TextSource([str(text)]), EvalConfig())
    carried = sum(float(str(row["nats"])) for row in rows)
    print(
        f"{path.name:<12} --carry sum {carried:,.4f}, total {report['nats']:,.4f} ({carried / report['nats'] - 1:+.1e})"
    )


def measure_rate(path: Path, text: Path) -> None:
    """Print the tokens per second of a whole text, the median of REPEATS."""
    run = load_run(path, torch.device("cpu"))
    rates = [text_report(run, TextSource([str(text)]), EvalConfig())["tokens_per_s"] for _ in range(REPEATS)]
    sizes = f"{run.config.model.layers} x {run.config.model.hidden}, {run.vocabulary.size:,} symbols"
    print(
        f"{path.name:<12} {sizes:<26} {spread(rates, ',.0f')} tokens/s",
        flush=True,
    )


def runs_of(options: argparse.Namespace, models: tuple[str, ...], folder: Path) -> Iterator[Path]:
    """The runs that were named, or new ones of these architectures."""
    if options.run:
        yield from options.run
        return
    for model in models:
        path = folder / model
        yield path if path.exists() else train(options.text, model, folder)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description="Speed and memory of scoring.")
    parser.add_argument("--text", type=lambda name: Path(name).resolve(), required=True)
    parser.add_argument("--run", type=lambda name: Path(name).resolve(), action="append")
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--rates-only", action="store_true")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        for path in runs_of(options, ("lstm", "transformer"), Path(folder)) if not options.rates_only else ():
            measure_lines(path, options.text, options.lines)
            measure_carry(path, options.text)
        for path in runs_of(options, MODELS, Path(folder)):
            measure_rate(path, options.text)


if __name__ == "__main__":
    main()
