"""What gates make of a text by their counts alone, how fast they read, and how fast a gated mixture writes beside its net.

    python tests/benchmarks/gates.py RUN TRAIN TEST [--gated GATED] [--memory 512]

RUN brings the vocabulary. TRAIN is read while its counts learn, then TEST twice: with nothing learned, and learning. With a gated run, tokens
a second of one text that RUN and it generate in turn, three times, in this process.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from seqtool.counts.gates.gates import GOING_ON_RATE, Gates
from seqtool.models.predictor import Predictor
from seqtool.runs.loading import load_run
from seqtool.scoring.gating import token_kinds

CPU = torch.device("cpu")
STEPS = 1000


@torch.inference_mode()
def tokens_per_s(model: Predictor, begin: list[int]) -> float:
    """Of one text that is sampled."""
    stepper = model.stepper()
    log_p_BV = stepper.begin([begin])
    began = time.perf_counter()
    for _ in range(STEPS):
        log_p_BV = stepper.step(torch.multinomial(log_p_BV.exp(), 1)[:, 0])
    return STEPS / (time.perf_counter() - began)


def main() -> None:
    """Print a line for each reading, and for each generation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--gated", type=Path)
    parser.add_argument("--memory", type=int, default=512, help="MiB of counters")
    asked = parser.parse_args()
    run = load_run(asked.run, CPU)
    vocabulary = run.vocabulary
    train, test = (vocabulary.encode(path.read_text()).astype(np.int64) for path in (asked.train, asked.test))
    counts_V = np.bincount(train, minlength=vocabulary.size)
    kinds = token_kinds(vocabulary)
    gates = Gates.new(counts_V, *kinds, vocabulary.begin_id, 0, len(train), asked.memory << 20)
    state_F = gates.begin(1)[0]
    for name, ids, learn in (("read", train, True), ("static", test, False), ("adapted", test, True)):
        state = state_F if learn else state_F.copy()
        began = time.perf_counter()
        nats = gates.read(state, ids, [], learn=learn)
        took = time.perf_counter() - began
        print(f"{name:<8} {nats.mean():.4f} nats/token  {len(ids) / took:,.0f} tokens/s", flush=True)
        gates.rate = GOING_ON_RATE
    if asked.gated is not None:
        models = {"net": run.model, "gated": load_run(asked.gated, CPU).model}
        for _ in range(3):
            rates = {name: tokens_per_s(model, test[:5].tolist()) for name, model in models.items()}
            print("  ".join(f"{name} {rate:,.0f} tokens/s" for name, rate in rates.items()), flush=True)


if __name__ == "__main__":
    main()
