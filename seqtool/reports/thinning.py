"""Long series made short enough to draw: of each stretch, its extremes and its mean.

Shapes: N logged steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Series = Mapping[str, npt.NDArray[np.float64]]


def stretches(count: int, most: int) -> list[slice]:
    """`count` places as at most `most` stretches of about the same length, in order."""
    edges = np.linspace(0, count, min(most, count) + 1).round().astype(int)
    return [slice(start, stop) for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]


def extremes(columns: Series, by: Sequence[str], most: int, kept: Sequence[int] = ()) -> npt.NDArray[np.int64]:
    """The places, ascending, of the least and the largest value of the columns `by` in each of `most` stretches.

    The first and the last place are among them, and those of `kept`; so a spike is never lost.
    """
    count = len(columns["step"])
    if count <= 2 * most * len(by):
        return np.arange(count)
    places = {0, count - 1, *kept}
    for part in stretches(count, most):
        for name in by:
            values = columns[name][part]
            if np.isfinite(values).any():
                places |= {part.start + int(np.nanargmin(values)), part.start + int(np.nanargmax(values))}
    return np.array(sorted(places), np.int64)


def means(columns: Series, names: Sequence[str], most: int) -> dict[str, npt.NDArray[np.float64]]:
    """The means of these columns in each of `most` stretches, of their finite values; NaN where there is none."""
    parts = stretches(len(columns["step"]), most)
    return {name: np.array([mean(columns[name][part]) for part in parts]) for name in names}


def mean(values: npt.NDArray[np.float64]) -> float:
    """The mean of the finite ones; NaN where there is none, or it is not finite."""
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        found = float(finite.mean()) if len(finite) else np.nan
    return found if np.isfinite(found) else np.nan
