"""`seqtool report`: draw runs on a page."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
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
    "seqtool report spam.run --data spam.tsv -o spam.html",
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
    data: Annotated[
        Optional[str],
        typer.Option(
            "--data",
            metavar="FILE",
            help="Labelled rows, series or texts to translate, for the runs that learned from examples to answer.",
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
    follow quotations, the place in a line and indentation (Karpathy et al. 2015), and by its gates; of a transformer by
    attention. A map shows the vectors of its tokens.

    With --data the runs that learned from examples answer those of a file: how labels are confused, and what other
    thresholds would give; of series the last horizon as it was forecast, with its intervals, and the next; of texts to
    translate where attention looked for each word.

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
        refuse_file(output, force, [*map(str, runs), *filter(None, [text, data])])
    if text is data is None and errors != "strict":
        raise UsageError("--errors is for the file of --text or --data: leave it out")
    if data == "-":
        raise UsageError("--data -: each run reads the file by itself; name one")
    if text is data is None and device != "auto":
        raise UsageError("--device is where the models read --text or --data: leave it out")
    chosen(errors, ERROR_HANDLERS, "--errors")
    page = _Page(runs, output, _Read(text, data, errors, device), quiet)
    if follow:
        _follow(page)
    else:
        page.write()
    note(f"open {shlex.quote(str(output))} in a browser", quiet or str(output) == "-")


class _Read(NamedTuple):
    """What the models are to read, and where they run."""

    text: str | None
    data: str | None
    errors: str
    device: str


class _Page:
    """The page of some runs, written as often as asked."""

    def __init__(self, runs: Sequence[Path], output: Path, asked: _Read, quiet: bool) -> None:
        self.runs, self.output, self.quiet = runs, output, quiet
        self._asked = asked
        self._source: Any = None
        self._read: dict[int, tuple[tuple[int, int], Any]] = {}

    def write(self, follow_s: int = 0, followed: bool = False, training: Sequence[int] = ()) -> None:
        """Write the page as the runs are now."""
        from seqtool.files.writing import atomic_writer
        from seqtool.reports.curves import read_record
        from seqtool.reports.run_page import run_page

        records: list[RunRecord] = [read_record(run) for run in self.runs]
        content = run_page(
            records,
            self._texts(records),
            self._answers(records),
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

    def _texts(self, records: Sequence[RunRecord]) -> list[dict[str, Any]]:
        """The text as each language model reads it."""
        from seqtool.settings.examples import LANGUAGE

        text = self._asked.text
        if text is None:
            return []
        readers = [place for place, record in enumerate(records) if record.task == LANGUAGE]
        if not readers:
            raise UsageError("--text is for language models, and none of these runs is one: leave it out")
        if self._source is None:
            self._source = _opened(text, self._asked.errors)
        return [self._once(place, lambda place: self._surprise(place, len(readers), text)) for place in readers]

    def _answers(self, records: Sequence[RunRecord]) -> list[dict[str, Any]]:
        """What each run of examples answers to the data."""
        from seqtool.models.device import choose_device
        from seqtool.reports.answers import drawn_answers
        from seqtool.settings.examples import LANGUAGE
        from seqtool.tasks.examples.asking import load_to_ask

        data = self._asked.data
        if data is None:
            return []

        def answer(place: int) -> dict[str, Any] | None:
            run = load_to_ask(self.runs[place], choose_device(self._asked.device))
            return drawn_answers(place, run, data, self._asked.errors)

        asked = [place for place, record in enumerate(records) if record.task != LANGUAGE]
        found = [drawn for place in asked if (drawn := self._once(place, answer)) is not None]
        if not found:
            raise UsageError(
                "--data is for runs that classify, forecast or translate, and none of these does: leave it out"
            )
        return found

    def _once(self, place: int, read: Callable[[int], Any]) -> Any:
        """What a run reads; again only where its weights have changed."""
        from seqtool.runs.config import WEIGHTS

        stamp = _stamp(self.runs[place] / WEIGHTS)
        if place not in self._read or self._read[place][0] != stamp:
            self._read[place] = stamp, read(place)
        return self._read[place][1]

    def _surprise(self, place: int, readers: int, text: str) -> dict[str, Any]:
        from seqtool.models.device import choose_device
        from seqtool.reports.embedding import embedding_map
        from seqtool.reports.surprise import READ_TOKENS, shown_tokens, surprise
        from seqtool.runs.loading import load_run
        from seqtool.scoring.surprise import read_closely

        run = load_run(self.runs[place], choose_device(self._asked.device))
        document = str(run.config.data.get("document", "file"))
        meter = Meter("tokens", 0, self.quiet)
        reading = read_closely(run.model, run.vocabulary, self._source, document, READ_TOKENS, meter)
        meter.close()
        told = surprise(place, text, run.vocabulary, reading, shown_tokens(readers), run.model)
        return {**told, "map": embedding_map(run)}


def _opened(text: str, errors: str) -> Any:
    """The text to read, as often as there are runs."""
    from seqtool.text.documents import TextSource
    from seqtool.text.store import is_store, open_store

    if is_store(Path(text)):
        return open_store(Path(text))
    return TextSource([text], errors=errors, rereadable=True)


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
