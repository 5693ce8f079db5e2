"""Where the time of a training step goes, operation by operation:

    python tests/benchmarks/profiling.py model=transformer layers=4 hidden=128 context=64 batch_size=12 precision=bf16
    python tests/benchmarks/profiling.py model=lstm hidden=512 --vocab-size 9600

NAME=VALUE are settings of `seqtool train`, with underscores. What is profiled is the real training loop on random text (as in
`seqtool bench`); rows are torch's operations by their own time, the compiled layers among them by the name of their class.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import torch
from machine import machine
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).parents[2]))

from seqtool.bench.setup import make_setup
from seqtool.bench.training import step_times_s
from seqtool.models.device import choose_device
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import TrainConfig


def settings(pairs: list[str]) -> dict[str, object]:
    """The settings that NAME=VALUE arguments say, each of the kind that its default has."""
    kinds = {item.name: type(item.default) for kind in (ModelConfig, TrainConfig) for item in dataclasses.fields(kind)}
    return {name: kinds[name](value) for name, value in (pair.split("=", 1) for pair in pairs)}


def main() -> None:
    """Profile a second of training and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--vocab-size", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rows", type=int, default=25)
    options = parser.parse_args()
    asked = settings(options.settings)
    device = choose_device(str(asked.get("device", "auto")))
    setup = make_setup(asked, options.vocab_size, device.type != "cpu")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as found:
        times = step_times_s(setup, device, options.seconds)
    print(
        machine(), f"{torch.get_num_threads()} threads;", f"{len(times)} steps, {1e3 * min(times):.2f} ms the fastest"
    )
    key = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    print(found.key_averages().table(sort_by=key, row_limit=options.rows, max_name_column_width=60))


if __name__ == "__main__":
    main()
