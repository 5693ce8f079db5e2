"""A word LSTM from scratch, started from vectors of the same text, and with these frozen: steps to the same loss.

    python tests/benchmarks/started_from_vectors.py TRAIN VALID [VECTORS] [--steps 700] [--runs 3] [--words 6000]

All are trained by the real command on TRAIN and validated on VALID every --eval-every steps. The target is the best
validation loss of the model from scratch with the same seed; the table has medians over the seeds. Without VECTORS,
`seqtool embed train` learns them on TRAIN first, and the time that takes is printed.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import ROOT, machine

SEQTOOL = [sys.executable, "-m", "seqtool"]
MODEL = ["--model", "lstm", "--hidden", "128", "--dropout", "0.2", "--vocab-type", "word", "--early-stop", "0"]


def validations(train: Path, valid: Path, flags: list[str]) -> list[tuple[int, float]]:
    """Step and loss of each validation of one training."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [*SEQTOOL, "train", str(train), "--valid", str(valid), "-o", str(run), *MODEL, *flags, "-q"]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        records = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        return [(record["step"], record["valid_loss"]) for record in records if "valid_loss" in record]


def steps_to(losses: list[tuple[int, float]], target: float) -> float:
    """The first validated step whose loss is at most the target; infinite when there is none."""
    return next((step for step, loss in losses if loss <= target), math.inf)


def learned(train: Path, dim: int, folder: Path) -> Path:
    """Vectors of the text by skip-gram."""
    path = folder / "text.vectors"
    began = time.perf_counter()
    flags = ["--method", "skipgram", "--dim", str(dim), "--min-count", "1", "-q"]
    command = [*SEQTOOL, "embed", "train", str(train), "-o", str(path), *flags]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    print(f"skip-gram on the same text: {time.perf_counter() - began:.1f} s")
    return path


def main() -> None:
    """Train and print the table."""
    parser = argparse.ArgumentParser(description="A word LSTM started from vectors.")
    parser.add_argument("train", type=Path)
    parser.add_argument("valid", type=Path)
    parser.add_argument("vectors", type=Path, nargs="?")
    parser.add_argument("--dim", type=int, default=100, help="width of the embedding, which VECTORS must have")
    parser.add_argument("--words", type=int, default=6000)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--eval-every", type=int, default=25)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    train, valid = options.train.resolve(), options.valid.resolve()
    lengths = ["--vocab-size", options.words, "--steps", options.steps, "--eval-every", options.eval_every]
    print(f"{machine()}; {options.steps} steps, medians of {options.runs} seeds")
    with tempfile.TemporaryDirectory() as folder:
        vectors = options.vectors.resolve() if options.vectors else learned(train, options.dim, Path(folder))
        started = ["--embeddings", str(vectors)]
        cases = {
            "from scratch": ["--embed", str(options.dim)],
            "started from vectors": started,
            "started and frozen": [*started, "--freeze", "embedding"],
        }
        losses = {
            (name, seed): validations(train, valid, [*flags, *map(str, lengths), "--seed", str(seed)])
            for seed in range(options.runs)
            for name, flags in cases.items()
        }
    targets = [min(loss for _, loss in losses["from scratch", seed]) for seed in range(options.runs)]
    print(f"{'':<24}{'best loss':>10}{'perplexity':>12}{'steps to the best loss from scratch':>38}")
    for name in cases:
        best = statistics.median(min(loss for _, loss in losses[name, seed]) for seed in range(options.runs))
        steps = statistics.median(steps_to(losses[name, seed], targets[seed]) for seed in range(options.runs))
        print(f"{name:<24}{best:>10.3f}{math.exp(best):>12.1f}{steps:>38.0f}", flush=True)


if __name__ == "__main__":
    main()
