"""Judging forecasts of what is known already: each window sees only what came before it, and so do the baselines.

Shapes: W windows, H steps ahead, O answers for each: the mean, then quantiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seqtool.errors import InputError, UsageError
from seqtool.records.times import TimeParser
from seqtool.scoring.metrics.forecasts import baseline_forecasts, forecasts_report
from seqtool.settings.backtest import BacktestConfig
from seqtool.tasks.examples.sets import Rows
from seqtool.tasks.examples.windows import Cutting, Floats, History

Forecaster = Callable[[Rows, Rows], np.ndarray]
BLOCK_WINDOWS = 512
MOST_HISTORY = 2000  # steps, or twenty seasons, that the baselines look back to


def backtested(
    histories: Sequence[History],
    cutting: Cutting,
    config: BacktestConfig,
    *,
    known_deviations: Mapping[str, float],
    levels: Sequence[float],
    forecast: Forecaster,
    source: str,
) -> dict[str, Any]:
    """The report of all windows that `config` chooses; InputError where there are none."""
    series_W, cuts_W = chosen_windows(histories, cutting.horizon, config, source)
    scales, deviations, baselines = [], [], []
    for place in np.unique(series_W).tolist():
        one, cuts = histories[place], cuts_W[series_W == place]
        scales.append(seasonal_scales(one.values_T, cuts, cutting.season))
        deviation = known_deviations.get(one.name) or _deviation_before(one.values_T, int(cuts[0]))
        deviations.append(np.full(len(cuts), deviation))
        look_back = max(MOST_HISTORY, 20 * cutting.season)
        before = [one.values_T[max(0, cut - look_back) : cut] for cut in cuts.tolist()]
        baselines.append(baseline_forecasts(before, cutting.horizon, cutting.season))
    parts = range(0, len(cuts_W), BLOCK_WINDOWS)
    told_WHO = np.concatenate(
        [forecast(series_W[part : part + BLOCK_WINDOWS], cuts_W[part : part + BLOCK_WINDOWS]) for part in parts]
    )
    pairs = zip(series_W.tolist(), cuts_W.tolist(), strict=True)
    truth_WH = np.array([histories[place].values_T[cut : cut + cutting.horizon] for place, cut in pairs])
    report = forecasts_report(
        truth_WH,
        told_WHO[..., 0],
        scale_W=np.concatenate(scales),
        deviation_W=np.concatenate(deviations),
        baselines={name: np.concatenate([each[name] for each in baselines]) for name in baselines[0]},
        levels=levels,
        quantiles_WHQ=told_WHO[..., 1:],
    )
    by_name = report.pop("baselines")
    rows = [{"forecast": "model", **{name: report[name] for name in by_name["naive2"]}}]
    rows += [{"forecast": name, **figures} for name, figures in by_name.items()]
    return {"series": len(np.unique(series_W)), "season": cutting.season, **report, "baselines": rows}


def chosen_windows(
    histories: Sequence[History], horizon: int, config: BacktestConfig, source: str
) -> tuple[Rows, Rows]:
    """The series and the cut of each window, in order."""
    series_W, cuts_W = [], []
    for place, one in enumerate(histories):
        known = np.flatnonzero(np.isfinite(one.values_T))
        begun = int(known[0]) + 1 if len(known) else len(one.values_T)
        cuts = np.array(config.cutoffs(len(one.values_T), horizon, max(begun, _first(one, config.start))), np.int64)
        series_W.append(np.full(len(cuts), place))
        cuts_W.append(cuts)
    chosen = np.concatenate(series_W or [np.empty(0, np.int64)]), np.concatenate(cuts_W or [np.empty(0, np.int64)])
    if not len(chosen[0]):
        longest = max((len(one.values_T) for one in histories), default=0)
        behind = f" behind --from {config.start}" if config.start else ""
        raise InputError(
            f"{source}: no series has a horizon of {horizon:,} steps{behind} and one before it (the longest has "
            f"{longest:,}): give more of its history"
        )
    return chosen


def _first(history: History, start: str) -> int:
    """How many steps of a series come before `start`, a number of them or a time; UsageError for what is neither."""
    if not start:
        return 0
    if start.isascii() and start.isdigit():
        return int(start)
    if history.times is None or history.times.dtype.kind != "M":
        raise UsageError(f"--from {start}: the series have no dates; give a number of steps")
    try:
        (seconds,) = TimeParser().parse([start])
    except (ValueError, InputError) as error:
        raise UsageError(f"--from {start}: give a time such as 2016-07-31 23:00:00, or a number of steps") from error
    return int(np.searchsorted(history.times, np.datetime64(seconds, "s")))


def seasonal_scales(values_T: Floats, cuts: Rows, season: int) -> Floats:
    """`seasonal_scale` of the history before each cut, in one pass; nan where there is none."""
    steps_T = np.abs(values_T[season:].astype(np.float64) - values_T[:-season])
    known_T = np.isfinite(steps_T)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known_T, steps_T, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known_T)])
    until = np.maximum(cuts - season, 0)
    scales = sums[until] / np.maximum(counts[until], 1)
    return np.where(scales > 0, scales, np.nan)


def _deviation_before(values_T: Floats, cut: int) -> float:
    """The standard deviation of what is known before a cut; nan where that is constant."""
    deviation = float(np.nanstd(values_T[:cut].astype(np.float64)))
    return deviation if deviation > 0 else np.nan
