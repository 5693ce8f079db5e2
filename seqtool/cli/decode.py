"""`seqtool decode`: ids to text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from seqtool.cli.console import write, write_bytes

EXAMPLES = ("seqtool encode novel.txt --vocab novel.model | seqtool decode --vocab novel.model",)


def command(
    ids: Annotated[str, typer.Argument(metavar="[IDS]", help="File of ids; - is standard input.")] = "-",
    *,
    vocab: Annotated[Path, typer.Option("--vocab", metavar="FILE", help="Vocabulary that the ids were encoded with.")],
) -> None:
    """Turn ids back into the exact text, however they are laid out in lines."""
    from seqtool.files.streams import open_bytes, stream_name
    from seqtool.text.tables import read_ids
    from seqtool.text.vocabulary import load_vocabulary

    decoder = load_vocabulary(vocab).decoder()
    for numbers in read_ids(open_bytes(ids), stream_name(ids)):
        if sys.stdout.isatty():
            write(decoder.feed(numbers), flush=True)
        else:
            write_bytes(decoder.feed_bytes(numbers), flush=True)
    if sys.stdout.isatty():
        write(decoder.finish())
