"""A page of pictures of ideas, each with what is claimed, whether it held, and the commands that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from seqtool.reports.drawing import visible
from seqtool.reports.pages import filled_page

PAGE = Path(__file__).with_name("gallery.html")


class Line(NamedTuple):
    """A line of a chart, or points; a number that is not finite is left out."""

    name: str
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


class Heat(NamedTuple):
    """A table of shares, from -1 to 1, as colours: a row for each of `rows`."""

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    shares: Sequence[Sequence[float]]


class Claim(NamedTuple):
    """A sentence with its numbers, and whether these bear it out."""

    text: str
    holds: bool


@dataclass(frozen=True)
class Picture:
    """An idea: what is taught, what these runs show of it, and the commands that were run."""

    title: str
    taught: str
    claims: Sequence[Claim]
    commands: Sequence[str]
    charts: Sequence[Chart] = ()
    heats: Sequence[Heat] = ()
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default=())


def gallery_page(pictures: Sequence[Picture], title: str, about: str) -> bytes:
    """A page that needs no other file; what is drawn never becomes markup or code."""
    return filled_page(PAGE, title, {"about": about, "pictures": [_described(picture) for picture in pictures]})


def _described(picture: Picture) -> dict[str, Any]:
    return {
        "title": picture.title,
        "taught": picture.taught,
        "claims": [{"text": claim.text, "holds": bool(claim.holds)} for claim in picture.claims],
        "commands": list(picture.commands),
        "charts": [
            {**chart._asdict(), "lines": [_line(line) for line in chart.lines], "rings": list(chart.rings)}
            for chart in picture.charts
        ],
        "heats": [
            {
                "title": heat.title,
                "rows": [visible(name) for name in heat.rows],
                "columns": [visible(name) for name in heat.columns],
                "shares": [[round(float(share), 3) for share in row] for row in heat.shares],
            }
            for heat in picture.heats
        ],
        "heads": list(picture.heads),
        "rows": [list(row) for row in picture.rows],
    }


def _line(line: Line) -> dict[str, Any]:
    return {**line._asdict(), "x": [_finite(x) for x in line.x], "y": [_finite(y) for y in line.y]}


def _finite(value: float) -> float | None:
    """To six digits; None for what is not finite, which JSON has no number for."""
    return float(f"{value:.6g}") if abs(value) < float("inf") else None
