"""Which windows of a series are judged."""

from __future__ import annotations

import pytest

from seqtool.errors import UsageError
from seqtool.settings.backtest import BacktestConfig


@pytest.mark.parametrize(("config", "first", "cutoffs"), [
    (BacktestConfig(), 1, [7]),
    (BacktestConfig(backtest="2"), 1, [4, 7]),
    (BacktestConfig(backtest="9"), 1, [1, 4, 7]),
    (BacktestConfig(backtest="9"), 2, [4, 7]),
    (BacktestConfig(backtest="all"), 4, [4, 5, 6, 7]),
    (BacktestConfig(start="5"), 5, [5, 6, 7]),
    (BacktestConfig(start="5", backtest="1"), 5, [7]),
    (BacktestConfig(start="8"), 8, []),
    (BacktestConfig(backtest="3"), 8, []),
    (BacktestConfig(backtest="all"), 0, [1, 2, 3, 4, 5, 6, 7]),
])  # fmt: skip
def test_cutoffs_end_at_the_end(config: BacktestConfig, first: int, cutoffs: list[int]):
    """One behind the other, a horizon apart, or step by step; none without a step before it."""
    assert list(config.cutoffs(10, 3, first)) == cutoffs


@pytest.mark.parametrize("asked", ["0", "-1", "1.5", "every", "١", "9" * 30])
def test_what_is_no_number_is_refused(asked: str):
    with pytest.raises(UsageError, match=f"--backtest {asked}: give a number of at least 1, or all"):
        BacktestConfig(backtest=asked).cutoffs(10, 3, 1)
