"""Which settings learn most in a time: each tried on each text by the real command, and scored over all held-out text.

    python tests/benchmarks/recipes.py --pair train.txt valid.txt --pair code.txt held.txt --time 60s --rounds 2 \\
        --try '--hidden 256' --try '--hidden 384 --lr 6e-3' -- --model lstm --vocab-type char

What follows -- is given to every training. A row for each --try, a column for each pair of texts: bits per byte, the median
over rounds (a round's number is its seed), least and most, and the tokens that were read in the time. The settings take
turns, so that a machine whose speed drifts is as unkind to one as to another. With --steps trainings are of equal length
instead. The tables in seqtool/settings/defaults.toml were made with this.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
from pathlib import Path

from machine import machine, run

SEQTOOL = [sys.executable, "-m", "seqtool"]


def tried(flags: list[str], text: str, valid: str, length: list[str], seed: int) -> tuple[float, int, float]:
    """Bits per byte over all of the held-out text, tokens read in training, and its seconds, start-up included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *SEQTOOL,
            "train",
            text,
            "--valid",
            valid,
            "-o",
            f"{folder}/run",
            "--seed",
            str(seed),
            "-q",
            "--json",
        ]
        trained = run([*command, *length, *flags])
        scored = run([*SEQTOOL, "eval", f"{folder}/run", valid, "--json", "-q"])
    return json.loads(scored.last)["bits_per_byte"], json.loads(trained.last)["tokens"], trained.wall_s


def main() -> None:
    """Try every setting on every pair of texts, in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", nargs=2, action="append", required=True, metavar=("TEXT", "VALID"))
    parser.add_argument("--try", dest="tries", action="append", required=True, metavar="'FLAGS'")
    parser.add_argument("--time", default="60s")
    parser.add_argument("--steps", help="trainings of so many steps instead")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("always", nargs="*", metavar="FLAG")
    options = parser.parse_args()
    pairs = [tuple(str(Path(name).resolve()) for name in pair) for pair in options.pair]
    length = ["--steps", options.steps] if options.steps else ["--time", options.time]
    print(machine(), "  ", " ".join([*length, *options.always]), flush=True)
    found: dict[tuple[str, int], list[tuple[float, int, float]]] = {}
    for seed in range(options.rounds):
        for number, (text, valid) in enumerate(pairs):
            for flags in options.tries:
                result = tried([*options.always, *shlex.split(flags)], text, valid, length, seed)
                found.setdefault((flags, number), []).append(result)
                print(f"  {Path(text).name}, {flags or 'defaults'}: {result}", file=sys.stderr, flush=True)
    width = max(len(flags) for flags in options.tries) + 2
    print(f"{'bits per byte':<{width}}" + "".join(f"{Path(text).name:>44}" for text, _ in pairs))
    for flags in options.tries:
        cells = []
        for number in range(len(pairs)):
            bits, tokens, seconds = zip(*found[flags, number], strict=True)
            cells.append(
                f"{statistics.median(bits):.4f} ({min(bits):.4f} to {max(bits):.4f})"
                f"{statistics.median(tokens) / 1e6:>7.2f}M {statistics.median(seconds):>4.0f} s"
            )
        print(f"{flags:<{width}}" + "".join(f"{cell:>44}" for cell in cells))


if __name__ == "__main__":
    main()
