"""On which windows of a series forecasts are judged."""

from __future__ import annotations

from dataclasses import dataclass

from seqtool.errors import UsageError
from seqtool.settings.fields import MAX_COUNT, Panel, setting

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class BacktestConfig:
    """On which windows of a series forecasts are judged."""

    backtest: str = setting(
        "",
        "Judge forecasts of the last N horizons of each series, one behind the other, or of all, step by step.",
        panel=Panel.SCORING,
        metavar="N|all",
        shown_default="1; all with --from",
    )
    start: str = setting(
        "",
        "Judge only forecasts of what comes from this time on, or after so many steps of each series.",
        panel=Panel.SCORING,
        flag="--from",
        metavar="STEPS|TIME",
    )

    def cutoffs(self, steps: int, horizon: int, first: int) -> range:
        """How many steps of a series come before each forecast, in order; `first` of them at least.

        UsageError for what is neither a number nor `all`.
        """
        last = steps - horizon
        wanted = self.backtest or (ALL if self.start else "1")
        if wanted == ALL:
            return range(max(1, first), last + 1)
        if not (wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= MAX_COUNT):
            raise UsageError(f"--backtest {wanted}: give a number of at least 1, or {ALL}")
        fitting = max(0, (last - max(1, first)) // horizon + 1)
        count = min(int(wanted), fitting)
        return range(last - (count - 1) * horizon, last + 1, horizon) if count else range(0)
