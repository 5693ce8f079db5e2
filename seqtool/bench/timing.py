"""Timing: medians of repetitions after a warm-up, each begun and ended with nothing queued on the device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

LEAST_REPEATS = 3


def wait_for(device: torch.device) -> None:
    """Wait until the device has done all work that is queued on it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def median_s(run: Callable[[], object], seconds: float, device: torch.device) -> float:
    """Seconds that `run` takes: after a warm-up, the median of as many runs as fill `seconds`, three at least."""
    run()
    wait_for(device)
    times: list[float] = []
    while len(times) < LEAST_REPEATS or sum(times) < seconds:
        began = time.perf_counter()
        run()
        wait_for(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times)
