"""What --constrain costs: tokens per second with and without it, and the share of samples that match.

    python tests/benchmarks/constrained.py RUN [--pattern REGEX] [-n 64]

The default pattern is a tune in ABC notation, for a run that learned from tunes: headers in order, then bars of notes.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from seqtool.generation.constraint import Constraint, TokenBytes
from seqtool.generation.generating import Sample, generate
from seqtool.generation.steering import Steering
from seqtool.models.decoding.stepper import ModelStepper
from seqtool.runs.loading import load_run
from seqtool.settings.generation import GenerateConfig

NOTE = r"[_^=]?[A-Ga-gz][,']?(2|3|4|/2)?"
TUNE = (
    r"X:\d{1,3}\nT:[A-Za-z' ,.]{3,40}\n(Z:[^\n]{1,40}\n)?(M:(4/4|6/8|3/4|2/4|9/8)\n)?(L:1/(8|16)\n)?"
    rf"K:[A-G](maj|min|dor|mix)?\n((\|:?)?({NOTE} ?){{1,12}}:?\|\n?){{8,32}}\n"
)
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--pattern", default=TUNE)
    parser.add_argument("-n", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=600)
    given = parser.parse_args()
    run = load_run(given.run, torch.device("cpu"))
    tokens = [run.vocabulary.token_bytes(index) for index in range(run.vocabulary.size)]
    tokens[run.vocabulary.unknown_id] = b""
    began = time.perf_counter()
    constraint = Constraint(given.pattern, TokenBytes(tokens))
    print(f"the expression as an automaton: {time.perf_counter() - began:.3f} s")
    stepper = ModelStepper(run.model)
    print(f"{'':<14}{'streams':>8}{'tokens/s':>10}{'matching':>14}")
    for streams in (1, given.n):
        for name, bound in (("constrained", constraint), ("free", None)):
            rates, matching, count = [], 0, 0
            for seed in range(ROUNDS):
                samples = [Sample([], copy) for copy in range(streams)]
                settings = GenerateConfig(max_tokens=given.max_tokens, temperature=0.8, seed=seed, batch_size=streams)
                steering = Steering(settings, stepper.begin_id, bound)
                began = time.perf_counter()
                for _ in generate(stepper, samples, settings, steering):
                    pass
                seconds = time.perf_counter() - began
                rates.append(sum(len(one.tokens) for one in samples) / seconds)
                texts = [run.vocabulary.decode(one.tokens) for one in samples]
                matching += sum(re.fullmatch(given.pattern, text) is not None for text in texts)
                count += streams
            print(f"{name:<14}{streams:>8}{statistics.median(rates):>10,.0f}{matching:>7} of {count}")


if __name__ == "__main__":
    main()
