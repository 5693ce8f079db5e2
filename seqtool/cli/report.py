"""`seqtool report`: draw runs on a page."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional

import typer

from seqtool.cli.completion import runs as offer_runs
from seqtool.cli.console import Meter, note, write_bytes
from seqtool.cli.options import Device, Errors, Force, Quiet, chosen
from seqtool.errors import StoppedError, UsageError
from seqtool.settings.fields import Panel
from seqtool.settings.vocabulary import ERROR_HANDLERS

if TYPE_CHECKING:
    from seqtool.reports.curves import RunRecord

EXAMPLES = (
    "seqtool report novel.run runs/novel-lstm --text chapter.txt -o report.html",
    "seqtool report novel.run -o report.html --follow",
)
POLL_S = 1.0
RELOAD_S = 5
MAX_RUNS = 50


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", autocompletion=offer_runs, help="Run directories that seqtool made."),
    ],
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Page to write, in HTML; - is standard output.")
    ],
    text: Annotated[
        Optional[str],
        typer.Option(
            "--text",
            metavar="FILE",
            help="Text or token store that the language models read, to show what surprises them.",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Write the page again while a training goes on, until it ends; a browser reads it again by itself.",
            rich_help_panel=Panel.PROGRESS,
        ),
    ] = False,
    errors: Errors = "strict",
    device: Device = "auto",
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Draw runs on a page that needs no network and no other file.

    Losses of all runs on one axis, by step, tokens or seconds, and the step whose weights were kept; training against
    validation; learning rate, gradient norm and skipped steps; the gradient by lag of --probe-gradients; and the
    settings in which the runs differ.

    With --text each language model reads the beginning of a text once. It is shown coloured by surprise, with the five
    likeliest tokens in each place; the most surprising tokens and lines are listed; and calibration says how often what
    was predicted with so much probability came. Of a recurrent net the text is also coloured by the units that best
    follow quotations, the place in a line and indentation (Karpathy et al. 2015); of a transformer by attention.

    With --follow the page is written again as metrics come, and keeps what was chosen on it when the browser reloads
    it. It ends with the training, or with Ctrl-C.
    """
    from seqtool.files.writing import refuse_file

    if len(runs) > MAX_RUNS:
        raise UsageError(f"{len(runs)} runs are too many for a page: name at most {MAX_RUNS}")
    if str(output) == "-":
        if follow:
            raise UsageError("--follow writes a file again and again: name one with -o, not standard output")
    else:
        refuse_file(output, force, [*map(str, runs), *([text] if text else [])])
    if text is None and errors != "strict":
        raise UsageError("--errors is for the file of --text: leave it out")
    if text is None and device != "auto":
        raise UsageError("--device is where the models read --text: leave it out")
    chosen(errors, ERROR_HANDLERS, "--errors")
    page = _Page(runs, output, None if text is None else _Text(text, errors, device), quiet)
    if follow:
        _follow(page)
    else:
        page.write()
    note(f"open {shlex.quote(str(output))} in a browser", quiet or str(output) == "-")


class _Text(NamedTuple):
    """What the language models are to read, and where they run."""

    name: str
    errors: str
    device: str


class _Page:
    """The page of some runs, written as often as asked."""

    def __init__(self, runs: Sequence[Path], output: Path, text: _Text | None, quiet: bool) -> None:
        self.runs, self.output, self.quiet = runs, output, quiet
        self._text = text
        self._source: Any = None
        self._readings: dict[int, tuple[tuple[int, int], dict[str, Any]]] = {}

    def write(self, follow_s: int = 0, followed: bool = False, training: Sequence[int] = ()) -> None:
        """Write the page as the runs are now."""
        from seqtool.files.writing import atomic_writer
        from seqtool.reports.curves import read_record
        from seqtool.reports.run_page import run_page

        records: list[RunRecord] = [read_record(run) for run in self.runs]
        content = run_page(
            records,
            [] if self._text is None else self._read(records, self._text),
            written=time.strftime("%H:%M:%S"),
            follow_s=follow_s,
            followed=followed,
            training=training,
        )
        if str(self.output) == "-":
            write_bytes(content, flush=True)
            return
        with atomic_writer(self.output, len(content)) as stream:
            stream.write(content)

    def _read(self, records: Sequence[RunRecord], text: _Text) -> list[dict[str, Any]]:
        """The text as each language model reads it; again only where weights have changed."""
        from seqtool.runs.config import WEIGHTS
        from seqtool.settings.examples import LANGUAGE

        readers = [place for place, record in enumerate(records) if record.task == LANGUAGE]
        if not readers:
            raise UsageError("--text is for language models, and none of these runs is one: leave it out")
        if self._source is None:
            self._source = _opened(text)
        for place in readers:
            stamp = _stamp(self.runs[place] / WEIGHTS)
            if place not in self._readings or self._readings[place][0] != stamp:
                self._readings[place] = stamp, self._surprise(place, len(readers), text)
        return [self._readings[place][1] for place in readers]

    def _surprise(self, place: int, readers: int, text: _Text) -> dict[str, Any]:
        from seqtool.models.device import choose_device
        from seqtool.reports.surprise import READ_TOKENS, shown_tokens, surprise
        from seqtool.runs.loading import load_run
        from seqtool.scoring.surprise import read_closely

        run = load_run(self.runs[place], choose_device(text.device))
        document = str(run.config.data.get("document", "file"))
        meter = Meter("tokens", 0, self.quiet)
        reading = read_closely(run.model, run.vocabulary, self._source, document, READ_TOKENS, meter)
        meter.close()
        return surprise(place, text.name, run.vocabulary, reading, shown_tokens(readers), run.model)


def _opened(text: _Text) -> Any:
    """The text to read, as often as there are runs."""
    from seqtool.text.documents import TextSource
    from seqtool.text.store import is_store, open_store

    if is_store(Path(text.name)):
        return open_store(Path(text.name))
    return TextSource([text.name], errors=text.errors, rereadable=True)


def _follow(page: _Page) -> None:
    """Write the page whenever metrics have come, until no training writes into any of the runs."""
    from seqtool.files.writing import is_being_written
    from seqtool.runs.config import METRICS

    _wait_for(page.runs, page.quiet)
    seen: list[tuple[int, int]] = []
    try:
        while training := [place for place, run in enumerate(page.runs) if is_being_written(run)]:
            if (now := [_stamp(run / METRICS) for run in page.runs]) != seen:
                page.write(RELOAD_S, True, training)
                note(f"following: {page.output} is written as metrics come; Ctrl-C ends it", page.quiet or bool(seen))
                seen = now
            time.sleep(POLL_S)
    except (KeyboardInterrupt, StoppedError):
        page.write()
        raise
    page.write(followed=True)


def _wait_for(runs: Sequence[Path], quiet: bool) -> None:
    """Wait until all runs have their names: a training gives its run one after the first validation."""
    told = quiet
    while missing := [run for run in runs if not run.exists()]:
        note(f"waiting for {missing[0]}, which a training makes at its first validation; Ctrl-C ends it", told)
        told = True
        time.sleep(POLL_S)


def _stamp(file: Path) -> tuple[int, int]:
    """What changes when a file is written to."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
