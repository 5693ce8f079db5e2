"""What `seqtool eval` writes of a run that learned from examples: its metrics beside a baseline, and tables."""

from __future__ import annotations

import json as json_module
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seqtool.cli.console import cell, in_row, note, table, write, write_report
from seqtool.cli.options import refuse_unused
from seqtool.errors import UsageError
from seqtool.settings.backtest import BacktestConfig
from seqtool.settings.checking import checked
from seqtool.settings.examples import TRANSLATE
from seqtool.settings.writing import WritingConfig

if TYPE_CHECKING:
    from seqtool.runs.loading import ExampleRun
    from seqtool.tasks.examples.asking import Asking

SHOWN_CHARACTERS = 40  # of a label
SHOWN_CONFUSIONS = 12  # labels of which a confusion matrix is shown to a person


class Judging(NamedTuple):
    """How a run of examples is judged, and how that is reported."""

    errors: str
    device: str
    json: bool
    quiet: bool
    backtest: dict[str, Any]
    writing: WritingConfig
    target: str | None
    """The file with the right texts."""
    per: str | None


def write_evaluation(run: Path, files: Sequence[str], about: Judging, of_texts: dict[str, bool]) -> None:
    """Write the metrics of a run's answers to the rows of some files; `of_texts` are flags for translations."""
    from seqtool.models.device import choose_device
    from seqtool.tasks.examples.asking import Asking, load_to_ask
    from seqtool.tasks.examples.modules import task_module

    loaded = load_to_ask(run, choose_device(about.device))
    task = loaded.config.task["name"]
    module = task_module(task)
    if not module.BACKTESTED:
        unused = {"--backtest": "backtest" in about.backtest, "--from": "start" in about.backtest}
        refuse_unused(unused, f"{run} learned to {task}, not to forecast series; leave that out")
    if task != TRANSLATE:
        refuse_unused(of_texts, f"{run} learned to {task}; leave that out")
    asking = Asking(
        errors=about.errors,
        backtest=checked(BacktestConfig(**about.backtest)),
        writing=about.writing,
        targets=about.target,
    )
    if about.per is not None:
        unused = {flag: given for flag, given in of_texts.items() if flag != "--target"}
        refuse_unused(unused, "--per line scores the right texts and writes none; leave that out")
        _write_lines(loaded, files, asking, about)
        return
    report = module.evaluation(loaded, files, asking)
    for sentence in report.pop("notes", []):
        note(sentence, about.quiet)
    json = about.json
    if json:
        write(json_module.dumps(report, ensure_ascii=False) + "\n")
        return
    confusion = report.pop("confusion", None)
    report = in_one(report)
    tables = {name: value for name, value in report.items() if isinstance(value, list) and value}
    named = [_short(row["label"]) for row in tables.get("labels", [])]
    write_report({name: value for name, value in report.items() if not isinstance(value, list)}, as_json=False)
    for name, rows in tables.items():
        write(f"\n{name.replace('_', ' ')}\n")
        write(rows_table(rows))
    if confusion and len(confusion) <= SHOWN_CONFUSIONS:
        write("\ntrue label, and how often each was told\n")
        write(table([["", *named], *([label, *map(str, row)] for label, row in zip(named, confusion, strict=True))]))


def _write_lines(run: ExampleRun, files: Sequence[str], asking: Asking, about: Judging) -> None:
    """Write for each row nats, tokens and perplexity of its right text, and that text.

    A row that cannot be read keeps its place: without nats, with 0 tokens.
    """
    from seqtool.tasks.pairs.judging import scored_rows

    if about.per != "line":
        raise UsageError(f"--per {about.per}: translations are judged line by line; give --per line")
    for one in scored_rows(run, files, asking):
        perplexity = None if one.nats is None else math.exp(min(700.0, one.nats / one.tokens))
        text = one.pair.target or ""
        if about.json:
            row = {"nats": one.nats, "tokens": one.tokens, "perplexity": perplexity, "text": text}
            write(json_module.dumps(row, ensure_ascii=False) + "\n")
        else:
            nats, shown = (
                "" if value is None else f"{value:.{places}f}" for value, places in ((one.nats, 6), (perplexity, 4))
            )
            write(f"{nats}\t{one.tokens}\t{shown}\t{in_row(text)}\n")


def in_one(report: dict[str, Any]) -> dict[str, Any]:
    """A report with the entries of those in it, such as that of spans, as its own: `spans f1`."""
    parts: dict[str, Any] = {}
    for name, value in report.items():
        parts |= {f"{name}_{key}": part for key, part in value.items()} if isinstance(value, dict) else {name: value}
    return parts


def rows_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows with the same names of columns as a table."""
    if not all(isinstance(row, dict) for row in rows):
        return "".join(f"{row}\n" for row in rows)
    names = list(rows[0])
    cells = [[_short(cell(row.get(name))) for name in names] for row in rows]
    return table([[name.replace("_", " ") for name in names], *cells])


def _short(text: str) -> str:
    """A text that fits into a cell of a table: one line, its end cut off."""
    text = in_row(text)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
