"""`seqtool predict`: ask a run of examples."""

from __future__ import annotations

import json as json_module
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.console import in_row, note, write
from seqtool.cli.options import (
    Device,
    Errors,
    Force,
    Json,
    Quiet,
    RunPath,
    chosen,
    option_of,
    refuse_unused,
    with_settings,
)
from seqtool.errors import UsageError
from seqtool.settings.checking import checked
from seqtool.settings.examples import FORMATS
from seqtool.settings.fields import Panel
from seqtool.settings.vocabulary import ERROR_HANDLERS
from seqtool.settings.writing import WritingConfig

if TYPE_CHECKING:
    from seqtool.tasks.examples.asking import Answer, Looked

EXAMPLES = (
    "seqtool predict spam.run mails.tsv -k 2",
    "seqtool predict ett.run history.csv > forecast.csv",
    "seqtool predict spam.run - < sms.log",
    "seqtool predict mt.run - -n 5 --beam 5 --align < test.en",
)
SHOWN_PROBLEMS = 3
LINE_ENDS = str.maketrans({"\n": "\\n", "\r": "\\r"})


@with_settings(WritingConfig)
def command(
    run: RunPath,
    files: Annotated[
        Optional[list[str]],
        typer.Argument(metavar="[FILE...]", help="What to answer, laid out as the examples were.", show_default="-"),
    ] = None,
    *,
    most: Annotated[
        Optional[int],
        typer.Option(
            "-k",
            "--top",
            metavar="N",
            help="Write the N likeliest labels of each row, each with its probability.",
            show_default="1; of several labels at once those that are likely enough",
            rich_help_panel=Panel.SCORING,
        ),
    ] = None,
    samples: Annotated[
        Optional[int],
        typer.Option(
            "-n",
            "--samples",
            metavar="N",
            help="Write N texts for each row, each with the row's number, its rank and its nats.",
            show_default="one text alone",
            rich_help_panel=Panel.TRANSLATION,
        ),
    ] = None,
    align: Annotated[
        bool,
        typer.Option(
            "--align",
            help="Write behind each text which word was looked at most for each of its words: 0-0 1-2, source-target.",
            rich_help_panel=Panel.TRANSLATION,
        ),
    ] = False,
    attention_map: Annotated[
        Optional[Path],
        typer.Option(
            "--attention-map",
            metavar="FILE.html",
            help="Draw where the model looked for the first texts (50 at most), by layer and head, as a page.",
            rich_help_panel=Panel.TRANSLATION,
        ),
    ] = None,
    force: Force = False,
    batch_size: Annotated[
        int,
        typer.Option("--batch-size", metavar="N", help="Rows at a time, at most.", rich_help_panel=Panel.MACHINE),
    ] = 256,
    format: Annotated[
        str, option_of(FORMATS, "--format", help="Layout of the data.", panel=Panel.DATA, default="auto")
    ] = "auto",
    errors: Errors = "strict",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Answer rows by a run that learned from examples: a row out for each row in, in order, as they come.

    Classes are written with their probabilities, numbers in the data's units, tags token by token, forecasts as a CSV
    table, translations as a line each, an empty one for an empty line. Where the run reads one text, lines of text
    without a header will do. With --errors replace, a row that cannot be read has an empty answer.
    """
    chosen(errors, ERROR_HANDLERS, "--errors")
    chosen(format, FORMATS, "--format")
    for flag, number in {"--batch-size": batch_size, "-k": most, "-n": samples}.items():
        if number is not None and number < 1:
            raise UsageError(f"{flag}: give a number of at least 1")
    writing = checked(WritingConfig(**settings))

    from seqtool.files.writing import refuse_file
    from seqtool.models.device import choose_device
    from seqtool.tasks.examples.asking import Asking, load_to_ask
    from seqtool.tasks.examples.modules import task_module

    loaded = load_to_ask(run, choose_device(device))
    module = task_module(loaded.config.task["name"])
    if loaded.config.shape is None or not loaded.config.shape.target_symbols:
        of_texts = {"-n": samples is not None, "--align": align, "--attention-map": attention_map is not None}
        of_texts |= {f"--{name.replace('_', '-')}": True for name in settings}
        refuse_unused(of_texts, f"{run} learned to {loaded.config.task['name']}, and writes no texts; leave that out")
    elif most is not None:
        raise UsageError(f"-k {most}: {run} writes texts, not labels; for several of them give -n")
    looked: list[Looked] | None = None if attention_map is None else []
    told: list[str] = []
    asking = Asking(
        most or 0,
        batch_size,
        errors,
        format,
        writing=writing,
        samples=samples or 0,
        nats=json,
        align=align,
        looked=looked,
        told=told,
    )
    if str(attention_map) == "-":
        raise UsageError("--attention-map -: standard output is for the texts; name a file")
    if attention_map is not None:
        refuse_file(attention_map, force, [str(run), *(files or [])])
    if not json and (heading := module.heading(loaded)):
        write(module.SEPARATOR.join(heading) + "\n")
    _write_answers(module.predictions(loaded, files or ["-"], asking), module.SEPARATOR, json, quiet)
    for sentence in told:
        note(sentence, quiet)
    if attention_map is not None and looked is not None:
        _draw(attention_map, looked, str(run), quiet)


def _write_answers(blocks: Iterable[list[Answer]], separator: str, json: bool, quiet: bool) -> None:
    """Write the answers as they come, and tell of those that there are not."""
    problems = 0
    for block in blocks:
        lines = []
        for answer in block:
            if answer.problem:
                problems += 1
                if problems <= SHOWN_PROBLEMS:
                    note(f"a row without an answer: it {answer.problem}", quiet)
            if json:
                lines.append(json_module.dumps(answer.content, ensure_ascii=False))
            else:
                lines += [_line(answer, row, separator) for row in answer.rows]
        write("".join(line + "\n" for line in lines), flush=True)
    if problems:
        rows = "1 row has" if problems == 1 else f"{problems:,} rows have"
        note(f"{rows} no answer: {'it' if problems == 1 else 'they'} could not be read", quiet)


def _draw(output: Path, looked: list[Looked], run: str, quiet: bool) -> None:
    """Write the page of where the model looked, and tell what to open it with."""
    from seqtool.files.writing import atomic_writer
    from seqtool.reports.attention import AttentionMap, attention_page

    content = attention_page([AttentionMap(*one) for one in looked], f"Attention of {run}")
    with atomic_writer(output, len(content)) as stream:
        stream.write(content)
    note(f"next: open {shlex.quote(str(output))} in a browser", quiet)


def _line(answer: Answer, row: tuple[str, ...], separator: str) -> str:
    """A row of an answer as a line."""
    if answer.plain and len(row) == 1:
        return row[0].translate(LINE_ENDS)
    return separator.join(in_row(cell) for cell in row)
