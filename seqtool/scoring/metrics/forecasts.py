"""Metrics of forecasts, and the forecasts of baselines.

Shapes: W windows (each a series cut at some time), H steps ahead, Q quantile levels, T steps before the cut.
NaN among the true values is a missing value: it counts nowhere. Every mean is over all steps of all windows together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError
from seqtool.scoring.metrics.values import Floats, for_json, mean, mean_of_defined, ratio, require_finite

SEASONAL_CONFIDENCE = 1.645
"""How many standard errors the autocorrelation at the season must pass in M4's test of seasonality (90%)."""


def mean_squared_error(truth_WH: Floats, forecast_WH: Floats) -> float:
    """mean (y - f)^2."""
    return mean_of_defined(np.square(_errors(truth_WH, forecast_WH)))


def mean_absolute_error(truth_WH: Floats, forecast_WH: Floats) -> float:
    """mean |y - f|."""
    return mean_of_defined(np.abs(_errors(truth_WH, forecast_WH)))


def seasonal_scale(history_T: Floats, season: int) -> float:
    """mean_t |y[t] - y[t - season]| over the history: the in-sample error of the seasonal naive forecast.

    NaN where the history is not longer than a season, or repeats itself exactly.
    """
    scale = mean_of_defined(np.abs(history_T[season:].astype(np.float64) - history_T[:-season]))
    return scale if scale > 0 else math.nan


def mase(truth_WH: Floats, forecast_WH: Floats, scale_W: Floats) -> float:
    """mean |y - f| / scale, over the windows that have a `seasonal_scale` (Hyndman and Koehler 2006)."""
    return mean_of_defined(ratio(np.abs(_errors(truth_WH, forecast_WH)), scale_W[:, None]))


def smape(truth_WH: Floats, forecast_WH: Floats) -> float:
    """mean 200 |y - f| / (|y| + |f|), and 0 where both are 0: M4's definition (Makridakis et al. 2020)."""
    size_WH = np.abs(truth_WH.astype(np.float64)) + np.abs(forecast_WH)
    return mean_of_defined(200 * np.abs(_errors(truth_WH, forecast_WH)) / np.where(size_WH == 0, 1, size_WH))


def owa(smape: float, mase: float, naive2_smape: float, naive2_mase: float) -> float:
    """(sMAPE / Naive2's sMAPE + MASE / Naive2's MASE) / 2: M4's overall weighted average, below 1 if better."""
    return float(ratio([smape, mase], [naive2_smape, naive2_mase]).mean())


def pinball_loss(truth_WH: Floats, quantiles_WHQ: Floats, levels: Sequence[float]) -> Floats:
    """(Q,): mean max(q (y - f), (q - 1) (y - f)) of each level q, as in scikit-learn (Koenker and Bassett 1978)."""
    losses = []
    for place, level in enumerate(levels):  # a level at a time, for memory's sake
        above_WH = _errors(truth_WH, quantiles_WHQ[..., place])
        losses.append(mean_of_defined(np.maximum(level * above_WH, (level - 1) * above_WH)))
    return np.array(losses)


def share_below(truth_WH: Floats, quantiles_WHQ: Floats) -> Floats:
    """(Q,): how often the truth is at most each quantile; the quantile's level, if it is calibrated."""
    known_WH = np.isfinite(truth_WH)
    return ratio((truth_WH[known_WH][:, None] <= quantiles_WHQ[known_WH]).sum(0), known_WH.sum())


def coverage(truth_WH: Floats, lower_WH: Floats, upper_WH: Floats) -> float:
    """How often the truth is in the interval, its ends included."""
    inside_WH = (lower_WH <= truth_WH) & (truth_WH <= upper_WH)
    return mean(inside_WH[np.isfinite(truth_WH)])


def mean_width(truth_WH: Floats, lower_WH: Floats, upper_WH: Floats) -> float:
    """mean (upper - lower), over the steps whose truth is known."""
    return mean(_errors(upper_WH, lower_WH)[np.isfinite(truth_WH)])


def winkler_score(truth_WH: Floats, lower_WH: Floats, upper_WH: Floats, level: float) -> float:
    """mean (u - l) + 2 / (1 - level) max(l - y, y - u, 0) of intervals meant to cover `level` (Winkler 1972)."""
    outside_WH = np.maximum(np.maximum(_errors(lower_WH, truth_WH), _errors(truth_WH, upper_WH)), 0)
    return mean_of_defined(_errors(upper_WH, lower_WH) + 2 / (1 - level) * outside_WH)


def seasonal_naive(history_T: Floats, horizon: int, season: int) -> Floats:
    """(H,): the last season again and again; with a season of 1, the last value.

    For a missing value the same phase of the season before counts, and for a phase without any, the last value.
    InputError if no value of the history is known.
    """
    known = _known(history_T)
    last_of_phase = np.full(season, known[-1])
    last_of_phase[(known - len(history_T)) % season] = known  # of several assignments to a place the last one counts
    return history_T[last_of_phase[np.arange(horizon) % season]].astype(np.float64)


def naive2(history_T: Floats, horizon: int, season: int) -> Floats:
    """(H,): the last seasonally adjusted value, times the season's factors where M4's test finds the series seasonal.

    The benchmark of M4 (Makridakis et al. 2020). Missing values are interpolated.
    """
    y_T = _interpolated(history_T.astype(np.float64))
    factors_M = seasonal_factors(y_T, season) if is_seasonal(y_T, season) else np.ones(1)
    ahead = np.arange(len(y_T), len(y_T) + horizon)
    last = y_T[-1] / factors_M[(len(y_T) - 1) % len(factors_M)]
    return last * factors_M[ahead % len(factors_M)]


def is_seasonal(y_T: Floats, season: int) -> bool:
    """Whether |r_m| > 1.645 sqrt((1 + 2 sum_(k<m) r_k^2) / T), r: autocorrelations, m: season; never if T < 3 m."""
    if season < 2 or len(y_T) < 3 * season:
        return False
    around_T = y_T - y_T.mean()
    r_M = ratio([around_T[:-lag] @ around_T[lag:] for lag in range(1, season + 1)], around_T @ around_T)
    limit = SEASONAL_CONFIDENCE * np.sqrt((1 + 2 * np.square(r_M[:-1]).sum()) / len(y_T))
    return bool(abs(r_M[-1]) > limit)


def seasonal_factors(y_T: Floats, season: int) -> Floats:
    """(M,): the mean of y / trend by phase, the first value's first, divided by the mean of all M means.

    Classical multiplicative decomposition; the trend is the centred moving average over a season. All 1 where a factor
    would not be positive.
    """
    weights = np.ones(season) if season % 2 else np.r_[0.5, np.ones(season - 1), 0.5]
    half = season // 2
    trend = np.convolve(y_T, weights / season, "valid")  # of y_T[half : -half]
    phase = np.arange(half, half + len(trend)) % season
    shares = ratio(y_T[half : half + len(trend)], trend)
    factors_M = ratio(np.bincount(phase, shares, minlength=season), np.bincount(phase, minlength=season))
    factors_M = ratio(factors_M, factors_M.mean())
    return factors_M if (factors_M > 0).all() and np.isfinite(factors_M).all() else np.ones(season)


def baseline_forecasts(histories: Sequence[Floats], horizon: int, season: int) -> dict[str, Floats]:
    """(W, H) of each baseline, by name."""
    return {
        "last_value": np.array([seasonal_naive(each, horizon, 1) for each in histories]).reshape(-1, horizon),
        "seasonal_naive": np.array([seasonal_naive(each, horizon, season) for each in histories]).reshape(-1, horizon),
        "naive2": np.array([naive2(each, horizon, season) for each in histories]).reshape(-1, horizon),
    }


def forecasts_report(
    truth_WH: Floats,
    forecast_WH: Floats,
    *,
    scale_W: Floats,
    deviation_W: Floats,
    baselines: Mapping[str, Floats],
    levels: Sequence[float] = (),
    quantiles_WHQ: Floats | None = None,
) -> dict[str, Any]:
    """Every metric of forecasts, ready for JSON, beside those of the baselines of `baseline_forecasts`.

    `scale_W` is each window's `seasonal_scale`, and `deviation_W` the standard deviation of its series in training.
    Errors are in the data's units and, under names that end in `_in_deviations`, divided by the deviation. `intervals`
    has one of each pair of levels q and 1 - q.
    """
    require_finite("forecasts", forecast_WH)
    figures = {name: _figures(truth_WH, each_WH, scale_W, deviation_W) for name, each_WH in baselines.items()}
    own = _figures(truth_WH, forecast_WH, scale_W, deviation_W)
    naive2 = figures["naive2"]
    for each in (own, *figures.values()):
        each["owa"] = owa(each["smape"], each["mase"], naive2["smape"], naive2["mase"])
    quantiles_WHQ = np.empty((*truth_WH.shape, 0)) if quantiles_WHQ is None else quantiles_WHQ
    report = {
        "windows": len(truth_WH),
        "horizon": truth_WH.shape[1],
        "values": int(np.isfinite(truth_WH).sum()),
        "missing": int((~np.isfinite(truth_WH)).sum()),
        "windows_without_scale": int((~(scale_W > 0)).sum()),
        **own,
        "baselines": figures,
        **_quantile_figures(
            truth_WH, np.empty((*truth_WH.shape, 0)) if quantiles_WHQ is None else quantiles_WHQ, levels
        ),
    }
    return for_json(report)


def _figures(truth_WH: Floats, forecast_WH: Floats, scale_W: Floats, deviation_W: Floats) -> dict[str, float]:
    mse = mean_squared_error(truth_WH, forecast_WH)
    scaled_WH = ratio(_errors(truth_WH, forecast_WH), deviation_W[:, None])
    return {
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": mean_absolute_error(truth_WH, forecast_WH),
        "mse_in_deviations": mean_of_defined(np.square(scaled_WH)),
        "mae_in_deviations": mean_of_defined(np.abs(scaled_WH)),
        "mase": mase(truth_WH, forecast_WH, scale_W),
        "smape": smape(truth_WH, forecast_WH),
    }


def _quantile_figures(truth_WH: Floats, quantiles_WHQ: Floats, levels: Sequence[float]) -> dict[str, Any]:
    require_finite("quantiles", quantiles_WHQ)
    pinball_Q, below_Q = pinball_loss(truth_WH, quantiles_WHQ, levels), share_below(truth_WH, quantiles_WHQ)
    intervals = []
    for low, high in interval_places(levels):
        level = levels[high] - levels[low]
        lower_WH, upper_WH = quantiles_WHQ[..., low], quantiles_WHQ[..., high]
        intervals.append(
            {
                "level": round(level, 9),
                "coverage": coverage(truth_WH, lower_WH, upper_WH),
                "mean_width": mean_width(truth_WH, lower_WH, upper_WH),
                "winkler_score": winkler_score(truth_WH, lower_WH, upper_WH, level),
            }
        )
    return {
        "pinball_loss": mean(pinball_Q),
        "quantiles": [
            {"level": level, "pinball_loss": pinball, "share_below": below}
            for level, pinball, below in zip(levels, pinball_Q, below_Q, strict=True)
        ],
        "intervals": intervals,
    }


def interval_places(levels: Sequence[float]) -> list[tuple[int, int]]:
    """The places in `levels` of each interval's two ends: pairs of a level q below 1/2 and 1 - q, the widest first."""
    pairs = [
        (low, high)
        for low, below in enumerate(levels)
        for high, above in enumerate(levels)
        if below < 0.5 and math.isclose(below + above, 1, abs_tol=1e-9)
    ]
    return sorted(pairs, key=lambda pair: levels[pair[0]])


def _errors(truth: Floats, forecast: Floats) -> Floats:
    return truth.astype(np.float64) - forecast


def _known(history_T: Floats) -> npt.NDArray[np.intp]:
    known = np.flatnonzero(np.isfinite(history_T))
    if not len(known):
        raise InputError("a series has no value before its forecast begins: give more of its history, or leave it out")
    return known


def _interpolated(y_T: Floats) -> Floats:
    """Missing values on the line between their neighbours; at the ends, as the nearest value."""
    known = _known(y_T)
    return np.interp(np.arange(len(y_T)), known, y_T[known])
