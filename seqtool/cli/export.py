"""`seqtool export`: models for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from seqtool.cli.console import Meter, write_report
from seqtool.cli.options import Force, Json, Quiet, RunPath, format_of, option_of
from seqtool.errors import UsageError

EXAMPLES = ("seqtool export counts.run -o counts.arpa", "seqtool export counts.run --to arpa -o - | gzip > counts.gz")
MODEL_FORMATS = ("arpa",)
SUFFIXES = {".arpa": "arpa"}


def command(
    run: RunPath,
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="File to write; - is standard output.")
    ],
    to: Annotated[
        Optional[str], option_of(MODEL_FORMATS, "--to", help="Format to write.", default="by the name: .arpa arpa")
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    r"""Write a model for other programs. arpa: n-grams as KenLM, SRILM and speech recognisers read them.

    A word of the file is a token's piece, as seqtool encode --pieces shows it; of a vocabulary of words it is the word.
    A space is \x20, and so on for what separates fields; a backslash that would begin such an escape is two. </s> is
    the newline where documents are lines, or else the end of a document. Comments before the model, lines that begin
    with #, hold the vocabulary, by which seqtool import brings the same run back; other programs skip them.
    """
    kind = format_of(output, to, MODEL_FORMATS, SUFFIXES, "--to")
    to_stdout = str(output) == "-"
    if to_stdout and json:
        raise UsageError("--json: standard output has the model and no report; leave it out, or name a file with -o")

    from seqtool.exchange.arpa_runs import counted_run, export_arpa
    from seqtool.files.writing import atomic_writer, refuse_file

    if not to_stdout:
        refuse_file(output, force, [str(run)])
    counted = counted_run(run)
    meter = Meter("n-grams", sum(counted.config.ngrams), quiet or (to_stdout and sys.stdout.isatty()))
    if to_stdout:
        export_arpa(sys.stdout.buffer, counted, meter)
        meter.close()
        return
    with atomic_writer(output) as stream:
        sizes = export_arpa(stream, counted, meter)
    meter.close()
    write_report({"file": str(output), "format": kind, "order": len(sizes), "ngrams": list(sizes)}, json)
