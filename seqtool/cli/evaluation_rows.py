"""The rows of `seqtool eval --per`: words, lines, tokens or documents, each written as soon as its text has arrived."""

from __future__ import annotations

import json as json_module
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from seqtool.cli.console import in_row, write

if TYPE_CHECKING:
    from seqtool.runs.loading import Run
    from seqtool.scoring.rows import Row
    from seqtool.settings.scoring import EvalConfig
    from seqtool.text.documents import TextSource
    from seqtool.text.store import TokenStore

UNITS = ("word", "line", "token", "document")
WRITTEN_CHARACTERS = 1 << 16


class Rows(NamedTuple):
    """What the rows are, and how they are written."""

    per: str
    """The unit of a row."""
    carry: bool
    """Whether lines are one text."""
    document: str
    """What separates documents."""
    bits: bool
    """Whether costs are in bits."""
    given: str
    """Text that comes before each document or line."""
    json: bool


def write_rows(run: Run, sources: Iterable[TextSource | TokenStore], config: EvalConfig, rows: Rows) -> None:
    """Write the rows in input order."""
    from seqtool.scoring.rows import score_rows

    for source in sources:
        for scored in score_rows(
            run.model,
            run.vocabulary,
            source,
            config,
            per=rows.per,
            carry=rows.carry,
            document=rows.document,
            given=rows.given,
        ):
            _write_in_parts(part for row in scored for part in _parts(row, rows))


def _write_in_parts(parts: Iterable[str]) -> None:
    """Write the parts of a text together, about WRITTEN_CHARACTERS at a time."""
    held: list[str] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= WRITTEN_CHARACTERS:
            write("".join(held))
            held, size = [], 0
    write("".join(held), flush=True)


def _parts(row: Row, rows: Rows) -> Iterator[str]:
    return (_json_parts if rows.json else _tsv_parts)(row, rows.per, rows.bits)


def _json_parts(row: Row, per: str, bits: bool) -> Iterator[str]:
    cost = {"bits": row.nats / math.log(2)} if bits else {"nats": row.nats}
    numbers = {**cost, "tokens": row.tokens, "perplexity": row.perplexity}
    yield json_module.dumps(numbers)[:-1] + ', "text": "'
    for part in row.text:
        yield json_module.dumps(part, ensure_ascii=False)[1:-1]
    yield '"}\n'


def _tsv_parts(row: Row, per: str, bits: bool) -> Iterator[str]:
    shown, cost = row.perplexity, row.nats / math.log(2) if bits else row.nats
    yield f"{cost:.6f}\t{row.tokens}\t{(math.inf if row.tokens else math.nan) if shown is None else shown:.4f}\t"
    ended = ""  # held back, because a line's last newline is not shown
    for part in row.text:
        text = ended + part
        ended = "\n" if text.endswith("\n") and per in ("line", "document") else ""
        yield in_row(text.removesuffix(ended))
    yield "\n"
