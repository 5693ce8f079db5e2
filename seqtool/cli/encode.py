"""`seqtool encode`: text to ids."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from seqtool.cli.console import Meter, write, write_report
from seqtool.cli.options import (
    DocumentBreak,
    Errors,
    Force,
    Json,
    JsonlField,
    Quiet,
    chosen,
    document_break,
    refuse_unused,
)
from seqtool.errors import UsageError
from seqtool.settings.vocabulary import ERROR_HANDLERS

if TYPE_CHECKING:
    from seqtool.text.documents import TextSource
    from seqtool.text.vocabulary import Vocabulary

EXAMPLES = ("seqtool encode novel.txt --vocab novel.model | seqtool decode --vocab novel.model",)


def command(
    texts: Annotated[
        Optional[list[str]], typer.Argument(metavar="[TEXT...]", help="Files of UTF-8 text; - is standard input.")
    ] = None,
    *,
    vocab: Annotated[
        Path, typer.Option("--vocab", metavar="FILE", help="Vocabulary to encode with, a SentencePiece model.")
    ],
    pieces: Annotated[bool, typer.Option("--pieces", help="Print pieces instead of ids, like spm_encode.")] = False,
    output: Annotated[
        Optional[Path],
        typer.Option("-o", "--output", metavar="STORE", help="Write the ids to a token store, to train from."),
    ] = None,
    jsonl_field: JsonlField = "",
    errors: Errors = "strict",
    document: DocumentBreak = None,
    force: Force = False,
    append: Annotated[
        bool,
        typer.Option(
            "--append", help="Add the text to the store of -o, which stays as it was if this is stopped on the way."
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn text into ids: a line of ids for each line of text, which the newline's id ends.

    Of byte-level BPE a token may hold several newlines, and so many line ends follow its id.
    """
    from seqtool.files.writing import refuse_directory
    from seqtool.text.documents import TextSource
    from seqtool.text.store import append_to_store, write_store
    from seqtool.text.vocabulary import load_vocabulary

    if append and (output is None or force):
        raise UsageError("--append adds to a store: name it with -o, without --force")
    if output is None:
        of_stores = {"--document": document is not None, "--force": force, "--json": json}
        refuse_unused(of_stores, "ids are printed, for which this means nothing; leave it out, or name a store with -o")
    else:
        refuse_unused({"--pieces": pieces}, "a store holds ids; leave it out, or -o")
    vocabulary = load_vocabulary(vocab)
    source = TextSource(
        texts or ["-"],
        errors=chosen(errors, ERROR_HANDLERS, "--errors"),
        document=document_break(document or "file"),
        field=jsonl_field,
        empty_files=output is not None,  # an empty file is a document of a store, as it is for `eval`
    )
    size = source.size()
    meter = Meter("bytes", size, quiet or (output is None and sys.stdout.isatty()))
    source.progress = meter
    if output is None:
        for part in printed(vocabulary, source, pieces):
            write(part.decode(), flush=True)
        meter.close()
        return
    if not append:
        refuse_directory(output, force, texts or ())
    description = (append_to_store if append else write_store)(output, vocabulary, source)
    meter.close()
    counts = {name: description[name] for name in ("tokens", "documents", "words", "characters", "bytes")}
    write_report({"store": str(output), **counts, "shards": len(description["shards"])}, json)


def printed(vocabulary: Vocabulary, source: TextSource, pieces: bool) -> Iterator[bytes]:
    """The ids of a text in decimal, or its pieces, in lines like the text's; a long line comes in parts."""
    from seqtool.text.blocks import encodable
    from seqtool.text.documents import lines_of
    from seqtool.text.tables import ByteTable, LineJoiner

    rows = [
        b" " + (vocabulary.piece(index) if pieces else str(index)).encode("utf-8", "replace")
        for index in range(vocabulary.size)
    ]
    if vocabulary.joins_newlines:
        yield from _printed_lines(vocabulary, source, rows)
        return
    newline = vocabulary.newline_ids[0]
    if vocabulary.has_newline:
        rows[newline] = b"\n" if pieces else rows[newline] + b"\n"
    lines = LineJoiner(ByteTable(rows), newline if vocabulary.has_newline else -1)
    for block in encodable(vocabulary, source.blocks()):
        if source.field and block.starts_document and lines.inside_line:
            yield lines.end_line()
        # The ids of a foreign vocabulary without a newline do not show where a line ends.
        for text in [block.text] if vocabulary.has_newline else lines_of(block.text):
            yield lines.join(vocabulary.encode(text, block.starts_document))
            if text.endswith("\n") and lines.inside_line:
                yield lines.end_line()
    if lines.inside_line:
        yield lines.end_line()


def _printed_lines(vocabulary: Vocabulary, source: TextSource, rows: list[bytes]) -> Iterator[bytes]:
    """Ids or pieces of tokens that may hold several newlines: as many line ends follow, so that lines stay lines."""
    from seqtool.text.blocks import encodable
    from seqtool.text.tables import ByteTable

    table = ByteTable(
        [row + b"\n" * text.count(b"\n") for row, text in zip(rows, vocabulary.token_strings, strict=True)]
    )
    ended = True
    for block in encodable(vocabulary, source.blocks()):
        if block.starts_document and not ended:
            yield b"\n"
            ended = True
        if part := table.join(vocabulary.encode(block.text)):
            yield part.replace(b"\n ", b"\n").removeprefix(b" " if ended else b"")
            ended = part.endswith(b"\n")
    if not ended:
        yield b"\n"
