"""What `seqtool eval` writes of a run that learned from examples: its metrics beside a baseline, and tables."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqtool.cli.console import cell, in_row, table, write, write_report
from seqtool.cli.options import refuse_unused
from seqtool.settings.backtest import BacktestConfig
from seqtool.settings.checking import checked

SHOWN_CHARACTERS = 40  # of a label
SHOWN_CONFUSIONS = 12  # labels of which a confusion matrix is shown to a person


def write_evaluation(
    run: Path, files: Sequence[str], errors: str, device: str, json: bool, backtest: dict[str, Any]
) -> None:
    """Write the metrics of a run's answers to the rows of some files."""
    from seqtool.models.device import choose_device
    from seqtool.tasks.examples.asking import Asking, load_to_ask
    from seqtool.tasks.examples.modules import task_module

    loaded = load_to_ask(run, choose_device(device))
    task = loaded.config.task["name"]
    module = task_module(task)
    if not module.BACKTESTED:
        unused = {"--backtest": "backtest" in backtest, "--from": "start" in backtest}
        refuse_unused(unused, f"{run} learned to {task}, not to forecast series; leave that out")
    asking = Asking(errors=errors, backtest=checked(BacktestConfig(**backtest)))
    report = module.evaluation(loaded, files, asking)
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
