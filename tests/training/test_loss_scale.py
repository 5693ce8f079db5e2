from __future__ import annotations

import pytest

from seqtool.errors import DivergedError
from seqtool.settings.training import TrainConfig
from seqtool.training.loss_scale import FP16_GROWS_AFTER, FP16_MOST_SCALE, SKIPPED_IN_ROW, loss_scale, record_finite
from seqtool.training.progress import FP16_SCALE, Progress

FP16, FP32 = TrainConfig(precision="fp16"), TrainConfig(precision="fp32")


def test_only_fp16_is_scaled():
    assert (loss_scale(Progress(), FP16), loss_scale(Progress(), FP32)) == (FP16_SCALE, 1.0)


def test_an_overflow_halves_the_scale_and_is_no_failure():
    progress = Progress()
    for _ in range(5):
        record_finite(progress, FP16, finite=False)
    assert (progress.loss_scale, progress.skipped) == (FP16_SCALE / 32, 0)


def test_a_scale_that_held_is_doubled_up_to_a_limit():
    progress = Progress()
    for _ in range(FP16_GROWS_AFTER):
        record_finite(progress, FP16, finite=True)
    assert (progress.loss_scale, progress.scale_held) == (2 * FP16_SCALE, 0)
    progress.loss_scale = FP16_MOST_SCALE
    for _ in range(FP16_GROWS_AFTER):
        record_finite(progress, FP16, finite=True)
    assert progress.loss_scale == FP16_MOST_SCALE


def test_too_many_in_a_row_are_divergence_and_a_finite_step_counts_anew():
    progress = Progress(best_step=7)
    for _ in range(SKIPPED_IN_ROW - 1):
        record_finite(progress, FP32, finite=False)
    record_finite(progress, FP32, finite=True)
    for _ in range(SKIPPED_IN_ROW - 1):
        record_finite(progress, FP32, finite=False)
        progress.step += 100
    with pytest.raises(DivergedError, match="the weights of step 7 are kept"):
        record_finite(progress, FP32, finite=False)
