"""Drawing a curve of losses with Unicode's Braille patterns: each character is two by four dots."""

from __future__ import annotations

import math
from collections.abc import Sequence

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # the bit of each dot, by row and column
BLANK = 0x2800


def draw(points: Sequence[tuple[float, float]], width: int, height: int, end: float) -> list[str]:
    """A plot of (x, y) `points` as lines: x from 0 to `end`, y from the least finite value up to the largest."""
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    if not finite or end <= 0:
        return []
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    span = (high - low) or 1.0
    cells = [[0] * width for _ in range(height)]
    for x, y in finite:
        column = min(2 * width - 1, max(0, round(x / end * (2 * width - 1))))
        row = min(4 * height - 1, round((high - y) / span * (4 * height - 1)))
        cells[row // 4][column // 2] |= DOTS[row % 4][column % 2]
    labels = {0: f"{high:7.3f} ", height - 1: f"{low:7.3f} "}
    return [
        labels.get(number, " " * 8) + "".join(chr(BLANK + cell) for cell in row) for number, row in enumerate(cells)
    ]
