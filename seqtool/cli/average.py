"""`seqtool average`: the mean of several runs' weights."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from seqtool.cli.completion import runs as offered
from seqtool.cli.console import Meter, note, write_report
from seqtool.cli.options import Force, Json, NewRun, Quiet

EXAMPLES = ("seqtool average a.run b.run c.run -o mean.run", "seqtool average novel.run letters.run -o both.run")


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN...", autocompletion=offered, help="Runs of one shape and vocabulary."),
    ],
    *,
    output: NewRun,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Average the weights of runs, number by number: one model of the same size and speed.

    That is good where the runs began with the same weights, as do those that train --from made of one run on several
    texts, or with several seeds: the mean then is often better on all of them than each. Runs that each began anew have
    nothing in common, and their mean is noise; seqtool mix predicts with any models side by side. The result is a run
    like any other, with the settings of the first; its config.json names all of them.
    """
    from seqtool.files.directories import built_aside, publish
    from seqtool.files.writing import refuse_directory, reserved
    from seqtool.runs.averaging import average_runs

    refuse_directory(output, force, [str(run) for run in runs])
    with reserved(output), built_aside(output) as folder:
        meter = Meter("runs", len(runs), quiet)
        made = average_runs(runs, folder, meter)
        meter.close()
        publish(folder, output, force)
    write_report({"run": str(output), "runs": len(runs), "model": made.name, "parameters": made.parameters}, json)
    note(f"next: seqtool {'eval' if made.shape is None else 'predict'} {shlex.quote(str(output))} TEXT", quiet)
