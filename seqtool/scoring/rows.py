"""Scoring by line, word, token or document: one row for each unit, in input order, as the text arrives.

What one read of a stream returns is scored together and answered before more is read: behind `tail -f` a line is
answered as soon as it is complete, and thousands of lines of a fast stream are one batch. Reading a file never waits,
so thousands of small files are one batch too.
"""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError, UsageError
from seqtool.files.spools import Spool
from seqtool.files.streams import READ_BYTES
from seqtool.models.predictor import Predictor
from seqtool.scoring.scorer import TOKENS_AT_ONCE, Nats, Scorer, perplexity
from seqtool.scoring.words import is_white_space, units_of
from seqtool.settings.scoring import EvalConfig
from seqtool.settings.vocabulary import DOCUMENT_AT
from seqtool.text.blocks import encodable
from seqtool.text.decoding import TextDecoder
from seqtool.text.documents import TextBlock, TextSource, lines_of, split_documents
from seqtool.text.encoding import Ids
from seqtool.text.sequences import IdSequence, document_spans, without_begins
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


class TextLine(NamedTuple):
    """A line, or part of a long one; its tokens end at `stop` among the ids that are scored together.

    `begins` says that it begins a document, `ends` that it ends with a newline.
    """

    text: str
    stop: int
    begins: bool
    ends: bool


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


def encoded_lines(
    vocabulary: Vocabulary, source: TextSource | TokenStore, each_line: bool, document: str
) -> Iterator[tuple[Ids, list[TextLine]]]:
    """Yield the ids that are scored together, and the lines in them."""
    if isinstance(source, TokenStore):
        yield from stored_lines(vocabulary, source, each_line)
        return
    for blocks in arrivals(source, vocabulary, "line" if each_line else document):
        yield encode_lines(vocabulary, blocks)


def document_starts(lines: Sequence[TextLine]) -> list[int]:
    """The places among the ids of these lines where documents begin."""
    begins = [0, *(line.stop for line in lines)]
    return [begin for begin, line in zip(begins, lines, strict=False) if line.begins]


def given_ids(vocabulary: Vocabulary, given: str) -> list[int]:
    """The ids of a text that is read before what is scored; UsageError when it is not empty and has none."""
    ids: list[int] = vocabulary.encode(given).tolist()
    if given and not ids:
        raise UsageError(f"--given {given!r} holds no word: give some")
    return ids


def check_store(vocabulary: Vocabulary, store: TokenStore) -> None:
    """InputError when a store was encoded with another vocabulary than that of the run."""
    store.check_vocabulary(vocabulary, f"encode its text with --vocab {vocabulary.name}, or score the text itself")


def check_oov(vocabulary: Vocabulary, config: EvalConfig) -> None:
    """UsageError when unknown words are to be left out, but the vocabulary spells every word."""
    if config.oov == "exclude" and vocabulary.type != "word":
        raise UsageError(f"--oov exclude is for a vocabulary of type word: this one is of type {vocabulary.type}")


def counted_tokens(vocabulary: Vocabulary, config: EvalConfig, ids: Ids) -> npt.NDArray[np.bool_]:
    """Which tokens count: all of them, or under `--oov exclude` those that are not the unknown word."""
    return ids != vocabulary.unknown_id if config.oov == "exclude" else np.ones(len(ids), dtype=bool)


def arrivals(source: TextSource, vocabulary: Vocabulary, document: str) -> Iterator[list[TextBlock]]:
    """Yield the blocks that each read of `source` returns, divided into documents; `source` itself divides only files.

    Where reading never waits, the blocks of several reads come together. The blocks before an error come first. Tokens
    that go on over the ends of lines are only known once more has been read.
    """
    if vocabulary.joins_newlines:
        source.document = document
        yield from _arrived(encodable(vocabulary, source.blocks()), 1 if source.waits else READ_BYTES)
        return
    blocks = encodable(vocabulary, source.blocks())
    most = 1 if source.waits else READ_BYTES
    divided: list[TextBlock] = []
    ahead, undivided = next(blocks, None), 0  # the next block; characters of the last one that are still to come out

    def texts_of_file() -> Iterator[str]:
        nonlocal ahead, undivided
        block, ahead = ahead, None
        while block is not None:
            undivided = len(block.text)
            if block.text:
                yield block.text
            else:
                divided.append(block)
            block = next(blocks, None)
            if block is not None and block.starts_document:
                block, ahead = None, block

    characters, empty = 0, True
    try:
        while ahead is not None:
            for block in split_documents(texts_of_file(), document):
                divided.append(block)
                empty = False
                undivided -= len(block.text)
                characters += len(block.text)
                if not undivided and characters >= most:  # the next block would have to be read
                    yield divided
                    divided, characters = [], 0
    except InputError:
        if characters:
            yield divided
        raise
    if empty:
        raise InputError(f"{source.name} is empty: there is no text to read")
    if divided:
        yield divided


def _arrived(blocks: Iterator[TextBlock], most: int) -> Iterator[list[TextBlock]]:
    """Blocks that are divided into documents already, in lists of about `most` characters."""
    together: list[TextBlock] = []
    characters = 0
    try:
        for block in blocks:
            together.append(block)
            characters += len(block.text)
            if characters >= most:
                yield together
                together, characters = [], 0
    except InputError:
        if characters:
            yield together
        raise
    if together:
        yield together


def encode_lines(vocabulary: Vocabulary, blocks: list[TextBlock]) -> tuple[Ids, list[TextLine]]:
    """The ids of some blocks and the lines in them; an empty document is one line without text."""
    found: list[Ids] = []
    lines: list[TextLine] = []
    stop = 0
    for group in _encoded_together(vocabulary, blocks):
        ids = vocabulary.encode("".join(part for part, _ in group))
        lines += _lines_in(vocabulary, ids, group, stop)
        found.append(ids)
        stop += len(ids)
    return np.concatenate(found), lines


def _encoded_together(vocabulary: Vocabulary, blocks: list[TextBlock]) -> list[list[tuple[str, bool]]]:
    """The lines of some blocks, and whether each begins a document, in groups that are encoded in one call."""
    by_block = [
        [(line, block.starts_document and not place) for place, line in enumerate(lines_of(block.text) or [""])]
        for block in blocks
    ]
    if vocabulary.joins_newlines:
        return by_block
    groups: list[list[tuple[str, bool]]] = [[]]
    for text, begins in itertools.chain.from_iterable(by_block):
        groups[-1].append((text, begins))
        if not (vocabulary.has_newline and text.endswith("\n")):
            groups.append([])
    return [group for group in groups if group]


def stored_lines(vocabulary: Vocabulary, store: TokenStore, each_line: bool) -> Iterator[tuple[Ids, list[TextLine]]]:
    """Yield parts of a store's ids, without `<s>`, and the lines in them; with `each_line` each begins a document."""
    check_store(vocabulary, store)
    decoder, ended = vocabulary.decoder(), False
    for part in _whole_characters(vocabulary, store.ids):
        lines: list[TextLine] = []
        stop = 0
        starts, ends = document_spans(part, vocabulary.begin_id)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            ids, begins = part[start:end], start > 0
            if begins:
                decoder, ended = vocabulary.decoder(), False
            texts = lines_of(decoder.feed(ids)) or ([""] if begins and not each_line else [])
            begun = [begins or (each_line and ended), *(each_line for _ in texts)]
            group = list(zip(texts, begun, strict=False))
            lines += _lines_in(vocabulary, ids, group, stop)
            stop += len(ids)
            ended = texts[-1].endswith("\n") if texts else ended
        yield without_begins(part, vocabulary.begin_id)[0], lines


def _whole_characters(vocabulary: Vocabulary, ids: IdSequence) -> Iterator[Ids]:
    """Yield a sequence in parts that end with a line or a document, or with a character where that is too long."""
    first_bytes = np.zeros(vocabulary.size, np.uint8)
    spelled = np.flatnonzero(vocabulary.token_table.lengths)
    first_bytes[spelled] = vocabulary.token_table.first_bytes(spelled)
    start = 0
    while start < len(ids):
        part = ids[start : start + TOKENS_AT_ONCE]
        if start + len(part) < len(ids):
            newline = part == vocabulary.newline_ids[-1]
            ends = np.flatnonzero(np.append(False, newline[:-1]) | (part == vocabulary.begin_id))
            if not ends.any():
                ends = np.flatnonzero(first_bytes[part] & 0xC0 != 0x80)  # UTF-8 continues a character with 10xxxxxx
            part = part[: ends[-1]] if ends.any() else part
        yield part
        start += len(part)


def _lines_in(vocabulary: Vocabulary, ids: Ids, texts: list[tuple[str, bool]], before: int) -> list[TextLine]:
    """Lines, of which `texts` has the text and whether it begins a document; their `ids` come after `before` others.

    A token that goes on over the end of a line belongs to the line that it begins in.
    """
    if vocabulary.joins_newlines:
        lengths = vocabulary.token_table.lengths[ids]
        sizes = np.cumsum([len(vocabulary.normalized(text).encode()) for text, _ in texts])
        stops = before + np.searchsorted(np.cumsum(lengths) - lengths, sizes)
        stops[-1:] = before + len(ids)
        return [
            TextLine(text, stop, begins, text.endswith("\n"))
            for (text, begins), stop in zip(texts, stops.tolist(), strict=True)
        ]
    ends = iter((np.flatnonzero(ids == vocabulary.newline_ids[-1]) + (before + 1)).tolist())
    stop = before
    lines = []
    for text, begins in texts:
        ended = text.endswith("\n")
        if text:
            stop = next(ends, before + len(ids)) if ended and vocabulary.has_newline else before + len(ids)
        lines.append(TextLine(text, stop, begins, ended))
    return lines


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
