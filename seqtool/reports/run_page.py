"""A page of runs: their curves and settings, and a text as they read it. It needs no other file and asks nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from seqtool.reports.curves import RunRecord, described, settings_table
from seqtool.reports.drawing import visible
from seqtool.reports.pages import filled_page
from seqtool.reports.remarks import remark, remarks

PAGE = Path(__file__).with_name("report.html")


def run_page(
    records: Sequence[RunRecord],
    texts: Sequence[dict[str, Any]] = (),
    answers: Sequence[dict[str, Any]] = (),
    *,
    written: str = "",
    follow_s: int = 0,
    followed: bool = False,
    training: Collection[int] = (),
) -> bytes:
    """The page of some runs, and of texts as `seqtool.reports.surprise` describes them, and of answers
    as `seqtool.reports.answers` does.

    `follow_s` is after how many seconds the page is to read itself again (0: never); `training` are the places of runs
    whose training goes on.
    """
    runs = described(records)
    for place, (run, record) in enumerate(zip(runs, records, strict=True)):
        run |= {"training": place in training, "remark": remark(record)}
    data = {
        "about": _about(runs, texts, answers),
        "runs": runs,
        "said": remarks(records),
        "settings": settings_table(records),
        "texts": list(texts),
        "answers": list(answers),
        "written": written,
        "follow": follow_s,
        "followed": followed,
    }
    names = ", ".join(run["name"] for run in runs)
    return filled_page(PAGE, visible(names), data)


def _about(runs: Sequence[dict[str, Any]], texts: Sequence[dict[str, Any]], answers: Sequence[dict[str, Any]]) -> str:
    """In a sentence, what the page is."""
    one = len(runs) == 1
    parts = ["what it cost and how its loss fell" if one else "what they cost and how their losses fell"]
    parts += [f"what surprised {'it' if one else 'them'} in a text"] if texts else []
    parts += ["what was answered to examples"] if answers else []
    parts += ["its settings" if one else "the settings in which they differ"]
    who = "A training" if one else f"{len(runs)} trainings"
    return f"{who} by seqtool: {', '.join(parts[:-1])}, and {parts[-1]}."
