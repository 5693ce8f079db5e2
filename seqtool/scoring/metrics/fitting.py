"""What is fitted on validation data: a temperature, thresholds, and the offsets of quantiles.

Shapes: N rows, K labels seen in training, Q quantile levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from seqtool.scoring.metrics.values import Flags, Floats, Integers, require_finite

TEMPERATURES = (0.05, 20.0)
"""Between these a temperature is sought."""
DEFAULT_THRESHOLD = 0.5


def fit_temperature(logits_NK: Floats, truth_N: Integers) -> float:
    """The temperature T for which softmax(logits / T) has the lowest log loss (Guo et al. 2017).

    The loss is convex in 1 / T; Newton's method, kept between bounds, finds where its derivative is 0. Labels never
    seen in training (from K on) are left out. T is 1 where it would not matter or has no bound: no rows, equal logits,
    or every row's true label highest, for which the colder is always the better. The logits z of a sigmoid are
    `two_logits(z)`.
    """
    require_finite("logits", logits_NK)
    known_N = truth_N < logits_NK.shape[1]
    truth_N, logits_NK = truth_N[known_N], logits_NK[known_N].astype(np.float64)
    if not len(truth_N):
        return 1.0
    logits_NK -= np.take_along_axis(logits_NK, truth_N[:, None], 1)  # so that the true label's is 0
    highest_N1 = logits_NK.max(1, keepdims=True)
    if not highest_N1.any():
        return 1.0
    coldest, hottest = TEMPERATURES
    if _slope(logits_NK, highest_N1, 1 / coldest)[0] <= 0:
        return coldest
    if _slope(logits_NK, highest_N1, 1 / hottest)[0] >= 0:
        return hottest
    low, beta, high = 1 / hottest, 1.0, 1 / coldest  # of 1 / T
    for _ in range(100):
        slope, curvature = _slope(logits_NK, highest_N1, beta)
        low, high = (beta, high) if slope < 0 else (low, beta)
        newton = beta - slope / curvature if curvature > 0 else math.nan
        following = newton if low < newton < high else math.sqrt(low * high)
        if abs(following - beta) <= 1e-9 * beta:
            break
        beta = following
    return 1 / beta


def _slope(logits_NK: Floats, highest_N1: Floats, beta: float) -> tuple[float, float]:
    """The first two derivatives by beta of mean_n ln sum_k exp(beta z[n, k]), the log loss where the true z is 0."""
    p_NK = np.exp(beta * (logits_NK - highest_N1))
    p_NK /= p_NK.sum(1, keepdims=True)
    mean_N = np.einsum("nk,nk->n", p_NK, logits_NK)
    p_NK *= logits_NK
    return float(mean_N.mean()), float((np.einsum("nk,nk->n", p_NK, logits_NK) - np.square(mean_N)).mean())


def two_logits(logits: Floats) -> Floats:
    """(…, 2): the logits of the softmax that says the same as a sigmoid of `logits`: 0 and z."""
    return np.stack([np.zeros_like(logits), logits], -1)


def both_classes(probabilities: Floats) -> Floats:
    """(…, 2): the probabilities of the negative and the positive class, 1 - p and p."""
    p = probabilities.astype(np.float64)
    return np.stack([1 - p, p], -1)


def fit_threshold(positive_N: Flags, probabilities_N: Floats) -> float:
    """The threshold for which calling positive what is at or above it has the highest F1, 2 TP / (TP + FP + P).

    Of all thresholds between two neighbouring probabilities, 1/2 if it is one of them, otherwise the middle; of several
    places with the highest F1, that nearest to 1/2. 1/2 where no row is positive.
    """
    require_finite("probabilities", probabilities_N)
    if not positive_N.any():
        return DEFAULT_THRESHOLD
    order = np.argsort(-probabilities_N, kind="stable")
    p_N = probabilities_N[order]
    below_N = np.append(p_N[1:], p_N.dtype.type(0))
    cuts = np.flatnonzero((p_N > below_N) | (np.arange(len(p_N)) == len(p_N) - 1))  # the last row of each probability
    true_positives = np.cumsum(positive_N[order])[cuts]
    f1 = 2 * true_positives / (cuts + 1 + np.count_nonzero(positive_N))
    best = cuts[f1 == f1.max()]
    thresholds = np.where(
        (below_N[best] < DEFAULT_THRESHOLD) & (p_N[best] >= DEFAULT_THRESHOLD),
        DEFAULT_THRESHOLD,
        np.clip((p_N[best] + below_N[best]) / 2, np.nextafter(below_N[best], p_N[best]), p_N[best]),
    )
    return float(thresholds[np.abs(thresholds - DEFAULT_THRESHOLD).argmin()])


def fit_thresholds(truth_NK: Flags, probabilities_NK: Floats) -> Floats:
    """(K,): the threshold of each label, as in `fit_threshold`."""
    return np.array(
        [fit_threshold(truth_NK[:, label], probabilities_NK[:, label]) for label in range(truth_NK.shape[1])]
    )


def conformal_offsets(truth: Floats, quantiles: Floats, levels: Sequence[float]) -> Floats:
    """(…, Q): what to add to each quantile so that on data like these the truth is below it as often as its level says.

    truth (N, …), NaN where missing; quantiles (N, …, Q). The offset of level q is, of the n sorted residuals y - f,
    number ceil((n + 1) q) for q >= 1/2, otherwise floor((n + 1) q): split conformal prediction with each end of the
    interval on its own, so that the quantiles q and 1 - q cover at least 1 - 2 q (Romano et al. 2019, theorem 2), if n
    is at least 1 / q - 1. Where n is less the first or the last residual is taken; 0 where n is 0.
    """
    require_finite("quantiles", quantiles)
    counts = np.isfinite(truth).sum(0)  # (…)
    offsets = np.zeros((*truth.shape[1:], len(levels)))
    for place, level in enumerate(levels):
        residuals = np.sort(truth.astype(np.float64) - quantiles[..., place], axis=0)  # the missing ones last
        exact = np.round((counts + 1) * level, 9)  # rounded, so that 10 times 0.9 is 9
        number = np.clip(np.ceil(exact) if level >= 0.5 else np.floor(exact), 1, np.maximum(counts, 1)).astype(np.int64)
        if len(residuals):
            offsets[..., place] = np.take_along_axis(residuals, number[None] - 1, 0)[0]
    return np.where(counts[..., None] > 0, offsets, 0.0)
