"""How long something takes: medians of repetitions, after a warm-up, with the device's queue empty at both ends."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

LEAST_REPEATS = 3


def wait_for(device: torch.device) -> None:
    """Come back when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def median_s(run: Callable[[], object], seconds: float, device: torch.device) -> float:
    """Seconds that `run` takes: the median of as many times as fill `seconds`, three at least, after one more."""
    run()
    wait_for(device)
    times: list[float] = []
    while len(times) < LEAST_REPEATS or sum(times) < seconds:
        began = time.perf_counter()
        run()
        wait_for(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times)
