"""Steps without finite gradients are left out; in fp16 the loss is scaled so that small gradients are not zero."""

from __future__ import annotations

from seqtool.errors import DivergedError
from seqtool.settings.training import TrainConfig
from seqtool.training.progress import Progress, diverged

SKIPPED_IN_ROW, SKIPPED_SHARE = 10, 0.1  # steps without finite gradients: in a row; of all, after the first ten
FP16_MOST_SCALE = 2.0**24
FP16_GROWS_AFTER = 2000  # steps


def loss_scale(progress: Progress, config: TrainConfig) -> float:
    """What the loss of the next step is multiplied by, and its gradients are divided by."""
    return progress.loss_scale if config.precision == "fp16" else 1.0


def record_finite(progress: Progress, config: TrainConfig, finite: bool) -> None:
    """Count a step that was taken or left out; DivergedError after too many of the latter.

    For fp16, halve the scale of a loss that overflowed, and double one that has held long (Micikevicius et al. 2018,
    section 3.2).
    """
    overflow = not finite and config.precision == "fp16" and progress.loss_scale > 1.0
    progress.scale_held += 1
    if overflow:
        progress.loss_scale, progress.scale_held = progress.loss_scale / 2, 0
    elif progress.scale_held >= FP16_GROWS_AFTER:
        progress.loss_scale, progress.scale_held = min(progress.loss_scale * 2, FP16_MOST_SCALE), 0
    if finite:
        progress.skipped_in_row = 0
    if finite or overflow:
        return
    progress.skipped += 1
    progress.skipped_in_row += 1
    if progress.skipped_in_row >= SKIPPED_IN_ROW or progress.skipped > SKIPPED_IN_ROW + SKIPPED_SHARE * progress.step:
        raise DivergedError(diverged("the loss or the gradient", progress))
