"""`seqtool decode`: ids to text."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from seqtool.cli.console import write, write_bytes
from seqtool.errors import InputError

NAME = "decode"
EXAMPLE = "seqtool encode novel.txt --vocab novel.model | seqtool decode --vocab novel.model"
READ_BYTES = 1 << 16


def command(
    ids: Annotated[str, typer.Argument(metavar="[IDS]", help="A file of ids; - is standard input.")] = "-",
    *,
    vocab: Annotated[Path, typer.Option("--vocab", metavar="FILE", help="The vocabulary they were encoded with.")],
) -> None:
    """Turn ids back into the exact text. The layout of the ids does not matter."""
    from seqtool.text.vocabulary import load_vocabulary

    decoder = load_vocabulary(vocab).decoder()
    for numbers in _numbers(ids):
        if sys.stdout.isatty():
            write(decoder.feed(numbers), flush=True)
        else:
            write_bytes(decoder.feed_bytes(numbers), flush=True)
    if sys.stdout.isatty():
        write(decoder.finish())


def _numbers(path: str) -> Iterator[list[int]]:
    """Ids, some at a time; InputError names the word that is not one."""
    from seqtool.text.documents import open_bytes

    name = "standard input" if path == "-" else path
    stream = open_bytes(path)
    rest = b""
    while chunk := getattr(stream, "read1", stream.read)(READ_BYTES):
        words = (rest + chunk).split()
        rest = words.pop() if words and not chunk[-1:].isspace() else b""
        yield [_number(word, name) for word in words]
    if rest:
        yield [_number(rest, name)]


def _number(word: bytes, name: str) -> int:
    if not word.isdigit() or len(word) > 9:
        raise InputError(f"{name} holds {word[:40].decode(errors='replace')!r}, which is not an id: give numbers only")
    return int(word)
