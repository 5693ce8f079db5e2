"""Scoring by line, token or document: one row out for each unit in, in order, as the text comes.

What a read brings is scored together, then answered, before more is read: behind `tail -f` a line is answered when it
is complete, and of a fast stream thousands of lines are one batch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.config import DOCUMENT_AT, EvalConfig
from seqtool.errors import SeqtoolError, UsageError
from seqtool.inference.scoring import Nats, Scorer, perplexity
from seqtool.models.language_model import LanguageModel
from seqtool.text.documents import Block, TextSource, lines_of, split_documents
from seqtool.text.vocabulary import Ids, Vocabulary, encodable

SHOWN_CHARACTERS = 200  # of a document, at most, in its row
HELD_BYTES = 1 << 20  # of a line whose end has not come; the rest of it waits in a temporary file
PART_CHARACTERS = 1 << 16
TOKEN_ROWS = 1 << 13  # rows of tokens that are given at once


class Row(NamedTuple):
    """What one unit of text costs; its text is in parts, of which a very long line has many."""

    nats: float
    tokens: int
    text: Iterable[str]

    @property
    def perplexity(self) -> float | None:
        """Per token; None where no token counts or the number is too large to write."""
        return perplexity(self.nats, self.tokens)


class Line(NamedTuple):
    """A line, or part of a long one: its tokens end at `stop`. Whether it begins a document and ends a line."""

    text: str
    stop: int
    begins: bool
    ends: bool


def score_rows(
    model: LanguageModel,
    vocabulary: Vocabulary,
    source: TextSource,
    config: EvalConfig,
    *,
    per: str,
    carry: bool = False,
    document: str = "file",
) -> Iterator[list[Row]]:
    """Yield the rows of each line, token or document of `source`, those together that can be answered together.

    A line is scored by itself, its newline its last token; under `carry`, as a part of its document, like a token.
    Then the rows add up to the nats of the whole text. `document` says what separates documents inside a file. A
    document's row gives the beginning of its first line.
    """
    if carry and not vocabulary.has_newline:
        raise UsageError("this run's vocabulary has no newline to end a line: leave out --carry")
    check_oov(vocabulary, config)
    if isinstance(source, TextSource) and document.startswith(DOCUMENT_AT):
        source.document = document  # which is found before lines are
    scorer = Scorer(model, batch_size=config.batch_size, context=config.context, stride=config.stride)
    row = OpenRow(per == "line", per == "line" or document == "line")
    for blocks in arrivals(source, vocabulary, "line" if per == "line" and not carry else document):
        ids, lines = encode_lines(vocabulary, blocks)
        starts = [
            before for line, before in zip(lines, [0, *(line.stop for line in lines)], strict=False) if line.begins
        ]
        nats = scorer.score(ids, starts)
        counted = counted_tokens(vocabulary, config, ids)
        if per == "token":
            yield from _token_rows(vocabulary, ids, nats, counted)
        elif rows := row.take(lines, nats, counted):
            yield rows
    if per != "token" and (last := row.closed()):
        yield last


def check_oov(vocabulary: Vocabulary, config: EvalConfig) -> None:
    """UsageError when unknown words are to be left out of a vocabulary that spells every word."""
    if config.oov == "exclude" and vocabulary.type != "word":
        raise UsageError(f"--oov exclude is for a vocabulary of type word: this one is of type {vocabulary.type}")


def counted_tokens(vocabulary: Vocabulary, config: EvalConfig, ids: Ids) -> npt.NDArray[np.bool_]:
    """Which tokens count: all of them, or under `--oov exclude` those that are not the unknown word."""
    return ids != vocabulary.unknown_id if config.oov == "exclude" else np.ones(len(ids), dtype=bool)


def arrivals(source: TextSource, vocabulary: Vocabulary, document: str) -> Iterator[list[Block]]:
    """The blocks that each read of `source`, which only divides files, brings, divided into documents."""
    blocks = encodable(vocabulary, source.blocks())
    left, begins = 0, False

    def texts() -> Iterator[str]:
        nonlocal left, begins
        for block in blocks:
            left, begins = len(block.text), block.starts_document
            yield block.text

    divided: list[Block] = []
    for block in split_documents(texts(), document):
        divided.append(Block(block.text, block.starts_document or (begins and not divided)))
        left -= len(block.text)
        if not left:  # the next block would have to be read
            yield divided
            divided = []


def encode_lines(vocabulary: Vocabulary, blocks: list[Block]) -> tuple[Ids, list[Line]]:
    """The ids of some blocks, of which only the last may lack a newline at its end, and the lines in them."""
    texts = [(line, block.starts_document and not place) for block in blocks
             for place, line in enumerate(lines_of(block.text))]  # fmt: skip
    if vocabulary.has_newline:
        ids = vocabulary.encode("".join(text for text, _ in texts))
        stops = (np.flatnonzero(ids == vocabulary.newline_ids[-1]) + 1).tolist()
        if len(stops) < len(texts):
            stops.append(len(ids))
    else:
        parts = [vocabulary.encode(text) for text, _ in texts]
        ids = np.concatenate(parts)
        stops = np.cumsum([len(part) for part in parts]).tolist()
    lines = [Line(text, stop, begins, text.endswith("\n")) for (text, begins), stop in zip(texts, stops, strict=True)]
    return ids, lines


class OpenRow:
    """Gathers rows from lines: a row for each line, or for each document, in which case `whole_text` is not kept."""

    def __init__(self, whole_text: bool, each_line: bool) -> None:
        self._whole_text, self._each_line = whole_text, each_line
        self._open = False
        self._nats, self._tokens, self._text = 0.0, 0, LongText()

    def take(self, lines: list[Line], nats: Nats, counted: npt.NDArray[np.bool_]) -> list[Row]:
        """The rows that these further lines, whose tokens have these nats, complete."""
        sums = [0.0, *np.cumsum(np.where(counted, nats, 0.0), dtype=np.float64).tolist()]
        counts = [0, *np.cumsum(counted).tolist()]
        rows: list[Row] = []
        start = 0
        for line in lines:
            if line.begins:
                rows += self.closed()
            cost, tokens, start = sums[line.stop] - sums[start], counts[line.stop] - counts[start], line.stop
            ends = self._each_line and line.ends
            if ends and not self._open:
                rows.append(Row(cost, tokens, (self._shown(line.text),)))
                continue
            if self._whole_text or not self._open:
                self._text.add(self._shown(line.text))
            self._open, self._nats, self._tokens = True, self._nats + cost, self._tokens + tokens
            if ends:
                rows += self.closed()
        return rows

    def closed(self) -> list[Row]:
        """The row that is still open, if there is one: its end has come."""
        rows = [Row(self._nats, self._tokens, self._text)] if self._open else []
        if rows:
            self._open, self._nats, self._tokens, self._text = False, 0.0, 0, LongText()
        return rows

    def _shown(self, text: str) -> str:
        return text if self._whole_text else text.removesuffix("\n")[:SHOWN_CHARACTERS]


class LongText:
    """A text that grows, in memory that does not: what is more than HELD_BYTES is in a temporary file."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(HELD_BYTES, "w+", encoding="utf-8", newline="", prefix="seqtool-")

    def add(self, text: str) -> None:
        """Put a part at the end; SeqtoolError when there is no room for it."""
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            raise SeqtoolError(
                f"cannot keep a line in {tempfile.gettempdir()}: {error.strerror}; set TMPDIR"
            ) from error

    def __iter__(self) -> Iterator[str]:
        self._file.seek(0)
        while part := self._file.read(PART_CHARACTERS):
            yield part


def _token_rows(vocabulary: Vocabulary, ids: Ids, nats: Nats, counted: npt.NDArray[np.bool_]) -> Iterator[list[Row]]:
    texts = {token: (vocabulary.token_in_line(token),) for token in np.unique(ids).tolist()}
    costs = np.where(counted, nats, 0.0)
    for start in range(0, len(ids), TOKEN_ROWS):
        part = slice(start, start + TOKEN_ROWS)
        yield [
            Row(cost, int(counts), texts[token])
            for token, cost, counts in zip(
                ids[part].tolist(), costs[part].tolist(), counted[part].tolist(), strict=True
            )
        ]
