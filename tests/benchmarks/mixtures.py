"""How much better n-grams and a net predict together than each alone, by the real commands.

    python tests/benchmarks/mixtures.py TRAIN TEST [--time 85s] [--held 30000] [--vocab-type char] [--flags '...']

The first --held characters of TRAIN are kept back (its end is what the test text goes on from): the net's best step, the order of
the n-grams and the weights of the mixtures are chosen on them. TEST is scored by each, statically and with --adapt. Seconds are of whole
processes: of making each, the parts not counted in, and of scoring.
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

SEQTOOL = [sys.executable, "-m", "seqtool"]


def seconds_of(*words: str | Path) -> float:
    """How long a command takes, which must not fail."""
    began = time.perf_counter()
    subprocess.run([*SEQTOOL, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--time", default="85s", help="of the net's training")
    parser.add_argument("--held", type=int, default=30_000, help="characters at the beginning of TRAIN")
    parser.add_argument("--vocab-type", default="char")
    parser.add_argument("--flags", default="", help="more flags for training the net")
    parser.add_argument(
        "--adapt", nargs="*", default=["net", "mixture", "gated"], help="which of these to score adapted, too"
    )
    asked = parser.parse_args()
    text = asked.train.read_text()
    with tempfile.TemporaryDirectory() as name:
        train, held, net, counts, both, gated = (
            Path(name, one) for one in ("train", "held", "net", "counts", "mixture", "gated")
        )
        train.write_text(text[asked.held :])
        held.write_text(text[: asked.held])
        of_net = ["--vocab-type", asked.vocab_type, "--time", asked.time, *shlex.split(asked.flags)]
        of_counts = ["--vocab", net / "vocab.model", "--model", "ngram"]
        seconds = {
            net: seconds_of("train", train, "--valid", held, "-o", net, "-q", *of_net),
            counts: seconds_of("train", train, "--valid", held, "-o", counts, "-q", *of_counts),
            both: seconds_of("mix", net, counts, "--valid", held, "-o", both, "-q"),
            gated: seconds_of("mix", net, counts, "--gated", "--read", train, "--valid", held, "-o", gated, "-q"),
        }
        print(f"{asked.train.name} to {asked.test.name}, {asked.vocab_type}: {len(text) - asked.held:,} characters")
        for run, made in seconds.items():
            adapts = ["--adapt"] if run.name in asked.adapt else []
            began = time.perf_counter()
            result = subprocess.run(
                [*SEQTOOL, "eval", run, asked.test, "--json", *adapts], check=True, capture_output=True
            )
            report, took = json.loads(result.stdout), time.perf_counter() - began
            told = f"{report['nats_per_token']:.4f} nats/token {report['bits_per_byte']:.4f} bits/byte"
            if adapts:
                told += f"  adapted {report['adapted_nats_per_token']:.4f} {report['adapted_bits_per_byte']:.4f}"
            print(f"{run.name:<8} made in {made:6.1f} s, scored in {took:5.1f} s  {told}", flush=True)


if __name__ == "__main__":
    main()
