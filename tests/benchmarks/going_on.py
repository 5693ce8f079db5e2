"""How many steps a model that is gone on with saves: one half of a text first, then the other by `train --from`.

    python tests/benchmarks/going_on.py TEXT [--steps 800] [--models lstm,transformer] [--shares 1,0.3,0.1] [--flags '…']

TEXT is cut in the middle, and a tenth of each half is held back. For each model, one is trained on the first half for
all steps, one on the second half from scratch for as many, and for each share of the learning rate of the first one
goes on with the first on the second half for a quarter of the steps. --flags are those of sizes and vocabulary. The table has the best loss on what is held back of
the second half, the step at which it reaches the best one from scratch, and the loss on the first half before and after.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import ROOT, machine

SEQTOOL = [sys.executable, "-m", "seqtool"]


def trained(run: Path, *flags: object) -> list[dict[str, Any]]:
    """The lines of metrics of one training, by the real command."""
    command = [*SEQTOOL, "train", *map(str, flags), "-o", str(run), "--early-stop", "0", "-q"]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def halves(text: Path, folder: Path) -> list[tuple[Path, Path]]:
    """The training and validation texts of both halves of a text, cut at the ends of lines."""
    lines = text.read_text(encoding="utf-8").splitlines(keepends=True)
    found = []
    for name, part in (("first", lines[: len(lines) // 2]), ("second", lines[len(lines) // 2 :])):
        cut = len(part) * 9 // 10
        paths = folder / f"{name}.txt", folder / f"{name}-held.txt"
        for path, kept in zip(paths, (part[:cut], part[cut:]), strict=True):
            path.write_text("".join(kept), encoding="utf-8")
        found.append(paths)
    return found


def main() -> None:
    """Train and print a row for each training."""
    parser = argparse.ArgumentParser(description="Going on from a trained model.")
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--models", default="lstm,transformer")
    parser.add_argument("--shares", default="1,0.3,0.1", help="shares of the learning rate of the first")
    parser.add_argument("--flags", default="", help="for the first and the one from scratch")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(machine())
    print("| model | training | steps | best loss | step that reaches scratch's best | first half before | after |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (text, held), (text_2, held_2) = halves(options.text, folder)
        for model in options.models.split(","):
            base, scratch = folder / f"{model}-base", folder / f"{model}-scratch"
            common = ["--model", model, "--seed", options.seed]
            every = ["--steps", options.steps, "--eval-every", max(1, options.steps // 40)]
            sizes = [flag for flag in shlex.split(options.flags) if "vocab" not in flag]
            trained(base, text, "--valid", held, *common, *every, *shlex.split(options.flags))
            lr = json.loads((base / "config.json").read_text(encoding="utf-8"))["training"]["lr"]
            vocab = ["--vocab", base / "vocab.model"]
            target = _row(
                model,
                "from scratch",
                trained(scratch, text_2, "--valid", held_2, *vocab, *common, *every, *sizes),
                math.inf,
            )
            quarter = ["--steps", options.steps // 4, "--eval-every", max(1, options.steps // 80)]
            for share in map(float, options.shares.split(",")):
                flags = [text_2, "--valid", held_2, "--from", base, *common, *quarter, "--lr", lr * share]
                _row(model, f"`--from`, {share:g} of its rate", trained(folder / f"{model}-{share}", *flags), target)


def _row(model: str, what: str, records: list[dict[str, Any]], target: float) -> float:
    """Print one training; its best validation loss."""
    losses = [(record["step"], record["valid_loss"]) for record in records if "valid_loss" in record]
    best_step, best = min(losses, key=lambda pair: pair[1])
    reached = next((step for step, loss in losses if loss <= target), None) if target < math.inf else best_step
    watched = {record["step"]: record["watched_loss"] for record in records if "watched_loss" in record}
    old = [f"{watched[step]:.3f}" if step in watched else "" for step in (0, best_step)]
    print(
        f"| {model} | {what} | {losses[-1][0]} | {best:.3f} | {reached or 'never'} | {old[0]} | {old[1]} |", flush=True
    )
    return best


if __name__ == "__main__":
    main()
