"""Learning rates as pure functions of how far training is."""

from __future__ import annotations

import math
from collections.abc import Callable

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),  # Loshchilov & Hutter 2017, eq. 5
}


def rate_factor(schedule: str, progress: float, step: int, warmup: float, final: float) -> float:
    """What the peak rate is multiplied by at `step` (from 0), `progress` of the way (0 to 1).

    Rises linearly over `warmup` (steps; a share of the whole where under 1), then falls from 1 to `final` by
    `schedule`.
    """
    if warmup >= 1 and step < warmup:
        return (step + 1) / (warmup + 1)
    if progress < warmup < 1:
        return max(progress, 1e-4) / warmup
    share = warmup if warmup < 1 else 0.0
    fallen = min(1.0, max(0.0, (progress - share) / (1.0 - share)))
    return final + (1.0 - final) * SCHEDULES[schedule](fallen)
