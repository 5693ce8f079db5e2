"""A page of pictures of ideas, each with what is claimed, whether it held, and the commands that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from seqtool.reports.pages import filled_page
from seqtool.reports.pictures import Chart, Heat

PAGE = Path(__file__).with_name("gallery.html")


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
        "charts": [chart.described() for chart in picture.charts],
        "heats": [heat.described() for heat in picture.heats],
        "heads": list(picture.heads),
        "rows": [list(row) for row in picture.rows],
    }
