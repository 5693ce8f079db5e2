"""What a training loses when it is not alone on the machine: beside a second one, and beside a core that is busy.

    python tests/benchmarks/two_at_once.py
    python tests/benchmarks/two_at_once.py --case lstm-small --environment 'OMP_WAIT_POLICY=active' --environment ''

Each figure is a rate in tokens a second, taken from the real command's metrics while the others run, and, beside company, as a share
of the median rate alone: with two trainings on two cores a half is fair. An environment, NAME=VALUE words, is what the commands get
besides; several are measured in turn within each round, so that a noisy machine is as noisy for each.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from machine import ROOT, machine, spread

CASES = {
    "lstm-small": ["--model", "lstm", "--hidden", "64"],
    "lstm": ["--model", "lstm", "--hidden", "256"],
    "transformer-small": ["--model", "transformer", "--hidden", "64", "--layers", "2", "--context", "64"],
    "transformer": ["--model", "transformer", "--hidden", "192", "--layers", "4", "--context", "128"],
}
ENDLESS = ["--steps", "1000000000", "--eval-every", "1000000000", "--compile", "off", "--vocab-type", "char", "-q"]
BUSY = [sys.executable, "-c", "while True: pass"]
STARTING_S = 60.0
LINES = "abcdefghijklmnopqrstuvwxyz \n"


@contextmanager
def running(commands: list[list[str]], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Have these run while the block does."""
    processes = [
        subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), **environment})
        for command in commands
    ]
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def records(folder: Path, name: str) -> list[dict[str, float]]:
    """The metrics that a training has written so far."""
    found = list(folder.glob(f".{name}.*/metrics.jsonl"))
    return (
        [json.loads(line) for line in found[0].read_text().splitlines(keepends=True) if line[-1] == "\n"]
        if found
        else []
    )


def rates(case: str, company: str, seconds: float, environment: dict[str, str]) -> list[float]:
    """Tokens a second of each training of a case, for so many seconds: `alone`, `two` of them, or beside a `busy` core."""
    names = ["first", "second"] if company == "two" else ["first"]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "text").write_text("".join(LINES[i * i * 7919 % 28] for i in range(300_000)))
        trainings = [
            [sys.executable, "-m", "seqtool", "train", "text", "-o", name, *CASES[case], *ENDLESS] for name in names
        ]
        with running([*trainings, *([BUSY] if company == "busy" else [])], folder, environment):
            began = time.monotonic()
            while not all(len(records(folder, name)) > 1 for name in names):
                if time.monotonic() - began > STARTING_S:
                    sys.exit(f"{case}: no training in {STARTING_S:g} s")
                time.sleep(0.05)
            passed = {name: len(records(folder, name)) for name in names}
            while time.monotonic() - began < 10 * STARTING_S:
                time.sleep(seconds)
                counted = [records(folder, name)[passed[name] - 1 :] for name in names]
                if all(len(each) > 2 for each in counted):
                    break
    return [
        (each[-1]["tokens"] - each[0]["tokens"]) / (each[-1]["elapsed_s"] - each[0]["elapsed_s"]) for each in counted
    ]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=CASES, help="One of the cases; may be repeated. [all]")
    parser.add_argument("--environment", action="append", metavar="NAME=VALUE...", help="May be repeated. [none]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    environments = options.environment or [""]
    print(f"{machine()}; {options.rounds} rounds of {options.seconds:g} s\n")
    print(
        "| case | environment | alone, tokens/s | two at once, of it | beside a busy core, of it |\n|---|---|---|---|---|"
    )
    for case in options.case or CASES:
        found: dict[tuple[str, str], list[float]] = {}
        for _ in range(options.rounds):
            for company in ("alone", "two", "busy"):
                for environment in environments:
                    given = dict(word.split("=", 1) for word in environment.split())
                    found.setdefault((environment, company), []).extend(rates(case, company, options.seconds, given))
        for environment in environments:
            alone = found[environment, "alone"]
            shares = [
                [rate / statistics.median(alone) for rate in found[environment, name]] for name in ("two", "busy")
            ]
            print(
                f"| {case} | {environment} | {spread(alone, ',.0f')} | {' | '.join(spread(each, '.0%') for each in shares)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
