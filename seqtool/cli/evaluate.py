"""`seqtool eval`: score text."""

from __future__ import annotations

import json as json_module
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.checking import checked
from seqtool.cli.console import Meter, note, write, write_report
from seqtool.cli.options import (
    Device,
    DocumentBreak,
    Errors,
    Json,
    Quiet,
    RunPath,
    chosen,
    document_break,
    with_settings,
)
from seqtool.config import ERROR_HANDLERS, EvalConfig
from seqtool.errors import UsageError

if TYPE_CHECKING:
    from seqtool.inference.rows import Row
    from seqtool.runs import Run
    from seqtool.text.documents import TextSource

NAME = "eval"
EXAMPLE = "seqtool eval novel.run chapter.txt --json"
UNITS = ("line", "token", "document")
WRITTEN_CHARACTERS = 1 << 16
FILE_COLUMNS = {
    "tokens": "tokens",
    "nats": "nats",
    "perplexity_per_token": "perplexity/token",
    "bits_per_byte": "bits/byte",
}
RUN_COLUMNS = {
    "model": "model",
    "vocabulary": "vocabulary",
    "parameters": "parameters",
    "tokens": "tokens",
    "unknowns": "unknowns",
    "perplexity_per_token": "perplexity/token",
    "bits_per_byte": "bits/byte",
}


@with_settings(EvalConfig)
def command(
    run: RunPath,
    texts: Annotated[
        Optional[list[str]],
        typer.Argument(metavar="[TEXT...]", help="Text to score; with --text, further runs. \\[-]"),
    ] = None,
    *,
    text: Annotated[
        Optional[list[str]], typer.Option("--text", metavar="TEXT", help="Text to compare several runs on.")
    ] = None,
    per: Annotated[
        Optional[str], typer.Option("--per", metavar="|".join(UNITS), help="A row for each, as it is read.")
    ] = None,
    carry: Annotated[bool, typer.Option("--carry", help="With --per line: score the lines as one text.")] = False,
    errors: Errors = "strict",
    document: DocumentBreak = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Score text: nats, perplexity per token, word and character, bits per character and byte.

    Every token counts once, the first included (given <s>). Several texts make a row each and a total; several runs
    and --text a table. Bits per byte compares any two models. A transformer reads a token context / stride times.
    """
    config = checked(EvalConfig(**settings))
    if per is not None:
        chosen(per, UNITS, "--per")
    if carry and per != "line":
        raise UsageError("--carry goes with --per line")
    chosen(errors, ERROR_HANDLERS, "--errors")
    if document is not None:
        document_break(document)

    from seqtool.inference.scoring import check_window
    from seqtool.models.device import choose_device
    from seqtool.runs import is_run, load_run
    from seqtool.text.documents import TextSource

    paths = [run, *map(Path, texts or [])] if text else [run]
    names = text or texts or ["-"]
    for name in names:
        if is_run(Path(name)):
            raise UsageError(f"{name} is a run, not text: to compare runs, name the text with --text")
    if per is not None and len(paths) > 1:
        raise UsageError("--per is for one run: leave out --per, or name one run")
    runs = [load_run(path, choose_device(device)) for path in paths]
    for loaded in runs:
        context, stride = check_window(loaded.model, config.context, config.stride)
        if config.context or config.stride:
            note(
                f"{loaded.path}: context {context}, stride {stride}: a token is read {context / stride:.4g} times",
                quiet,
            )

    def breaks(loaded: Run) -> str:
        return document or str(loaded.config.data.get("document", "file"))

    if len(runs) > 1:
        source = TextSource(names, errors=errors, rereadable=True)
        _compare(runs, source, [breaks(loaded) for loaded in runs], config, json, quiet)
    elif per is not None:
        _write_rows(runs[0], TextSource(names, errors=errors), config, per, carry, breaks(runs[0]), json)
    elif len(names) > 1:
        sources = [TextSource([name], errors=errors, document=breaks(runs[0])) for name in names]
        _tabulate(runs[0], sources, config, json, quiet)
    else:
        write_report(_report(runs[0], TextSource(names, errors=errors, document=breaks(runs[0])), config, quiet), json)


def _report(run: Run, source: TextSource, config: EvalConfig, quiet: bool) -> dict[str, Any]:
    """Score a source and show how far it is."""
    from seqtool.inference.reports import text_report

    meter: Meter | None = None

    def progress(done: int, tokens: int) -> None:
        nonlocal meter
        meter = meter or Meter("tokens", tokens, quiet)
        meter(done)

    report = text_report(run, source, config, progress)
    if meter is not None:
        meter.close()
    return report


def _tabulate(run: Run, sources: Sequence[TextSource], config: EvalConfig, json: bool, quiet: bool) -> None:
    """A row for each text, as soon as it is scored, and one for all."""
    from seqtool.inference.reports import total_report

    width = max(len("total"), *(len(source.name) for source in sources))
    if not json:
        write(_cells("text", FILE_COLUMNS.values(), width) + "\n", flush=True)
    reports = []
    for source in sources:
        reports.append(_report(run, source, config, quiet))
        _write_entry(reports[-1], "text", FILE_COLUMNS, width, json)
    _write_entry(total_report(reports), "text", FILE_COLUMNS, width, json)


def _compare(
    runs: Sequence[Run], source: TextSource, breaks: Sequence[str], config: EvalConfig, json: bool, quiet: bool
) -> None:
    """A row for each run on the same text, the one with the fewest bits per byte marked."""
    width = max(len("run"), *(len(str(run.path)) for run in runs))
    reports = []
    for run, source.document in zip(runs, breaks, strict=True):
        about = {
            "model": run.config.model.model,
            "vocabulary": f"{run.vocabulary.type} {run.vocabulary.size:,}",
            "parameters": run.config.parameters,
        }
        reports.append({**_report(run, source, config, quiet), **about})
        if json:
            _write_entry(reports[-1], "run", RUN_COLUMNS, width, json)
    if json:
        return
    write(_cells("run", RUN_COLUMNS.values(), width) + "\n")
    known = [report["bits_per_byte"] for report in reports if report["bits_per_byte"] is not None]
    for report in reports:
        best = bool(known) and report["bits_per_byte"] == min(known)
        _write_entry(report, "run", RUN_COLUMNS, width, json, "  best" if best else "")


def _write_entry(
    report: dict[str, Any], name: str, columns: dict[str, str], width: int, json: bool, mark: str = ""
) -> None:
    """A report as a JSON line or as a row of a table."""
    if json:
        write(json_module.dumps(report, ensure_ascii=False) + "\n", flush=True)
        return
    write(_cells(report[name], (_cell(report[column]) for column in columns), width) + mark + "\n", flush=True)


def _cells(name: str, cells: Iterable[str], width: int) -> str:
    return f"{name:<{width}}" + "".join(f"  {cell:>16}" for cell in cells)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.4f}"


def _write_rows(
    run: Run, source: TextSource, config: EvalConfig, per: str, carry: bool, document: str, json: bool
) -> None:
    """Write the rows of `--per`, in input order; what can be answered is written before more is read."""
    from seqtool.inference.rows import score_rows

    shown = _json_parts if json else _tsv_parts
    for rows in score_rows(run.model, run.vocabulary, source, config, per=per, carry=carry, document=document):
        held: list[str] = []
        size = 0
        for row in rows:
            for part in shown(row, per):
                held.append(part)
                size += len(part)
                if size >= WRITTEN_CHARACTERS:
                    write("".join(held))
                    held, size = [], 0
        write("".join(held), flush=True)


def _json_parts(row: Row, per: str) -> Iterator[str]:
    numbers = {"nats": row.nats, "tokens": row.tokens, "perplexity": row.perplexity}
    yield json_module.dumps(numbers)[:-1] + ', "text": "'
    for part in row.text:
        yield json_module.dumps(part, ensure_ascii=False)[1:-1]
    yield '"}\n'


def _tsv_parts(row: Row, per: str) -> Iterator[str]:
    shown = row.perplexity
    yield f"{row.nats:.6f}\t{row.tokens}\t{(math.inf if row.tokens else math.nan) if shown is None else shown:.4f}\t"
    ended = ""  # a line's last newline is not shown
    for part in row.text:
        text = ended + part
        ended = "\n" if text.endswith("\n") and per != "token" else ""
        yield text.removesuffix(ended).replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    yield "\n"
