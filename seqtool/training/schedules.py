"""Learning rates as pure functions of how far training is."""

from __future__ import annotations

import math
from collections.abc import Callable

from seqtool.settings.training import TrainConfig

LEAST_WARM_UP = 1e-3  # share that inverse-sqrt counts from, where nothing warms up

FIRST_RATE = 0.05  # of the peak, at the first step of a warm-up whose steps are not known yet

# What the peak rate is multiplied by, before --final-lr, `fallen` of the way down (0 to 1).
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda fallen: 1.0,
    "linear": lambda fallen: 1.0 - fallen,
    "cosine": lambda fallen: 0.5 * (1.0 + math.cos(math.pi * fallen)),  # Loshchilov & Hutter 2017, eq. 5
}


def rate_factor(config: TrainConfig, progress: float, step: int, steps: int = 0, falls: int = 0) -> float:
    """What the peak rate is multiplied by at `step` (from 0) of `steps` (0: not known yet), `progress` of the way (0 to
    1).

    Rises linearly over `config.warmup` (steps; a share of the whole where under 1), then falls to `config.final_lr` by
    `config.schedule`. `falls` is how often validation had `plateau` lower the rate.
    """
    warmup = config.warmup
    if warmup >= 1 and step < warmup:
        return (step + 1) / (warmup + 1)
    if progress < warmup < 1:
        in_all = steps or (step / progress if progress else 0.0)
        return (step + 1) / (warmup * in_all + 1) if in_all else FIRST_RATE
    share = warmup if warmup < 1 else progress * min(1.0, warmup / max(step, 1))  # of the whole, that warm-up takes
    if config.schedule == "inverse-sqrt":  # Vaswani et al. 2017, eq. 3: falls as 1 / sqrt(step) from warm-up's end
        return max(config.final_lr, math.sqrt(max(share, LEAST_WARM_UP) / max(progress, share, LEAST_WARM_UP)))
    if config.schedule == "step":
        falls = math.floor((step if config.decay_every >= 1 else progress) / config.decay_every + 1e-9)
    if config.schedule in ("step", "plateau"):
        return max(config.final_lr, config.decay_factor**falls)
    if config.schedule == "wsd":  # Hu et al. 2024: falls in the last `decay` of the whole
        factor = min(1.0, (1.0 - progress) / config.decay) if config.decay else 1.0
    else:
        factor = SCHEDULES[config.schedule](min(1.0, max(0.0, (progress - share) / (1.0 - share))))
    return config.final_lr + (1.0 - config.final_lr) * factor
