"""What the metrics share: means that may be undefined, the refusal of NaN, and figures ready for JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]


def require_finite(what: str, values: Floats) -> None:
    """InputError, naming the first row (axis 0), unless every value is a finite number."""
    if np.isfinite(values).all():
        return
    wrong = np.argwhere(~np.isfinite(values))
    raise InputError(
        f"the {what} hold {len(wrong)} values that are not finite numbers, the first in row {wrong[0][0] + 1}: "
        "check the input's numbers, or train again with a lower learning rate"
    )


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Divide element by element; NaN where the denominator is 0."""
    above, below = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below == 0, np.nan, above / below)


def mean(values: npt.NDArray[Any]) -> float:
    """The mean of all elements; NaN of none."""
    return float(values.mean(dtype=np.float64)) if values.size else math.nan


def mean_of_defined(values: Floats) -> float:
    """The mean of the elements that are not NaN; NaN of none."""
    return mean(values[~np.isnan(values)])


def for_json(value: Any) -> Any:
    """Arrays as lists, numpy's scalars as Python's, and None for every float that is not finite, at any depth."""
    if isinstance(value, dict):
        return {name: for_json(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [for_json(each) for each in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return for_json(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(**columns: Any) -> list[dict[str, Any]]:
    """Rows of a table from its columns, which are sequences of one length."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
