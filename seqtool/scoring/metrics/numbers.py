"""Metrics of regression. Shapes: N rows, D targets; every function gives a value per target, of shape (D,)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqtool.scoring.metrics.values import Floats, for_json, mean_of_defined, ratio, require_finite, table


def mean_squared_error(truth_ND: Floats, predicted_ND: Floats) -> Floats:
    """1/N sum_n (y[n] - f[n])^2, in the target's units squared; NaN of no rows."""
    return ratio(np.square(_errors(truth_ND, predicted_ND)).sum(0), len(truth_ND))


def mean_absolute_error(truth_ND: Floats, predicted_ND: Floats) -> Floats:
    """1/N sum_n |y[n] - f[n]|, in the target's units; NaN of no rows."""
    return ratio(np.abs(_errors(truth_ND, predicted_ND)).sum(0), len(truth_ND))


def r2_score(truth_ND: Floats, predicted_ND: Floats) -> Floats:
    """1 - sum_n (y[n] - f[n])^2 / sum_n (y[n] - mean y)^2, the share of the variance that is explained.

    NaN where all values of a target are the same (scikit-learn says 0, or 1 if they are predicted exactly).
    """
    truth_ND = truth_ND.astype(np.float64)
    if not len(truth_ND):
        return np.full(truth_ND.shape[1], np.nan)
    varies_D = truth_ND.max(0) > truth_ND.min(0)
    spread_D = np.square(truth_ND - truth_ND.mean(0)).sum(0)
    unexplained_D = np.square(_errors(truth_ND, predicted_ND)).sum(0)
    return 1 - ratio(unexplained_D, np.where(varies_D, spread_D, 0))


def numbers_report(
    names: Sequence[str], truth_ND: Floats, predicted_ND: Floats, *, mean_D: Floats, deviation_D: Floats
) -> dict[str, Any]:
    """Every metric of a regression, ready for JSON, beside the baseline that always predicts the training mean.

    `mean_D` and `deviation_D` are those of the targets in training. Errors are in the data's units and, under names
    that end in `_in_deviations`, of targets divided by their deviation. Over several targets each is the mean of the
    targets' (scikit-learn's uniform average), and `targets` has each.
    """
    require_finite("true numbers", truth_ND)
    require_finite("predicted numbers", predicted_ND)
    baseline_ND = np.broadcast_to(np.asarray(mean_D, np.float64), truth_ND.shape)
    columns = {
        **_figures(truth_ND, predicted_ND, deviation_D),
        **{f"baseline_{name}": each for name, each in _figures(truth_ND, baseline_ND, deviation_D).items()},
    }
    return for_json(
        {
            "rows": len(truth_ND),
            "baseline": "training mean",
            **{name: mean_of_defined(each) for name, each in columns.items()},
            "targets": table(
                target=names,
                training_mean=np.asarray(mean_D).tolist(),
                training_deviation=np.asarray(deviation_D).tolist(),
                **{name: each.tolist() for name, each in columns.items()},
            ),
        }
    )


def _figures(truth_ND: Floats, predicted_ND: Floats, deviation_D: Floats) -> dict[str, Floats]:
    mse_D, mae_D = mean_squared_error(truth_ND, predicted_ND), mean_absolute_error(truth_ND, predicted_ND)
    return {
        "mse": mse_D,
        "rmse": np.sqrt(mse_D),
        "mae": mae_D,
        "r2": r2_score(truth_ND, predicted_ND),
        "mse_in_deviations": ratio(mse_D, np.square(np.asarray(deviation_D, np.float64))),
        "rmse_in_deviations": ratio(np.sqrt(mse_D), deviation_D),
        "mae_in_deviations": ratio(mae_D, deviation_D),
    }


def _errors(truth_ND: Floats, predicted_ND: Floats) -> Floats:
    return truth_ND.astype(np.float64) - predicted_ND
