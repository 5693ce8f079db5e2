"""How much better n-grams and a net predict together than each alone, by the real commands.

    python tests/benchmarks/mixtures.py TRAIN TEST [--time 85s] [--held 30000] [--vocab-type char] [--flags '...']

The first --held characters of TRAIN are kept back (its end is what the test text goes on from): the net's best step, the order of
the n-grams and the weights of the mixture are chosen on them. TEST is scored once, by all three; then the net and the mixture with --adapt. Seconds are
of whole processes.
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

SEQTOOL = [sys.executable, "-m", "seqtool"]


def seconds_of(*words: str | Path) -> float:
    """How long a command takes, which must not fail."""
    began = time.perf_counter()
    subprocess.run([*SEQTOOL, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def scored(runs: list[Path], test: Path) -> list[dict[str, Any]]:
    """The reports of runs on a text."""
    result = subprocess.run([*SEQTOOL, "eval", *runs, "--text", test, "--json"], check=True, capture_output=True)
    return list(map(json.loads, result.stdout.splitlines()))


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--time", default="85s", help="of the net's training")
    parser.add_argument("--held", type=int, default=30_000, help="characters at the beginning of TRAIN")
    parser.add_argument("--vocab-type", default="char")
    parser.add_argument("--flags", default="", help="more flags for training the net")
    asked = parser.parse_args()
    text = asked.train.read_text()
    with tempfile.TemporaryDirectory() as name:
        train, held, net, counts, both = (Path(name, one) for one in ("train", "held", "net", "counts", "both"))
        train.write_text(text[asked.held :])
        held.write_text(text[: asked.held])
        of_net = ["--vocab-type", asked.vocab_type, "--time", asked.time, *shlex.split(asked.flags)]
        seconds = [seconds_of("train", train, "--valid", held, "-o", net, "-q", *of_net)]
        of_counts = ["--vocab", net / "vocab.model", "--model", "ngram"]
        seconds.append(seconds_of("train", train, "--valid", held, "-o", counts, "-q", *of_counts))
        seconds.append(seconds_of("mix", net, counts, "--valid", held, "-o", both, "-q"))
        print(f"{asked.train.name} to {asked.test.name}, {asked.vocab_type}: {len(text) - asked.held:,} characters")
        for report, took in zip(scored([net, counts, both], asked.test), seconds, strict=True):
            told = [f"{report[f'nats_per_{unit}']:.4f} nats/{unit}" for unit in ("token", "character")]
            print(
                f"{report['model']:<12} {took:6.1f} s  {'  '.join(told)}  {report['bits_per_byte']:.4f} bits/byte",
                flush=True,
            )
        for run in (net, both):
            began = time.perf_counter()
            result = subprocess.run(
                [*SEQTOOL, "eval", run, asked.test, "--adapt", "--json"], check=True, capture_output=True
            )
            report = json.loads(result.stdout)
            told = [
                f"{report['adapted_nats_per_token']:.4f} nats/token",
                f"{report['adapted_bits_per_byte']:.4f} bits/byte",
            ]
            print(f"{run.name} adapted, scored in {time.perf_counter() - began:.1f} s  {'  '.join(told)}", flush=True)
        print(f"weights: {json.loads((both / 'config.json').read_text())['weights']}")


if __name__ == "__main__":
    main()
