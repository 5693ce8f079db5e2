"""Translation: BLEU of each way to look at the source, by the length of the source, and sentences a second.

    python tests/benchmarks/translation.py SOURCE TARGET --valid SOURCE,TARGET [--judge SOURCE,TARGET] [--length "--time 10m"]
        [--try "--model lstm --attention none" ...] [--beam 1,5] [-o FOLDER]

Each trial is one training by the real command with its defaults and the flags of --try (by default the three attentions
of an lstm and a transformer), as long as --length says. It is judged on --judge, by default the validation files: choose by
these, and judge on a test set once. The first table has the BLEU of sacrebleu (detokenised, cased), chrF and the nats
of each; the second the BLEU of the sentences whose source has so many words; the third how many sentences a second `predict`
writes, of whole processes with and without most of the work, so that starting does not count.

A run that is in FOLDER already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from seqtool.scoring.metrics.texts import bleu

SEQTOOL = [sys.executable, "-m", "seqtool"]
TRIALS = ("--model lstm --attention none", "--model lstm --attention bahdanau", "--model lstm", "--model transformer")
LENGTHS = ((1, 8), (9, 11), (12, 14), (15, 18), (19, 1000))  # words of the source
SHARE = 8  # of the sentences that are written to know what starting takes


def lines(path: str) -> list[str]:
    """The lines of a file."""
    return Path(path).read_text(encoding="utf-8").split("\n")[:-1]


def told(run: Path, source: str, beam: int) -> list[str]:
    """What a run writes for a file."""
    command = [*SEQTOOL, "predict", str(run), source, "--beam", str(beam)]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.split("\n")[:-1]


def sentences_per_s(run: Path, source: str, beam: int, folder: Path) -> float:
    """How many sentences `predict` writes in a second."""
    every = lines(source)
    taken = []
    for count in (len(every) // SHARE, len(every)):
        (part := folder / "part").write_text("".join(line + "\n" for line in every[:count]), encoding="utf-8")
        began = time.perf_counter()
        told(run, str(part), beam)
        taken.append(time.perf_counter() - began)
    return (len(every) - len(every) // SHARE) / (taken[1] - taken[0])


def trained(options: argparse.Namespace, flags: str, run: Path) -> dict[str, Any]:
    """Train, and what the training reports."""
    report = run.with_suffix(".json")
    if not report.exists():
        command = [
            *SEQTOOL,
            "train",
            options.source,
            "--target",
            options.target,
            "--valid",
            options.valid,
            "-o",
            str(run),
        ]
        command += [*shlex.split(flags), *shlex.split(options.length), "--json", "-q"]
        report.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return dict(json.loads(report.read_bytes()))


def table(heading: list[str], rows: list[list[str]]) -> None:
    """Print a table."""
    print("\n" + " | ".join(heading))
    print("|".join("---" for _ in heading))
    for row in rows:
        print(" | ".join(row))


def main() -> None:
    """Train, judge, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--valid", required=True)
    parser.add_argument("--judge")
    parser.add_argument("--length", default="--time 10m")
    parser.add_argument("--try", action="append", dest="trials")
    parser.add_argument("--beam", default="1,5")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    folder = options.output or Path(tempfile.mkdtemp(prefix="translation-"))
    folder.mkdir(exist_ok=True)
    source, target = (options.judge or options.valid).split(",")
    asked, right = lines(source), lines(target)
    beams = [int(beam) for beam in options.beam.split(",")]
    quality, by_length, speed = [], [], []
    for number, flags in enumerate(options.trials or TRIALS):
        run = folder / f"run-{number}-{flags.replace('--', '').replace(' ', '-')}"
        training = trained(options, flags, run)
        for beam in beams:
            command = [*SEQTOOL, "eval", str(run), source, "--target", target, "--beam", str(beam), "--json"]
            report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            figures = [f"{report[name]:.2f}" for name in ("bleu", "chrf", "perplexity_per_token")]
            quality.append(
                [flags, str(beam), *figures, f"{training['tokens'] / 1e6:.2f}", f"{training['seconds']:.0f}"]
            )
        written = told(run, source, beams[0])
        row = [flags]
        for least, most in LENGTHS:
            chosen = [place for place, line in enumerate(asked) if least <= len(line.split()) <= most]
            row.append(f"{bleu([written[n] for n in chosen], [[right[n]] for n in chosen]):.1f}" if chosen else "")
        by_length.append(row)
        speed.append([flags, *(f"{sentences_per_s(run, source, beam, folder):.0f}" for beam in beams)])
    counts = [sum(least <= len(line.split()) <= most for line in asked) for least, most in LENGTHS]
    table(["trial", "beam", "BLEU", "chrF", "perplexity", "million tokens", "seconds"], quality)
    names = [f"{least} to {most} words ({count})" for (least, most), count in zip(LENGTHS, counts, strict=True)]
    table([f"BLEU by length, beam {beams[0]}", *names], by_length)
    table(["sentences a second", *(f"beam {beam}" for beam in beams)], speed)


if __name__ == "__main__":
    main()
