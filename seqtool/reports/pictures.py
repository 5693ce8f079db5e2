"""Charts and tables of coloured cells as data, which page.js draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from seqtool.reports.drawing import visible


class Line(NamedTuple):
    """A line of a chart, or points; a number that is not finite is left out."""

    name: str
    """Nothing: it is in no legend, and its values are not told."""
    x: Sequence[float]
    y: Sequence[float]
    kind: str = "mean"
    """mean: solid, valid: dashed, level: dotted, dots: points alone."""
    colour: int = 0


class Chart(NamedTuple):
    """Lines over a common axis."""

    title: str
    x_label: str
    lines: Sequence[Line]
    log_y: bool = False
    rings: Sequence[tuple[int, float, float, str]] = ()
    """Points of which more is to be said: colour, x, y, text."""

    def described(self) -> dict[str, Any]:
        """For JSON."""
        lines = [
            {**line._asdict(), "name": visible(line.name), "x": _finite(line.x), "y": _finite(line.y)}
            for line in self.lines
        ]
        return {**self._asdict(), "title": visible(self.title, LONGEST), "lines": lines, "rings": list(self.rings)}


class Heat(NamedTuple):
    """A table of shares, from -1 to 1, as colours: a row for each of `rows`."""

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    shares: Sequence[Sequence[float]]
    counts: Sequence[Sequence[int]] = ()
    """What is written into the cells."""

    def described(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "title": visible(self.title, LONGEST),
            "rows": [visible(name) for name in self.rows],
            "columns": [visible(name) for name in self.columns],
            "shares": [[round(float(share), 3) for share in row] for row in self.shares],
            "counts": [[int(count) for count in row] for row in self.counts],
        }


LONGEST = 200  # characters of a title


def _finite(values: Sequence[float]) -> list[float | None]:
    """To six digits; None for what is not finite, which JSON has no number for."""
    return [float(f"{value:.6g}") if abs(value) < float("inf") else None for value in values]
