"""Windows of series as examples, drawn from the series when they are taken.

A window is the history before a cut and the horizon behind it. Both are told in standard deviations of the history:
the history from its mean (reversible instance normalisation, Kim et al. 2022), the horizon from the seasonal naive
forecast, the history's last season again and again: without a season its last value (NLinear, Zeng et al. 2023). A
model whose answers are 0 is therefore that forecast. Nothing else normalises, so a series may lie anywhere, and one
that has been constant is forecast as that.

Shapes: S series, B windows, W steps of a window, H of the horizon, F numbers of a step, K covariates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from seqtool.models.example_model import ExampleInput
from seqtool.records.times import Times
from seqtool.tasks.examples.sets import Rows, Taken

Floats = npt.NDArray[np.floating[Any]]


class History(NamedTuple):
    """A series to its last known value; `covariates` may go on behind it, as far as they are known."""

    name: str
    values_T: npt.NDArray[np.float32]
    """nan where one is missing."""
    times: Times | None
    covariates_TK: npt.NDArray[np.float32]


class Units(NamedTuple):
    """What the numbers behind a cut are told from and in."""

    shift_BH: npt.NDArray[np.float64]
    scale_B: npt.NDArray[np.float64]
    """0 where the history is constant."""

    def told(self, ahead_BH: Floats) -> npt.NDArray[np.float64]:
        """Values in these units; behind a constant, as far as they are from it."""
        return (ahead_BH - self.shift_BH) / divisors(self.scale_B)

    def put_back(self, told_BHO: Floats) -> npt.NDArray[np.float64]:
        """In the data's units again; a constant comes out as it was."""
        return told_BHO * self.scale_B[:, None, None] + self.shift_BH[..., None]


def divisors(scale_B: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(B, 1): what to divide by, 1 where the history is constant."""
    return np.where(scale_B > 0, scale_B, 1.0)[:, None]


class Cutting(NamedTuple):
    """How windows are cut: steps read, steps forecast, and a season, by which what lies before a series is filled."""

    window: int
    horizon: int
    season: int


class SeriesStore:
    """Series one behind the other, and windows of them."""

    def __init__(
        self, histories: Sequence[History], cutting: Cutting, means_K: Floats | None = None, deviations_K: Any = None
    ) -> None:
        self.cutting = cutting
        self.lengths_S = np.array([len(one.values_T) for one in histories], np.int64)
        self._starts_S = np.concatenate([[0], np.cumsum(self.lengths_S)])
        self.truth = np.concatenate([one.values_T for one in histories] or [np.empty(0, np.float32)])
        known = np.isfinite(self.truth)
        self.gaps = not known.all()
        self._filled, self._last_known = self.truth, np.empty(0, np.int64)
        if self.gaps:
            parts = [self._parts(known, place) for place in range(len(histories))]
            self._filled = np.concatenate([filled for filled, _ in parts])
            self._last_known = np.concatenate([last for _, last in parts])
        self._known_until = np.concatenate([[0], np.cumsum(known)]) if self.gaps else None
        self.covariates = histories[0].covariates_TK.shape[1] if histories else 0
        if self.covariates:
            self._covariate_ends_S = np.array([len(one.covariates_TK) for one in histories], np.int64)
            self._covariate_starts_S = np.concatenate([[0], np.cumsum(self._covariate_ends_S)])
            raw = np.concatenate([one.covariates_TK for one in histories])
            self._covariates = np.nan_to_num((raw - means_K) / deviations_K).astype(np.float32)

    def _parts(self, known: npt.NDArray[np.bool_], place: int) -> tuple[Any, Any]:
        """A series without gaps, and for each step which was the last that is known, -1 where none was."""
        part = slice(self._starts_S[place], self._starts_S[place + 1])
        own, steps = known[part], np.arange(self.lengths_S[place])
        last = np.maximum.accumulate(np.where(own, steps, -1))
        filled = np.interp(steps, steps[own], self.truth[part][own]) if own.any() else np.zeros(len(steps))
        return filled.astype(np.float32), last

    def begun(self, series_B: Rows, cuts_B: Rows) -> npt.NDArray[np.bool_]:
        """Whether a value is known before each cut."""
        if not self.gaps:
            return cuts_B > 0
        before_B = self._starts_S[series_B] + cuts_B - 1
        return np.asarray((cuts_B > 0) & (self._last_known[before_B] >= 0))

    def inputs(self, series_B: Rows, cuts_B: Rows) -> tuple[ExampleInput, Units]:
        """What is known of windows: their histories in their own units, and the covariates of history and horizon.

        Of a gap the model reads the line between its neighbours, and where it reaches to the cut the season before:
        nothing from behind the cut. What lies before a series is filled with its first season.
        """
        W, H, season = self.cutting
        steps_BW = cuts_B[:, None] + np.arange(-W, 0)
        cycle_B1 = np.minimum(season, cuts_B)[:, None]
        steps_BW = np.where(steps_BW < 0, steps_BW % cycle_B1, steps_BW)
        valued_BW = steps_BW
        if self.gaps:
            last_B1 = self._last_known[self._starts_S[series_B] + cuts_B - 1][:, None]
            before_BW = steps_BW - season * -((last_B1 - steps_BW) // season)
            valued_BW = np.where(steps_BW <= last_B1, steps_BW, np.where(before_BW < 0, last_B1, before_BW))
        history_BW = self._filled[self._starts_S[series_B][:, None] + valued_BW].astype(np.float64)
        constant_B = history_BW.min(1) == history_BW.max(1)
        cycle = min(season, W)
        shift_BH = history_BW[:, W - cycle + np.arange(H) % cycle]
        units = Units(shift_BH, np.where(constant_B, 0.0, history_BW.std(1)))
        told_BW = (history_BW - history_BW.mean(1, keepdims=True)) / divisors(units.scale_B)
        steps_BWF, numbers = told_BW.astype(np.float32)[..., None], None
        if self.covariates:
            steps_BWF = np.concatenate([steps_BWF, self._covariates_at(series_B, steps_BW)], axis=-1)
            ahead = self._covariates_at(series_B, cuts_B[:, None] + np.arange(H))
            numbers = torch.from_numpy(ahead.reshape(len(ahead), -1))
        lengths_B = torch.full((len(cuts_B),), W, dtype=torch.int64)
        return ExampleInput(lengths_B, None, torch.from_numpy(steps_BWF), numbers), units

    def _covariates_at(self, series_B: Rows, steps_BT: Rows) -> npt.NDArray[np.float32]:
        """(B, T, K); 0, the mean, behind their end."""
        inside_BT = steps_BT < self._covariate_ends_S[series_B][:, None]
        places_BT = np.where(inside_BT, self._covariate_starts_S[series_B][:, None] + steps_BT, 0)
        found: npt.NDArray[np.float32] = np.where(inside_BT[..., None], self._covariates[places_BT], np.float32(0))
        return found

    def ahead(self, series_B: Rows, cuts_B: Rows) -> npt.NDArray[np.float32]:
        """What came behind the cuts, (B, H), nan where it is missing."""
        return self.truth[(self._starts_S[series_B] + cuts_B)[:, None] + np.arange(self.cutting.horizon)]

    def known_ahead(self, series_B: Rows, cuts_B: Rows) -> int:
        """How many values behind the cuts are known."""
        if self._known_until is None:
            return len(cuts_B) * self.cutting.horizon
        first_B = self._starts_S[series_B] + cuts_B
        return int((self._known_until[first_B + self.cutting.horizon] - self._known_until[first_B]).sum())


@dataclass(frozen=True)
class WindowExamples:
    """Of each series the windows with their cuts between two places, as examples."""

    store: SeriesStore
    firsts_S: Rows
    """The least history of each series, in steps."""
    counts_S: Rows
    """How many windows it has, each a step behind the one before."""
    units_S: npt.NDArray[np.float64]
    """What errors count in, of each series."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_until_S", np.cumsum(self.counts_S))

    def __len__(self) -> int:
        return int(self._until_S[-1]) if len(self._until_S) else 0  # type: ignore[attr-defined]

    @property
    def lengths_N(self) -> Rows:
        """All the same."""
        return np.broadcast_to(np.int64(self.store.cutting.window), len(self))

    def places(self, rows: Rows) -> tuple[Rows, Rows]:
        """The series and the cut of some windows."""
        until_S = self._until_S  # type: ignore[attr-defined]
        series_B = np.searchsorted(until_S, rows, side="right")
        return series_B, self.firsts_S[series_B] + rows - (until_S - self.counts_S)[series_B]

    def targets_in(self, rows: Rows) -> int:
        """The known values behind the cuts."""
        return self.store.known_ahead(*self.places(rows))

    def take(self, rows: Rows) -> Taken:
        """Some windows; targets (B, H + 1): the horizon in the window's units, nan where it is missing, then the size
        of these units in those of the series, 0 where the history is constant and there is nothing to learn.
        """
        series_B, cuts_B = self.places(rows)
        x, units = self.store.inputs(series_B, cuts_B)
        sizes_B = units.scale_B / self.units_S[series_B]
        ahead_BH = units.told(self.store.ahead(series_B, cuts_B))
        ahead_BH[sizes_B == 0] *= 0.0
        targets = np.concatenate([ahead_BH, sizes_B[:, None]], axis=1).astype(np.float32)
        return Taken(x, torch.from_numpy(targets), None)
