"""The task of forecasting: the mean and quantiles of each step of a horizon, from the window before it.

One model for all series. The loss is that of the mean, squared, and of the quantiles, pinball (Koenker and Bassett
1978), in a unit of each series between its standard deviation, in which errors of z-scores are counted, and the error
of its seasonal naive forecast, in which MASE counts: their geometric mean. Quantiles are sorted (Chernozhukov et al.
2010), shifted by what validation found them to be off (split conformal prediction, Romano et al. 2019), and sorted
again: they never cross.

Shapes: N windows, H steps ahead, O answers for each: the mean, then Q quantiles.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqtool.errors import InputError, UsageError
from seqtool.records.times import Times, future_times
from seqtool.runs.config import NO_TEXT, RunConfig
from seqtool.runs.loading import ExampleRun
from seqtool.scoring.metrics.fitting import conformal_offsets
from seqtool.scoring.metrics.forecasts import seasonal_scale
from seqtool.settings.architectures import ARCHITECTURES
from seqtool.settings.examples import ExampleConfig, ExampleShape
from seqtool.settings.training import TrainConfig
from seqtool.tasks.examples.asking import Answer, Asking, unanswered
from seqtool.tasks.examples.backtest import backtested
from seqtool.tasks.examples.prepared import Prepared, counts_record, data_record, valid_record
from seqtool.tasks.examples.series import (
    SeriesTable,
    digest_of,
    histories_of,
    open_series,
    reopened,
    season_for,
)
from seqtool.tasks.examples.sets import Rows
from seqtool.tasks.examples.windows import Cutting, Floats, History, SeriesStore, WindowExamples
from seqtool.tasks.language.data import held_share
from seqtool.tasks.request import Request

DEFAULT_LEVELS = (0.05, 0.5, 0.95)
MOST_LEVELS = 99
SEASONS_READ, HORIZONS_READ = 14, 3  # of a window by default the longer of these
MOST_OF_A_SERIES = 2 / 3  # of a series' steps before its last training window, a window by default
ENOUGH_WINDOWS = 100  # of validation, for each step to have offsets of its own
LEAST_STEP = 0.01  # deviations that a seasonal step is taken for at least: some series repeat themselves exactly
DAY_S = 86_400


@dataclass(frozen=True)
class Forecasts:
    """What is forecast: so many steps, and quantiles of these levels beside the mean."""

    horizon: int
    levels: tuple[float, ...]

    @property
    def outputs(self) -> int:
        """Numbers that a model gives."""
        return self.horizon * (1 + len(self.levels))

    @property
    def fitted(self) -> int:
        """The offset of each quantile at each step."""
        return self.horizon * len(self.levels)

    def unweighted(self, outputs: Tensor) -> Tensor:
        """The outputs: there are no classes."""
        return outputs

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Squared error of the mean and pinball loss of the quantiles, (N,): summed over the known steps ahead."""
        ahead_NH, sizes_N1 = targets[:, :-1], targets[:, -1:]
        known_NH = ~ahead_NH.isnan()
        above_NHO = (ahead_NH.nan_to_num().unsqueeze(-1) - self._by_step(outputs)) * sizes_N1.unsqueeze(-1)
        levels_Q = torch.tensor(self.levels, device=outputs.device)
        above_NHQ = above_NHO[..., 1:]
        pinball_NH = torch.maximum(levels_Q * above_NHQ, (levels_Q - 1) * above_NHQ).sum(-1)
        return ((above_NHO[..., 0].square() + pinball_NH) * known_NH).sum(-1)

    def objective(self, outputs: Tensor, targets: Tensor, weights_N: Tensor | None, config: TrainConfig) -> Tensor:
        """The losses, summed."""
        return self.losses(outputs, targets).sum()

    def fit(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The offsets of quantiles, in units of a window; of a few windows, the same for all steps."""
        learned_N = targets[:, -1] > 0
        truth_NH = targets[learned_N, :-1].numpy()
        quantiles_NHQ = self._by_step(outputs[learned_N])[..., 1:].sort(-1).values.numpy()
        Q = len(self.levels)
        if len(truth_NH) < ENOUGH_WINDOWS:
            truth_NH, quantiles_NHQ = truth_NH.reshape(-1, 1), quantiles_NHQ.reshape(-1, 1, Q)
        offsets_HQ = conformal_offsets(truth_NH, quantiles_NHQ, self.levels)
        return torch.from_numpy(np.broadcast_to(offsets_HQ, (self.horizon, Q)).flatten()).float()

    def score(self, outputs: Tensor, targets: Tensor, fitted: Tensor, by: str) -> float | None:
        """The loss alone decides."""
        return None

    def told(self, outputs: Tensor, fitted: Tensor) -> np.ndarray:
        """The mean and the quantiles, none of which cross, in units of a window, (N, H, O)."""
        by_step_NHO = self._by_step(outputs.double()).clone()
        offsets_HQ = fitted.double().reshape(self.horizon, len(self.levels))
        by_step_NHO[..., 1:] = (by_step_NHO[..., 1:].sort(-1).values + offsets_HQ).sort(-1).values
        return by_step_NHO.numpy()

    def _by_step(self, outputs: Tensor) -> Tensor:
        return outputs.reshape(-1, self.horizon, 1 + len(self.levels))


MEANT = (
    "target", "format", "header", "delimiter", "horizon", "window", "quantiles", "season", "time_column", "series",
    "future",
)  # fmt: skip
UNITS = ("value", "loss")
SEPARATOR = ","
BACKTESTED = True
open_data = open_series


def prepare(
    request: Request, opened: SeriesTable, examples: ExampleConfig, settings: dict[str, Any], kept: RunConfig | None
) -> Prepared:
    """Windows of the series: held back are those that forecast a last share of each series, or those of --valid."""
    histories = histories_of(opened)
    share = held_share(request.valid)
    levels = levels_of(examples.quantiles)
    season = examples.season or season_for(histories)
    horizon = examples.horizon or (season if season > 1 else 0)
    if not horizon:
        raise UsageError("--horizon N: say how many steps to forecast; the series show no season")
    histories, left_out = _long_enough(histories, horizon, opened.records.name, request.errors)
    lengths_S = np.array([len(one.values_T) for one in histories], np.int64)
    ends_S = lengths_S if share is None else lengths_S - _held(lengths_S, share, horizon)
    window = examples.window or default_window(season, horizon, ends_S)
    cutting = Cutting(window, horizon, season)
    learned = [one.values_T[:end] for one, end in zip(histories, ends_S, strict=True)]
    units_S = np.array([error_unit(values_T, season) for values_T in learned])
    if kept is None:
        means_K, deviations_K = _covariate_scales(histories, ends_S)
        task = {
            "name": examples.task,
            **opened.as_record(),
            "horizon": horizon,
            "window": window,
            "season": season,
            "levels": list(levels),
            "covariates": [means_K.tolist(), deviations_K.tolist()],
            "deviations": {one.name: _deviation(own) for one, own in zip(histories, learned, strict=True)},
        }
    else:
        task = kept.task
    store = store_of(histories, task)
    train = WindowExamples(store, *_windows(histories, cutting, ends_S), units_S)
    record = data_record(request, examples, digest_of(histories), left_out)
    if share is None:
        assert request.valid is not None
        held = histories_of(reopened([request.valid], task, request.errors))
        held, _ = _long_enough(held, horizon, request.valid, request.errors)
        held_lengths_S = np.array([len(one.values_T) for one in held], np.int64)
        known = {one.name: unit for one, unit in zip(histories, units_S, strict=True)}
        held_units_S = np.array([known.get(one.name) or error_unit(one.values_T, season) for one in held])
        valid = WindowExamples(store_of(held, task), *_windows(held, cutting, held_lengths_S), held_units_S)
        record |= valid_record(request.valid, digest_of(held))
    else:
        counts_S = np.where(ends_S < lengths_S, lengths_S - horizon - ends_S + 1, 0)
        begun_S = store.begun(np.arange(len(histories)), ends_S)
        valid = WindowExamples(store, ends_S, np.where(begun_S, counts_S, 0), units_S)
        record["valid_share"] = share
        if not len(valid):
            raise InputError(
                f"{opened.records.name}: no series has {2 * horizon + 1:,} steps, to learn one horizon of {horizon:,} "
                "from and to hold one back: lower --horizon, or give --valid FILE"
            )
    if not len(train):
        raise InputError(f"{opened.records.name}: no value is known before a horizon of {horizon:,} steps: give more")
    record |= {**counts_record(train, valid), "series": len(histories)}
    answers_ = answers(task)
    shape = ExampleShape(
        steps=window,
        channels=1 + store.covariates,
        numbers=horizon * store.covariates,
        outputs=answers_.outputs,
        fitted=answers_.fitted,
    )
    told = [*opened.records.told, _about(histories, opened, cutting), *_about_left_out(left_out)]
    suited = _suited(request, settings, window)
    return Prepared(train, valid, shape, NO_TEXT, None, task, record, told if kept is None else [], suited=suited)


def levels_of(quantiles: str) -> tuple[float, ...]:
    """The levels in --quantiles, rising; UsageError for what is none."""
    if not quantiles:
        return DEFAULT_LEVELS
    try:
        levels = tuple(sorted({float(level) for level in quantiles.split(",") if level.strip()}))
    except ValueError:
        levels = ()
    if not levels or len(levels) > MOST_LEVELS or not all(0 < level < 1 for level in levels):
        raise UsageError(f"--quantiles {quantiles}: give up to {MOST_LEVELS} levels between 0 and 1, such as .1,.5,.9")
    return levels


def default_window(season: int, horizon: int, ends_S: Rows) -> int:
    """Whole seasons: fourteen, or more for three horizons, as far as the series allow."""
    wanted = max(SEASONS_READ * season, HORIZONS_READ * horizon)
    allowed = int(MOST_OF_A_SERIES * max(1.0, float(np.median(ends_S)) - horizon))
    if allowed < wanted:
        return max(1, allowed // season * season or allowed)
    return -(-wanted // season) * season


def _long_enough(histories: Sequence[History], horizon: int, source: str, errors: str) -> tuple[list[History], int]:
    """The series that have a horizon and a step before it; InputError for a shorter one, left out under `replace`."""
    short = [one for one in histories if len(one.values_T) <= horizon]
    if short and (errors == "strict" or len(short) == len(histories)):
        named = f"series {short[0].name[:40]!r} of {source}" if short[0].name else source
        others = f", and {len(short) - 1:,} others are too short, too" if len(short) > 1 else ""
        raise InputError(
            f"{named} has {len(short[0].values_T):,} steps, not more than the horizon of {horizon:,}{others}: lower "
            "--horizon, or leave such series out with --errors replace"
        )
    return [one for one in histories if len(one.values_T) > horizon], len(short)


def _held(lengths_S: Rows, share: float, horizon: int) -> Rows:
    """Steps at the end of each series that are held back: a share, at least a horizon; none of a series too short."""
    held_S = np.maximum(np.round(share * lengths_S).astype(np.int64), horizon)
    return np.where(lengths_S - held_S > horizon, held_S, np.where(lengths_S > 2 * horizon, horizon, 0))


def _deviation(values_T: Floats) -> float:
    """The standard deviation of what is known; 1 where that is constant."""
    known = values_T[np.isfinite(values_T)].astype(np.float64)
    return float(known.std()) if len(known) and known.min() < known.max() else 1.0


def error_unit(values_T: Floats, season: int) -> float:
    """In what the errors of a series count: the geometric mean of its deviation and its `seasonal_scale`."""
    deviation, step = _deviation(values_T), seasonal_scale(values_T, season)
    return math.sqrt(deviation * max(step, LEAST_STEP * deviation)) if step > 0 else deviation


def _windows(histories: Sequence[History], cutting: Cutting, ends_S: Rows) -> tuple[Rows, Rows]:
    """The first cut of each series and how many there are, for what is forecast to lie before `ends_S`.

    The first has a whole window before it, or, in a short series, half of what there is.
    """
    before_S = ends_S - cutting.horizon
    known_S = np.array([int(np.argmax(np.isfinite(one.values_T))) + 1 for one in histories], np.int64)
    firsts_S = np.maximum(np.minimum(cutting.window, np.maximum(before_S // 2, 1)), known_S)
    return firsts_S, np.maximum(before_S - firsts_S + 1, 0)


def same_answers(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the outputs of two runs mean the same: as many steps, read and told the same way."""
    return all(one[name] == other[name] for name in ("horizon", "window", "season", "levels", "covariates"))


def _covariate_scales(histories: Sequence[History], ends_S: Rows) -> tuple[np.ndarray, np.ndarray]:
    """The mean and deviation of each covariate, (K,), in what is learned from."""
    parts = [one.covariates_TK[:end] for one, end in zip(histories, ends_S, strict=True)]
    known_TK = np.concatenate(parts).astype(np.float64)
    if not known_TK.size:
        return np.zeros(known_TK.shape[1]), np.ones(known_TK.shape[1])
    known_TK[:1] = np.nan_to_num(known_TK[:1])  # so that there is one
    means_K, deviations_K = np.nanmean(known_TK, 0), np.nanstd(known_TK, 0)
    return means_K, np.where(deviations_K > 0, deviations_K, 1.0)


def _suited(request: Request, settings: Mapping[str, Any], window: int) -> dict[str, Any]:
    """The context that the model needs; UsageError for one that is asked for and does not go with the window."""
    traits = ARCHITECTURES[settings["model"]]
    asked = None if request.from_run is not None else request.settings.get("context")  # else it is that run's
    needs = "context" in traits.settings and not traits.whole
    if asked is not None and (asked < window if needs else "context" in request.flags):
        raise UsageError(f"--context {asked}: --window, now {window}, says how many steps are read; leave it out")
    return {"context": window} if needs else {}


def _about(histories: Sequence[History], table: SeriesTable, cutting: Cutting) -> str:
    """What there is, in words."""
    lengths = sorted(len(one.values_T) for one in histories)
    steps = f"{lengths[0]:,}" if lengths[0] == lengths[-1] else f"{lengths[0]:,} to {lengths[-1]:,}"
    columns = table.columns
    told_by = [f"{what} {name}" for what, name in (("times by", columns.time), ("series by", columns.series)) if name]
    known = [f"{', '.join(columns.future)} known beforehand"] if columns.future else []
    season = f"a season of {cutting.season}" if cutting.season > 1 else "no season"
    return (
        f"{len(histories):,} series of {steps} steps{''.join(f', {part}' for part in told_by + known)}, {season}: "
        f"{cutting.horizon:,} steps are forecast from the {cutting.window:,} before"
    )


def _about_left_out(count: int) -> list[str]:
    return [f"{count:,} series are left out: they are not longer than the horizon"] if count else []


def store_of(histories: Sequence[History], task: Mapping[str, Any]) -> SeriesStore:
    """Series as a run reads them."""
    try:
        means_K, deviations_K = (np.array(numbers, np.float64) for numbers in task["covariates"])
        if means_K.shape != (len(task["columns"]["future"]),) or not np.isfinite([means_K, deviations_K]).all():
            raise ValueError("scales of other columns")
        return SeriesStore(histories, cutting_of(task), means_K, deviations_K)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("a run's configuration does not say how series are read: it was edited") from error


def cutting_of(task: Mapping[str, Any]) -> Cutting:
    """How a run cuts windows; InputError when its configuration was edited."""
    try:
        cutting = Cutting(int(task["window"]), int(task["horizon"]), int(task["season"]))
        if min(cutting) < 1:
            raise ValueError("no steps")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("a run's configuration does not say what it forecasts: it was edited") from error
    return cutting


def heading(run: ExampleRun) -> list[str]:
    """The names of the columns."""
    return ["series", "time", "mean", *(f"q{level:g}" for level in answers(run.config.task).levels)]


def predictions(run: ExampleRun, paths: Sequence[str], asking: Asking) -> Iterator[list[Answer]]:
    """For each series a row for each step of the horizon behind its end."""
    histories = histories_of(reopened(paths, run.config.task, asking.errors))
    horizon = cutting_of(run.config.task).horizon
    for first in range(0, len(histories), asking.batch_size):
        block = histories[first : first + asking.batch_size]
        problems = [problem(one, horizon, run.config.task) for one in block]
        if asking.errors == "strict" and (first_problem := next(filter(None, problems), "")):
            raise InputError(f"{', '.join(paths)}: {first_problem}; or give --errors replace for an empty answer")
        whole = [one for one, trouble in zip(block, problems, strict=True) if not trouble]
        told = iter(forecast(run, store_of(whole, run.config.task), *_ends(whole)) if whole else ())
        yield [
            unanswered(trouble) if trouble else _answer(heading(run), one, next(told))
            for one, trouble in zip(block, problems, strict=True)
        ]


def _ends(histories: Sequence[History]) -> tuple[Rows, Rows]:
    """All series, and the cut behind the last step of each."""
    return np.arange(len(histories)), np.array([len(one.values_T) for one in histories], np.int64)


def problem(history: History, horizon: int, task: Mapping[str, Any]) -> str:
    """Why a series cannot be forecast, or nothing."""
    named = f"series {history.name[:40]!r}" if history.name else "the series"
    end = len(history.values_T)
    if not end:
        return f"{named} has no value that is known: give it some, or leave it out"
    if history.times is not None and end < 2:
        return f"{named} has one time only, and the step of times cannot be told: give more of it"
    ahead_HK = history.covariates_TK[end : end + horizon]
    lacking = [
        name
        for place, name in enumerate(task["columns"]["future"])
        if len(ahead_HK) < horizon or not np.isfinite(ahead_HK[:, place]).all()
    ]
    if lacking:
        return (
            f"{named} has no {', '.join(lacking)} for some of the {horizon} steps behind its end, step {end:,}: add "
            "rows for them, with that and without the target"
        )
    return ""


@torch.inference_mode()
def forecast(run: ExampleRun, store: SeriesStore, series_B: Rows, cuts_B: Rows) -> np.ndarray:
    """The mean and the quantiles behind each cut, in the data's units, (B, H, O)."""
    x, units = store.inputs(series_B, cuts_B)
    outputs = run.model(x.to(run.model.device)).float().cpu()
    return units.put_back(answers(run.config.task).told(outputs, run.fitted.cpu()))


def _answer(names: Sequence[str], history: History, told_HO: np.ndarray) -> Answer:
    steps = _ahead(history.times, len(told_HO))
    columns = [history.name] * len(steps), steps, *told_HO.T.tolist()
    rows = tuple(
        (_in_csv(name), str(step), *(f"{number:.7g}" for number in numbers))
        for name, step, *numbers in zip(*columns, strict=True)
    )
    content = dict(zip(names[1:], columns[1:], strict=True))
    return Answer(rows, {"series": history.name, **content})


def _ahead(times: Times | None, horizon: int) -> list[str | int]:
    """The times behind a series' end; without times, steps from 1."""
    if times is None:
        return list(range(1, horizon + 1))
    ahead = future_times(times, horizon)
    if ahead.dtype.kind != "M":
        return [int(time) for time in ahead]
    daily = not (times.astype(np.int64) % DAY_S).any()
    return [str(time).replace("T", " ") for time in ahead.astype("datetime64[D]" if daily else "datetime64[s]")]


def _in_csv(name: str) -> str:
    """A name as a cell of a CSV table."""
    cell = io.StringIO()
    csv.writer(cell, lineterminator="").writerow([name])
    return cell.getvalue() if name else ""


def evaluation(run: ExampleRun, paths: Sequence[str], asking: Asking) -> dict[str, Any]:
    """Every metric beside the baselines, of the windows that --backtest and --from choose."""
    histories = histories_of(reopened(paths, run.config.task, asking.errors))
    store = store_of(histories, run.config.task)
    report = backtested(
        histories,
        cutting_of(run.config.task),
        asking.backtest,
        known_deviations=run.config.task["deviations"],
        levels=answers(run.config.task).levels,
        forecast=lambda series_B, cuts_B: forecast(run, store, series_B, cuts_B),
        source=", ".join(paths),
    )
    return {"task": "forecast", **report}


def answers(task: Mapping[str, Any]) -> Forecasts:
    """What a run's configuration says is forecast; InputError when it was edited."""
    horizon = cutting_of(task).horizon
    try:
        levels = tuple(float(level) for level in task["levels"])
        if not levels or sorted(set(levels)) != list(levels) or not 0 < levels[0] <= levels[-1] < 1:
            raise ValueError("no levels")
        if not all(0 < deviation < math.inf for deviation in task["deviations"].values()):
            raise ValueError("no deviations")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError("a run's configuration does not say which quantiles it forecasts: it was edited") from error
    return Forecasts(horizon, levels)
