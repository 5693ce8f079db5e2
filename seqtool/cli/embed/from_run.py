"""`seqtool embed from`: the vectors of a trained run."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from seqtool.cli.console import note, write_report
from seqtool.cli.options import Force, Json, Quiet, RunPath, chosen, option_of
from seqtool.errors import UsageError

EXAMPLES = ("seqtool embed from novel.run -o novel.vectors",)
LAYERS = ("input", "output")


def command(
    run: RunPath,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="VECTORS", help="File of vectors to write.")],
    layer: Annotated[
        str,
        option_of(LAYERS, "--layer", help="Take the input embedding, or the rows of the softmax layer."),
    ] = "input",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take the vectors of a trained model's symbols, of those that occur in its training text.

    For a run trained with --input one-hot they are the columns of its first weight matrix.
    """
    chosen(layer, LAYERS, "--layer")

    from seqtool.files.writing import refuse_file
    from seqtool.models.device import choose_device
    from seqtool.runs.loading import load_run
    from seqtool.vectors.from_run import vectors_of_run
    from seqtool.vectors.vectors import write_vectors

    if Path(os.path.realpath(output.parent)).is_relative_to(os.path.realpath(run)):
        raise UsageError(f"-o {output} is inside the run {run}, which stays as it is: name a file elsewhere")
    refuse_file(output, force)
    vectors = vectors_of_run(load_run(run, choose_device("cpu")), layer)
    write_vectors(output, vectors)
    report = {"file": str(output), "layer": layer, "tokens": len(vectors.tokens), "dim": vectors.dim}
    write_report(report, json)
    word = vectors.tokens[len(vectors.tokens) // 2]
    note(f"next: seqtool embed nearest {shlex.quote(str(output))} {shlex.quote(word)}", quiet)
