"""Whether one state of the source is slower than another: the real commands of both in turn, in one run.

    python tests/benchmarks/two_trees.py BEFORE AFTER TEXT [--rounds 7] [--row encode]

BEFORE and AFTER are working trees of this project (`git worktree add`) whose parts in C are built; TEXT is what is learned from.
Each round runs every row once in each tree, and the first of a pair changes from round to round. A rate of training is of
`metrics.jsonl`, between its second line and its last; other rows are the whole command. Given are medians, the median of the
pairs' ratios, the ratio of the best (what an idle machine would show), and where the middle half of the pairs lies.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from machine import machine

TRAINED = {"lstm": 150, "gru": 120, "rnn": 200, "ffn": 200, "transformer": 40}  # steps
SHAPE = ["--vocab-type", "char", "--hidden", "192", "--compile", "off"]
SELDOM = ["--eval-every", "1000000", "--checkpoint-every", "1000000"]


def seqtool(tree: Path, *words: object) -> tuple[float, str]:
    """Seconds and stdout of a command of a tree."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "seqtool", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{tree}: {' '.join(map(str, words))}: {done.stderr[-500:]}")
    return time.perf_counter() - began, done.stdout


def training(model: str, steps: int) -> Callable[[Path], float]:
    """Tokens a second of training."""

    def rate(tree: Path) -> float:
        seqtool(
            tree, "train", "text", "--model", model, "--steps", steps, *SHAPE, *SELDOM, "-o", "run", "-q", "--force"
        )
        lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
        first, last = (line for line in (lines[1], [each for each in lines if "loss" in each][-1]))
        return (last["tokens"] - first["tokens"]) / (last["elapsed_s"] - first["elapsed_s"])

    return rate


def evaluation(model: str) -> Callable[[Path], float]:
    """Tokens a second of `eval`, by its own account."""
    return lambda tree: json.loads(seqtool(tree, "eval", model, "short", "--json", "-q")[1])["tokens_per_s"]


def command(*words: object) -> Callable[[Path], float]:
    """Runs of a whole command in a second."""
    return lambda tree: 1 / seqtool(tree, *words)[0]


ROWS: dict[str, Callable[[Path], float]] = {
    **{f"train {model}": training(model, steps) for model, steps in TRAINED.items()},
    **{f"eval {model}": evaluation(model) for model in ("lstm", "transformer")},
    **{
        f"generate {model}": command("generate", model, "--max-tokens", 1000, "--seed", 1, "--prompt", "a", "-q")
        for model in ("lstm", "transformer")
    },
    "encode": command("encode", "text", "--vocab", "bpe.model"),
    **{
        f"embed {method}": command("embed", "train", "text", "--method", method, "-o", "vectors", "--force", "-q")
        for method in ("skipgram", "cbow", "glove", "svd")
    },
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs=2, type=lambda text: Path(text).resolve())
    parser.add_argument("text", type=Path)
    parser.add_argument("--rounds", type=int, default=7, help="at least 2")
    parser.add_argument("--row", action="append", choices=list(ROWS), help="this row only; may be repeated")
    asked = parser.parse_args()
    before, after = asked.trees
    source = asked.text.read_text()
    with tempfile.TemporaryDirectory() as made:
        os.chdir(made)
        Path("text").write_text(source)
        Path("short").write_text(source[:300_000])
        for model in ("lstm", "transformer"):
            seqtool(before, "train", "text", "--model", model, "--steps", 30, *SHAPE, *SELDOM, "-o", model, "-q")
        seqtool(before, "vocab", "text", "--size", "2000", "-o", "bpe.model", "-q")
        print(f"{machine()}; {asked.rounds} rounds")
        print("| row | before | after | median of pairs | middle half | best of each |\n|---|---|---|---|---|---|")
        for name in asked.row or ROWS:
            found: dict[Path, list[float]] = {before: [], after: []}
            for turn in range(asked.rounds):
                for tree in (before, after) if turn % 2 == 0 else (after, before):
                    found[tree].append(ROWS[name](tree))
            ratios = [new / old for old, new in zip(found[before], found[after], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
            told = [f"{statistics.median(found[tree]):,.4g}" for tree in (before, after)]
            best = max(found[after]) / max(found[before])
            print(
                f"| {name} | {told[0]} | {told[1]} | {middle:.3f} | {low:.3f} to {high:.3f} | {best:.3f} |", flush=True
            )


if __name__ == "__main__":
    main()
