"""The lines of a text and their tokens, as the text arrives: what one read of a stream returns is encoded together.

Reading a file never waits, so thousands of small files come together too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from seqtool.errors import InputError
from seqtool.files.streams import READ_BYTES
from seqtool.scoring.scorer import TOKENS_AT_ONCE
from seqtool.text.blocks import encodable
from seqtool.text.documents import TextBlock, TextSource, lines_of, split_documents
from seqtool.text.encoding import Ids
from seqtool.text.sequences import IdSequence, document_spans, without_begins
from seqtool.text.store import TokenStore
from seqtool.text.vocabulary import Vocabulary


class TextLine(NamedTuple):
    """A line, or part of a long one; its tokens end at `stop` among the ids that are scored together.

    `begins` says that it begins a document, `ends` that it ends with a newline.
    """

    text: str
    stop: int
    begins: bool
    ends: bool


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


def check_store(vocabulary: Vocabulary, store: TokenStore) -> None:
    """InputError when a store was encoded with another vocabulary than that of the run."""
    store.check_vocabulary(vocabulary, f"encode its text with --vocab {vocabulary.name}, or score the text itself")


def arrivals(source: TextSource, vocabulary: Vocabulary, document: str) -> Iterator[list[TextBlock]]:
    """Yield the blocks that each read of `source` returns, divided into documents; `source` itself divides only files.

    Where reading never waits, the blocks of several reads come together. The blocks before an error come first. Tokens
    that go on over the ends of lines are only known once more has been read.
    """
    if vocabulary.joins_newlines:
        source.document = document
        yield from _arrived(
            encodable(vocabulary, source.blocks(), lines=document == "line"), 1 if source.waits else READ_BYTES
        )
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
        ids = vocabulary.encode_parts(group)
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
