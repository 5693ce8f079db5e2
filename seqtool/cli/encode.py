"""`seqtool encode`: text to ids."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from seqtool.cli.console import write, write_report
from seqtool.cli.options import DocumentBreak, Errors, Force, Json, chosen
from seqtool.config import DOCUMENT_BREAKS, ERROR_HANDLERS

NAME = "encode"
EXAMPLE = "seqtool encode novel.txt --vocab novel.model | seqtool decode --vocab novel.model"


def command(
    texts: Annotated[
        Optional[list[str]], typer.Argument(metavar="[TEXT...]", help="Files of UTF-8 text; - is standard input.")
    ] = None,
    *,
    vocab: Annotated[Path, typer.Option("--vocab", metavar="FILE", help="A vocabulary (SentencePiece model).")],
    pieces: Annotated[bool, typer.Option("--pieces", help="Print pieces instead of ids, as spm_encode does.")] = False,
    output: Annotated[
        Optional[Path], typer.Option("-o", "--output", metavar="STORE", help="Write a token store to train from.")
    ] = None,
    errors: Errors = "strict",
    document: DocumentBreak = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Turn text into ids: a line of ids for each line of text, the newline's own id closing it."""
    from seqtool.files import refuse_directory
    from seqtool.text.documents import TextSource, lines_of
    from seqtool.text.store import write_store
    from seqtool.text.vocabulary import load_vocabulary

    vocabulary = load_vocabulary(vocab)
    source = TextSource(
        texts or ["-"],
        errors=chosen(errors, ERROR_HANDLERS, "--errors"),
        document=chosen(document or "file", DOCUMENT_BREAKS, "--document"),
    )
    if output is not None:
        refuse_directory(output, force, texts or ())
        description = write_store(output, vocabulary, source)
        counts = {name: description[name] for name in ("tokens", "documents", "words", "characters", "bytes")}
        write_report({"store": str(output), **counts, "shards": len(description["shards"])}, json)
        return
    names = [vocabulary.piece(index) if pieces else str(index) for index in range(vocabulary.size)]
    newline = vocabulary.newline_ids[-1]
    line: list[str] = []
    for block in source.blocks():
        rows = []
        # A foreign vocabulary without a newline does not tell by its ids where a line ends.
        for text in [block.text] if vocabulary.has_newline else lines_of(block.text):
            for index in vocabulary.encode(text).tolist():
                ends = index == newline and vocabulary.has_newline
                if not (ends and pieces):
                    line.append(names[index])
                if ends:
                    rows.append(" ".join(line))
                    line = []
            if text.endswith("\n") and not vocabulary.has_newline:
                rows.append(" ".join(line))
                line = []
        if rows:
            write("\n".join(rows) + "\n", flush=True)
    if line:
        write(" ".join(line) + "\n")
