"""Scoring by line, word, token or document: one row for each unit, in input order, as the text arrives.

What one read of a stream returns is scored together and answered before more is read: behind `tail -f` a line is
answered as soon as it is complete, and thousands of lines of a fast stream are one batch. Reading a file never waits,
so thousands of small files are one batch too.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.errors import UsageError
from seqtool.files.spools import Spool
from seqtool.models.predictor import Predictor
from seqtool.scoring.lines import TextLine, document_starts, encoded_lines
from seqtool.scoring.scorer import Nats, Scorer, perplexity
from seqtool.scoring.words import is_white_space, units_of
from seqtool.settings.scoring import EvalConfig
from seqtool.settings.vocabulary import DOCUMENT_AT
from seqtool.text.decoding import TextDecoder
from seqtool.text.documents import TextSource
from seqtool.text.encoding import Ids
from seqtool.text.store import TokenStore
from seqtool.text.vocabulary import Vocabulary

SHOWN_CHARACTERS = 200  # of a document's first line, in its row
HELD_LINE_BYTES = 1 << 20  # of a line whose end has not come; the rest of it waits in a temporary file
PART_BYTES = 1 << 16
TOKEN_ROWS = 1 << 13  # rows of tokens yielded at once


class Row(NamedTuple):
    """The nats of one unit of text. The text comes in parts: a very long line has many."""

    nats: float
    tokens: int
    text: Iterable[str]

    @property
    def perplexity(self) -> float | None:
        """Per token; None where no token counts or the number is too large to write."""
        return perplexity(self.nats, self.tokens)


def score_rows(
    model: Predictor,
    vocabulary: Vocabulary,
    source: TextSource | TokenStore,
    config: EvalConfig,
    *,
    per: str,
    carry: bool = False,
    document: str = "file",
    given: str = "",
) -> Iterator[list[Row]]:
    """Yield a row for each line, word, token or document of `source`, in lists of those that are complete together.

    A line is scored independently, its newline as its last token; with `carry`, as part of its document, as words and
    tokens always are: then the nats of the rows add up to those of the whole text. `document` says what separates
    documents inside a file; in a store they are marked. The row of a document shows the beginning of its first line.
    The text `given` is read, unscored, before every line or document that is scored independently.
    """
    _check_unit(vocabulary, source, config, per, carry)
    each_line = per == "line" and not carry
    line_documents = document == "line" and not isinstance(source, TokenStore)
    row = OpenRow(whole_text=per == "line", each_line=per == "line" or line_documents)
    word = OpenWord(vocabulary)
    for ids, lines, starts, nats in _scored(model, vocabulary, source, config, each_line, document, given):
        counted = counted_tokens(vocabulary, config, ids)
        if per == "token":
            yield from _rows_of_tokens(vocabulary, ids, nats, counted)
        elif rows := word.take(ids, nats, counted, starts) if per == "word" else row.take(lines, nats, counted):
            yield rows
    if last := [*row.closed(), *word.closed()]:
        yield last


def score_pieces(
    model: Predictor,
    vocabulary: Vocabulary,
    source: TextSource | TokenStore,
    config: EvalConfig,
    *,
    document: str = "file",
    given: str = "",
) -> Iterator[list[tuple[str, float]]]:
    """Yield the text in pieces, each with its nats, in lists of those that are complete together.

    A piece is a token; the tokens that spell one character are one piece. The pieces are the text, and their nats add
    up to its total.
    """
    check_oov(vocabulary, config)
    decoder, cost = vocabulary.decoder(), 0.0
    for ids, _, starts, nats in _scored(model, vocabulary, source, config, False, document, given):
        costs = np.where(counted_tokens(vocabulary, config, ids), nats, 0.0)
        begins, pieces = set(starts), []
        for place, (index, nats_of_token) in enumerate(zip(ids.tolist(), costs.tolist(), strict=True)):
            if place in begins:
                pieces += _last_piece(decoder, cost)
                decoder, cost = vocabulary.decoder(), 0.0
            cost += nats_of_token
            if text := decoder.feed([index]):
                pieces.append((text, cost))
                cost = 0.0
        yield pieces
    if last := _last_piece(decoder, cost):
        yield last


def _last_piece(decoder: TextDecoder, cost: float) -> list[tuple[str, float]]:
    """What is left of a document, if anything is."""
    rest = decoder.finish()
    return [(rest, cost)] if rest or cost else []


def _scored(
    model: Predictor,
    vocabulary: Vocabulary,
    source: TextSource | TokenStore,
    config: EvalConfig,
    each_line: bool,
    document: str,
    given: str,
) -> Iterator[tuple[Ids, list[TextLine], list[int], Nats]]:
    """Yield ids that are scored together, the lines in them, where documents begin, and the nats of the ids."""
    if isinstance(source, TextSource) and document.startswith(DOCUMENT_AT):
        source.document = document  # the source itself finds these, before it is divided into lines
    scorer = Scorer(
        model,
        batch_size=config.batch_size,
        context=config.context,
        stride=config.stride,
        given=given_ids(vocabulary, given),
    )
    for ids, lines in encoded_lines(vocabulary, source, each_line, document):
        starts = document_starts(lines)
        yield ids, lines, starts, scorer.score(ids, starts)


def _check_unit(
    vocabulary: Vocabulary, source: TextSource | TokenStore, config: EvalConfig, per: str, carry: bool
) -> None:
    """UsageError when the vocabulary does not allow such rows."""
    stored = isinstance(source, TokenStore)
    if per == "line" and (carry or stored) and not (vocabulary.has_newline or vocabulary.joins_newlines):
        raise UsageError("this run's vocabulary has no newline to end a line: give a text, without --carry")
    if per == "line" and stored and not carry and vocabulary.joins_newlines:
        raise UsageError("tokens of this run's vocabulary go on over the ends of lines: give the text, or --carry")
    check_oov(vocabulary, config)


def given_ids(vocabulary: Vocabulary, given: str) -> list[int]:
    """The ids of a text that is read before what is scored; UsageError when it is not empty and has none."""
    ids: list[int] = vocabulary.encode(given).tolist()
    if given and not ids:
        raise UsageError(f"--given {given!r} holds no word: give some")
    return ids


def check_oov(vocabulary: Vocabulary, config: EvalConfig) -> None:
    """UsageError when unknown words are to be left out, but the vocabulary spells every word."""
    if config.oov == "exclude" and vocabulary.type != "word":
        raise UsageError(f"--oov exclude is for a vocabulary of type word: this one is of type {vocabulary.type}")


def counted_tokens(vocabulary: Vocabulary, config: EvalConfig, ids: Ids) -> npt.NDArray[np.bool_]:
    """Which tokens count: all of them, or under `--oov exclude` those that are not the unknown word."""
    return ids != vocabulary.unknown_id if config.oov == "exclude" else np.ones(len(ids), dtype=bool)


class OpenRow:
    """Collects rows from lines: one for each line, or one for each document, which shows only part of its text."""

    def __init__(self, whole_text: bool, each_line: bool) -> None:
        self._whole_text, self._each_line = whole_text, each_line
        self._open = False
        self._nats, self._tokens, self._text = 0.0, 0, LongText()
        self._room = SHOWN_CHARACTERS  # that a row still has for its first line

    def take(self, lines: list[TextLine], nats: Nats, counted: npt.NDArray[np.bool_]) -> list[Row]:
        """Add lines, given the nats of their tokens; the rows that they complete."""
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
            if self._whole_text or self._room:
                self._text.add(shown := self._shown(line.text))
                self._room = 0 if line.ends else max(0, self._room - len(shown))
            self._open, self._nats, self._tokens = True, self._nats + cost, self._tokens + tokens
            if ends:
                rows += self.closed()
        return rows

    def closed(self) -> list[Row]:
        """End the row that is open; a list of it, empty if there is none."""
        rows = [Row(self._nats, self._tokens, self._text)] if self._open else []
        if rows:
            self._open, self._nats, self._tokens, self._text = False, 0.0, 0, LongText()
            self._room = SHOWN_CHARACTERS
        return rows

    def _shown(self, text: str) -> str:
        return text if self._whole_text else text.removesuffix("\n")[: self._room]


class OpenWord:
    """Collects rows from tokens: one for each word with the white space before it in its line, one for each line's end,
    and one for white space at the end of a document.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._table = vocabulary.token_table
        self._open = self._inside = False  # inside: the row holds more than white space
        self._nats, self._tokens, self._text = 0.0, 0, LongText()

    def take(self, ids: Ids, nats: Nats, counted: npt.NDArray[np.bool_], starts: list[int]) -> list[Row]:
        """Add tokens, among which documents begin at `starts`; the rows that they complete."""
        units = units_of(self._table, ids, starts)
        sums = np.bincount(units.of_token, np.where(counted, nats, 0.0), len(units.stops) + 1).tolist()
        counts = np.bincount(units.of_token, counted, len(units.stops) + 1).astype(np.int64).tolist()
        rows = self.closed() if starts[:1] == [0] or (self._inside and not units.continues_word) else []
        *whole, rest = zip(units.texts(), sums, counts, strict=True)
        for text, cost, tokens in whole:
            if self._open:
                self._add(text, cost, tokens)
                rows += self.closed()
            else:
                rows.append(Row(cost, tokens, (text,)))
        if rest[0] or rest[2]:
            self._add(*rest)
        return rows

    def closed(self) -> list[Row]:
        """End the row that is open; a list of it, empty if there is none."""
        rows = [Row(self._nats, self._tokens, self._text)] if self._open else []
        if rows:
            self._open = self._inside = False
            self._nats, self._tokens, self._text = 0.0, 0, LongText()
        return rows

    def _add(self, text: str, cost: float, tokens: int) -> None:
        if not self._inside and not is_white_space(text):
            self._inside, self._text = True, LongText()  # without the white space before it
        self._open, self._nats, self._tokens = True, self._nats + cost, self._tokens + tokens
        self._text.add(text)


class LongText:
    """A text that grows, in memory that does not: what is more than HELD_LINE_BYTES is in a temporary file."""

    def __init__(self) -> None:
        self._spool = Spool("a line", HELD_LINE_BYTES)

    def add(self, text: str) -> None:
        """Put a part at the end; SeqtoolError when there is no room for it."""
        self._spool.append(text.encode())

    def __iter__(self) -> Iterator[str]:
        return codecs.iterdecode(self._spool.blocks(PART_BYTES), "utf-8")


def _rows_of_tokens(
    vocabulary: Vocabulary, ids: Ids, nats: Nats, counted: npt.NDArray[np.bool_]
) -> Iterator[list[Row]]:
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
