"""`seqtool embed import`: vectors of other programs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Optional

import typer

from seqtool.cli.console import Meter, note, write_report
from seqtool.cli.options import Errors, Force, Json, Quiet, chosen, option_of
from seqtool.settings.vocabulary import ERROR_HANDLERS

EXAMPLES = ("seqtool embed import glove.6B.100d.txt -o glove.vectors",)
IMPORT_FORMATS = ("word2vec", "word2vec-binary", "glove")


def command(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="File in word2vec's text or binary format, or GloVe's or fastText's text (not .bin); - is stdin.",
        ),
    ],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="VECTORS", help="File of vectors to write.")],
    format: Annotated[
        Optional[str],
        option_of(
            IMPORT_FORMATS,
            "--format",
            help="Format of the file; fastText's .vec is word2vec.",
            default="by the file's content",
        ),
    ] = None,
    errors: Errors = "strict",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import vectors from word2vec's text or binary format, or from GloVe's or fastText's text. If several rows have
    the same token, the first is kept.
    """
    if format is not None:
        chosen(format, IMPORT_FORMATS, "--format")
    chosen(errors, ERROR_HANDLERS, "--errors")

    from seqtool.exchange.importing_vectors import import_vectors
    from seqtool.files.writing import refuse_file
    from seqtool.vectors.vectors import write_vectors

    refuse_file(output, force, [file])
    meter = Meter("bytes", os.path.getsize(file) if os.path.isfile(file) else 0, quiet)
    imported = import_vectors(file, format, errors, meter)
    meter.close()
    write_vectors(output, imported.vectors)
    if imported.left_out:
        note(
            f"{imported.left_out:,} rows of tokens that came before were left out: the first row of each is kept", quiet
        )
    write_report(
        {
            "file": str(output),
            "format": imported.format,
            "tokens": len(imported.vectors.tokens),
            "dim": imported.vectors.dim,
            "left_out": imported.left_out,
        },
        json,
    )
    note(f"next: seqtool embed nearest {shlex.quote(str(output))} WORD", quiet)
