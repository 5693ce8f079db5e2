"""`seqtool predict`: ask a run of examples."""

from __future__ import annotations

import json as json_module
from typing import Annotated, Optional

import typer

from seqtool.cli.console import in_row, note, write
from seqtool.cli.options import Device, Errors, Json, Quiet, RunPath, chosen, option_of
from seqtool.errors import UsageError
from seqtool.settings.examples import FORMATS
from seqtool.settings.fields import Panel
from seqtool.settings.vocabulary import ERROR_HANDLERS

EXAMPLES = (
    "seqtool predict spam.run mails.tsv -k 2",
    "seqtool predict ett.run history.csv > forecast.csv",
    "seqtool predict spam.run - < sms.log",
)
SHOWN_PROBLEMS = 3


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
) -> None:
    """Answer rows by a run that learned from examples: a row out for each row in, in order, as they come.

    Classes are written with their probabilities, numbers in the data's units, tags token by token, forecasts as a CSV
    table. Where the run reads one text, lines of text without a header will do. With --errors replace, a row that
    cannot be read has an empty answer.
    """
    chosen(errors, ERROR_HANDLERS, "--errors")
    chosen(format, FORMATS, "--format")
    if batch_size < 1 or (most is not None and most < 1):
        raise UsageError(f"{'--batch-size' if batch_size < 1 else '-k'}: give a number of at least 1")

    from seqtool.models.device import choose_device
    from seqtool.tasks.examples.asking import Asking, load_to_ask
    from seqtool.tasks.examples.modules import task_module

    loaded = load_to_ask(run, choose_device(device))
    module = task_module(loaded.config.task["name"])
    asking = Asking(most or 0, batch_size, errors, format)
    if not json and (heading := module.heading(loaded)):
        write(module.SEPARATOR.join(heading) + "\n")
    problems = 0
    for block in module.predictions(loaded, files or ["-"], asking):
        lines = []
        for answer in block:
            if answer.problem:
                problems += 1
                if problems <= SHOWN_PROBLEMS:
                    note(f"a row without an answer: it {answer.problem}", quiet)
            if json:
                lines.append(json_module.dumps(answer.content, ensure_ascii=False))
            else:
                lines += [module.SEPARATOR.join(in_row(cell) for cell in row) for row in answer.rows]
        write("".join(line + "\n" for line in lines), flush=True)
    if problems:
        rows = "1 row has" if problems == 1 else f"{problems:,} rows have"
        note(f"{rows} no answer: {'it' if problems == 1 else 'they'} could not be read", quiet)
