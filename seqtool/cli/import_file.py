"""`seqtool import`: models of other programs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Optional

import typer

from seqtool.cli.console import Meter, note, write_report
from seqtool.cli.options import Force, Json, NewRun, Quiet

EXAMPLES = ("seqtool import lm.arpa -o lm.run", "seqtool import lm.arpa -o lm.run --vocab novel.model")


def command(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="N-grams as an ARPA file, of seqtool, KenLM, SRILM, …; - is stdin.")
    ],
    *,
    output: NewRun,
    vocab: Annotated[
        Optional[Path],
        typer.Option(
            "--vocab",
            metavar="FILE",
            help="The vocabulary whose pieces the words of FILE are.",
            show_default="the one in its comments, or else its words",
        ),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import a model as a run, which eval, generate and info take as any other.

    What seqtool export wrote comes back with its vocabulary. The words of another program's file are a vocabulary of
    words, in which </s> is the newline that ends a line: eval --per line gives what KenLM's query gives. With --vocab
    they are its pieces, and those that FILE lacks share what it leaves to <unk>.
    """
    from seqtool.exchange.arpa_runs import import_arpa
    from seqtool.files.directories import built_aside, publish
    from seqtool.files.streams import open_bytes, stream_name
    from seqtool.files.writing import refuse_directory, reserved
    from seqtool.runs.weights import write_counts
    from seqtool.text.vocabulary import load_vocabulary

    refuse_directory(output, force)
    with reserved(output):
        vocabulary = None if vocab is None else load_vocabulary(vocab)
        meter = Meter("bytes", os.path.getsize(file) if os.path.isfile(file) else 0, quiet)
        with open_bytes(file) as stream:
            run = import_arpa(stream, stream_name(file), vocabulary, meter)
        meter.close()
        with built_aside(output) as folder:
            write_counts(folder, run.config, run.vocabulary, run.model)
            publish(folder, output, force)
    write_report(
        {
            "run": str(output),
            "format": "arpa",
            "order": run.model.order,
            "ngrams": list(run.config.ngrams),
            "vocab_size": run.vocabulary.size,
            "vocabulary": run.vocabulary.type,
        },
        json,
    )
    note(f"next: seqtool eval {shlex.quote(str(output))} TEXT", quiet)
