"""`seqtool eval`: score text."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional

import typer

from seqtool.cli.console import Meter, cell, in_columns, note, to_left, write, write_report
from seqtool.cli.evaluation_checks import (
    check_adapting,
    check_colour,
    check_flags,
    check_kinds,
    check_runs,
    refuse_of_text,
)
from seqtool.cli.evaluation_colour import write_coloured
from seqtool.cli.evaluation_report import Judging, write_evaluation
from seqtool.cli.evaluation_rows import UNITS, Rows, write_rows
from seqtool.cli.options import (
    Device,
    DocumentBreak,
    Errors,
    Json,
    JsonlField,
    Quiet,
    RunPath,
    option_of,
    refuse_unused,
    with_settings,
)
from seqtool.errors import UsageError
from seqtool.settings.backtest import BacktestConfig
from seqtool.settings.checking import checked
from seqtool.settings.examples import TRANSLATE
from seqtool.settings.fields import Panel
from seqtool.settings.scoring import EvalConfig
from seqtool.settings.writing import WritingConfig

if TYPE_CHECKING:
    from seqtool.runs.loading import Run
    from seqtool.text.documents import TextSource
    from seqtool.text.store import TokenStore

    Source = TextSource | TokenStore

EXAMPLES = (
    "seqtool eval novel.run chapter.txt --json",
    "seqtool eval novel.run chapter.txt --colour",
    "seqtool eval novel.run chapter.txt --adapt",
    "seqtool eval mt.run test.en --target test.de --beam 5",
)
NOT_JUDGED = ("temperature", "top_k", "top_p", "min_p", "constrain", "allow_unk", "seed")
"""Of the settings with which texts are written, those that are for writing them, not for judging a run."""
OF_TEXTS = ("beam", "length_penalty", "max_tokens", "copy_unknown")
FILE_COLUMNS = {
    "tokens": "tokens",
    "nats": "nats",
    "perplexity_per_token": "perplexity/token",
    "bits_per_byte": "bits/byte",
}
ADAPTED_COLUMNS = {"adapted_perplexity_per_token": "adapted", "adapted_bits_per_byte": "adapted bits"}
RUN_COLUMNS = {
    "model": "model",
    "vocabulary": "vocabulary",
    "parameters": "parameters",
    "tokens": "tokens",
    "unknowns": "unknowns",
    "perplexity_per_token": "perplexity/token",
    "bits_per_byte": "bits/byte",
}


@with_settings(EvalConfig, BacktestConfig, WritingConfig, leave_out=NOT_JUDGED)
def command(
    run: RunPath,
    texts: Annotated[
        Optional[list[str]],
        typer.Argument(
            metavar="[TEXT...]", help="Text or token stores to score; with --text, more runs.", show_default="-"
        ),
    ] = None,
    *,
    text: Annotated[
        Optional[list[str]],
        typer.Option(
            "--text",
            metavar="TEXT",
            help="Text to compare several runs on; may be repeated.",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    target: Annotated[
        Optional[str],
        typer.Option(
            "--target",
            metavar="FILE",
            help="The right texts, a line for each row, of a run that learned to translate files.",
            rich_help_panel=Panel.TRANSLATION,
        ),
    ] = None,
    per: Annotated[
        Optional[str], option_of(UNITS, "--per", help="Write a row for each, as it is read.", panel=Panel.SCORING)
    ] = None,
    carry: Annotated[
        bool,
        typer.Option(
            "--carry",
            help="With --per line: score the lines as one text, not each by itself.",
            rich_help_panel=Panel.SCORING,
        ),
    ] = False,
    bits: Annotated[
        bool,
        typer.Option("--bits", help="With --per: write bits instead of nats.", rich_help_panel=Panel.SCORING),
    ] = False,
    colour: Annotated[
        bool,
        typer.Option(
            "--colour",
            help="Write the text itself to a terminal, coloured by surprise.",
            rich_help_panel=Panel.SCORING,
        ),
    ] = False,
    given: Annotated[
        Optional[str],
        typer.Option(
            "--given",
            metavar="PREFIX",
            help="Text that precedes each document or line as context and is not scored.",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    jsonl_field: JsonlField = "",
    errors: Errors = "strict",
    document: DocumentBreak = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Score text: nats, perplexity per token, word and character, bits per character and byte.

    Every token is scored once, the first one given <s>. Several texts give a row each and a total; several runs with
    --text give a table. A transformer reads each token context / stride times.

    Bits per byte compares models whose vocabularies lose nothing of the text. What a vocabulary loses is reported
    (unknown words, letter case, white space), and its model is never marked as best, because what is lost costs it
    nothing.

    --adapt adds figures of dynamic evaluation (Krause et al. 2018), called adapted: a copy of the net goes on learning
    from the texts, in their order, a segment at a time, each scored before it is learned from. The run stays as it is.
    A gated mixture goes on counting instead, token by token. --cache looks back at the net's last states and at what
    followed them (Grave et al. 2017), by itself or with --adapt.

    --per writes nats, tokens, perplexity per token and the text, separated by tabs; in the text a backslash is \\\\, a
    tab \\t, a newline \\n, a carriage return \\r, which printf %b converts back. Words are separated by white space and
    include the space before them in the line; the end of a line is a row of its own. Rows of words, tokens, documents
    and, with --carry, lines therefore add up to the total. A token of several words counts for the first of them.
    """
    backtest: dict[str, Any] = {name: settings.pop(name) for name in ("backtest", "start") if name in settings}
    of_writing: dict[str, Any] = {name: settings.pop(name) for name in OF_TEXTS if name in settings}
    writing = checked(WritingConfig(**of_writing))
    config = checked(EvalConfig(**settings))
    check_flags(per, carry, bits, given, errors, document)
    check_adapting(config, settings, per, given)
    if colour:
        others = {"--per": per is not None, "--json": json, "--text": bool(text)}
        check_colour(others | {"--adapt": config.adapt, "--cache": config.cache > 0})

    from seqtool.models.device import choose_device
    from seqtool.runs.config import of_examples, read_config
    from seqtool.runs.loading import load_run

    flags_of_writing = {f"--{name.replace('_', '-')}": True for name in of_writing} | {"--target": target is not None}
    if of_examples(run):
        translates = read_config(run).task["name"] == TRANSLATE
        of_text = {
            "--text": text,
            "--per": per and not translates,
            "--carry": carry,
            "--bits": bits,
            "--colour": colour,
            "--given": given,
            "--document": document,
        }
        refuse_of_text(run, of_text, settings)
        about = Judging(errors, device, json, quiet, backtest, writing, target, per)
        write_evaluation(run, texts or ["-"], about, flags_of_writing)
        return
    refuse_unused(flags_of_writing, f"{run} learned to predict text, and translates none; leave that out")
    of_series = {"--backtest": "backtest" in backtest, "--from": "start" in backtest}
    refuse_unused(of_series, f"{run} does not forecast series; leave that out")
    from seqtool.text.store import is_store

    paths = [run, *map(Path, texts or [])] if text else [run]
    names = text or texts or ["-"]
    check_kinds(paths, names, errors, document)
    if per is not None and len(paths) > 1:
        raise UsageError("--per is for one run: leave out --per, or name one run")
    if config.adapts and len(paths) > 1:
        flag = "--adapt" if config.adapt else "--cache"
        raise UsageError(f"{flag} is for one run: leave out {flag}, or name one run")
    runs = [load_run(path, choose_device(device)) for path in paths]
    check_runs(runs, config, settings, quiet)
    breaks = [document or str(loaded.config.data.get("document", "file")) for loaded in runs]
    if carry and breaks[0] == "line" and not all(is_store(Path(name)) for name in names):
        raise UsageError("--carry: lines are documents here, scored by themselves; leave it out or add --document file")
    job = _Job(names, errors, jsonl_field, given or "", config, json, quiet)
    _write(runs, breaks, job, None if per is None else Rows(per, carry, breaks[0], bits, given or "", json), colour)


class _Job(NamedTuple):
    """What to score, how, and how to report it."""

    names: Sequence[str]
    errors: str
    field: str
    given: str
    config: EvalConfig
    json: bool
    quiet: bool


def _write(runs: Sequence[Run], breaks: Sequence[str], job: _Job, rows: Rows | None, colour: bool) -> None:
    """Write what was asked for: a table of runs, rows of units, the text in colours, a table of texts, or a report."""
    if len(runs) > 1:
        _compare(runs, breaks, job)
    elif rows is not None:
        # Only rows of documents can show that a file is empty.
        write_rows(runs[0], _sources(job, job.names, empty_files=rows.per == "document"), job.config, rows)
    elif colour:
        write_coloured(runs[0], _sources(job, job.names), job.config, breaks[0], job.given, job.quiet)
    elif len(job.names) > 1:
        _tabulate(runs[0], breaks[0], job)
    else:
        (report,) = _reports(runs[0], _sources(job, job.names, document=breaks[0]), job)
        lost = ", ".join(report["text_lost"]) or "nothing"
        write_report(report if job.json else {**report, "text_lost": lost}, job.json)


def _sources(
    job: _Job, names: Sequence[str], *, empty_files: bool = False, rereadable: bool = False, document: str = "file"
) -> list[Source]:
    """The sources of these names, in order: adjacent texts are one source, each token store is one."""
    from seqtool.text.documents import TextSource
    from seqtool.text.store import is_store, open_store

    sources: list[Source] = []
    for stored, group in groupby(names, key=lambda name: is_store(Path(name))):
        if stored:
            sources += [open_store(Path(name)) for name in group]
        else:
            texts = TextSource(
                list(group),
                errors=job.errors,
                document=document,
                empty_files=empty_files,
                rereadable=rereadable,
                field=job.field,
            )
            sources.append(texts)
    return sources


def _reports(run: Run, sources: Sequence[Source], job: _Job) -> Iterator[dict[str, Any]]:
    """The reports of some sources, showing the progress of scoring."""
    from seqtool.scoring.reports import text_reports

    meter: Meter | None = None

    def progress(done: int, tokens: int) -> None:
        nonlocal meter
        meter = meter or Meter("tokens", tokens, job.quiet)
        meter(done)

    yield from text_reports(run, sources, job.config, given=job.given, progress=progress)
    if meter is not None:
        meter.close()


def _tabulate(run: Run, document: str, job: _Job) -> None:
    """Write a row for each text, in order, and one for all."""
    from seqtool.scoring.reports import total_report

    sources = [one for name in job.names for one in _sources(job, [name], empty_files=True, document=document)]
    columns = FILE_COLUMNS | (ADAPTED_COLUMNS if job.config.adapts else {})
    forms = _forms(["total", *job.names], columns)
    reports: list[dict[str, Any]] = []
    for report in _reports(run, sources, job):
        if not (job.json or reports):
            write(in_columns(["text", *columns.values()], forms))
        reports.append(report)
        _write_entry(report, "text", columns, forms, job.json, _lost(report))
    total = total_report(reports)
    _write_entry(total, "text", columns, forms, job.json, _lost(total))


def _compare(runs: Sequence[Run], breaks: Sequence[str], job: _Job) -> None:
    """Write a row for each run on the same text, and mark the one with the fewest bits per byte among those that lose
    nothing. `breaks` says what separates documents for each run.
    """
    forms = _forms(["run", *(str(run.path) for run in runs)], RUN_COLUMNS)
    sources = _sources(job, job.names, empty_files=len(job.names) > 1, rereadable=True)
    reports = []
    for run, document in zip(runs, breaks, strict=True):
        reports.append(_report_of_run(run, sources, document, job))
        if job.json:
            _write_entry(reports[-1], "run", RUN_COLUMNS, forms, job.json)
    if job.json:
        return
    write(in_columns(["run", *RUN_COLUMNS.values()], forms))
    compared = [report["bits_per_byte"] for report in reports if _compares(report)]
    for report in reports:
        best = _compares(report) and report["bits_per_byte"] == min(compared)
        _write_entry(report, "run", RUN_COLUMNS, forms, job.json, "best" if best else _lost(report))
    if not compared and len({report["vocabulary_sha256"] for report in reports}) == 1:
        note("these runs share a vocabulary: their perplexities per token compare", job.quiet)


def _report_of_run(run: Run, sources: Sequence[Source], document: str, job: _Job) -> dict[str, Any]:
    """The report of a run on all sources, with its model, vocabulary and parameters."""
    from seqtool.scoring.reports import total_report
    from seqtool.text.documents import TextSource

    for source in sources:
        if isinstance(source, TextSource):
            source.document = document
    parts = list(_reports(run, sources, job))
    return {
        **(total_report(parts) if len(parts) > 1 else parts[0]),
        "model": run.config.name,
        "vocabulary": f"{run.vocabulary.type} {run.vocabulary.size:,}",
        "parameters": run.config.parameters,
    }


def _compares(report: dict[str, Any]) -> bool:
    """Whether a report's bits per byte can be compared between vocabularies."""
    return not report["text_lost"] and report["bits_per_byte"] is not None


def _lost(report: dict[str, Any]) -> str:
    """The mark of a row whose bits per byte cannot be compared; else empty."""
    return f"loses {', '.join(report['text_lost'])}" if report["text_lost"] else ""


def _write_entry(
    report: dict[str, Any], name: str, columns: dict[str, str], forms: Sequence[str], json: bool, mark: str = ""
) -> None:
    """Write a report as a JSON line, or as a row of a table with a `mark` at its end."""
    if json:
        write(json_module.dumps(report, ensure_ascii=False) + "\n", flush=True)
        return
    cells = [report[name], *(cell(report[column]) for column in columns), *([mark] if mark else [])]
    write(in_columns(cells, forms), flush=True)


def _forms(names: Iterable[str], columns: dict[str, str]) -> list[str]:
    """The forms of a table's columns: names, figures (of fixed width: rows are written as they come), and a mark."""
    return [to_left(names), *(">16" for _ in columns), ""]
