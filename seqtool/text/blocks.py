"""Regrouping text into blocks that can be encoded independently, so that ids do not depend on how the text arrives."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator

import numpy as np

from seqtool.errors import InputError
from seqtool.settings.vocabulary import BYTE_LEVEL
from seqtool.text.documents import SEGMENT_CHARACTERS, TextBlock
from seqtool.text.encoding import Ids
from seqtool.text.symbols import symbol_pattern
from seqtool.text.vocabulary import Vocabulary

GROUP_CHARACTERS = 1 << 16  # of short blocks that are encoded in one call
MAX_HELD_CHARACTERS = 1 << 20  # of a line or a word that has to be encoded whole
WHITE_SPACE = re.compile(r"\s")


def encode_blocks(vocabulary: Vocabulary, blocks: Iterable[TextBlock]) -> Iterator[Ids]:
    """Ids of the blocks, `<s>` before each document: the stream that models are trained on."""
    begin = np.array([vocabulary.begin_id], dtype=vocabulary.dtype)
    newline = vocabulary.newline_ids[0]
    for group in _groups(encodable(vocabulary, blocks), vocabulary.has_newline):
        ids = vocabulary.encode_parts([(block.text, block.starts_document) for block in group])
        if len(group) == 1:
            yield np.concatenate([begin, ids]) if group[0].starts_document else ids
            continue
        lines = [0, *itertools.accumulate(block.text.count("\n") for block in group)]
        line_starts = np.concatenate([[0], np.flatnonzero(ids == newline) + 1])
        yield np.insert(ids, [line_starts[lines[i]] for i, block in enumerate(group) if block.starts_document], begin)


def _groups(blocks: Iterable[TextBlock], has_newline: bool) -> Iterator[list[TextBlock]]:
    """Groups of short blocks to encode in one call; all but the last block of a group end with a newline."""
    group: list[TextBlock] = []
    characters = 0
    for block in blocks:
        group.append(block)
        characters += len(block.text)
        if characters >= GROUP_CHARACTERS or not (has_newline and block.text.endswith("\n")):
            yield group
            group, characters = [], 0
    if group:
        yield group


def encodable(vocabulary: Vocabulary, blocks: Iterable[TextBlock], *, lines: bool = False) -> Iterator[TextBlock]:
    """The same text in blocks that can be encoded independently with this vocabulary. `lines`: each is a document."""
    if vocabulary.type == "word":
        return whole_words(blocks)
    if vocabulary.type == "foreign":
        return whole_lines(blocks, vocabulary.name)
    if vocabulary.type == BYTE_LEVEL:
        return whole_units(blocks, vocabulary, lines=lines)
    return whole_symbols(blocks, vocabulary.symbols)


def _held_until(blocks: Iterable[TextBlock], cut: Callable[[str, int], int]) -> Iterator[TextBlock]:
    """The same text in blocks that end with a document, or where `cut` says.

    It is asked of the text that is held, and how much of that it was asked of before; 0 holds all of it.
    """
    rest, starts = "", False
    for block in blocks:
        if block.starts_document:
            if rest or starts:
                yield TextBlock(rest, starts)
            rest, starts = "", True
        known = len(rest)
        rest += block.text
        while place := cut(rest, known):
            yield TextBlock(rest[:place], starts)
            rest, starts, known = rest[place:], False, 0
    if rest or starts:
        yield TextBlock(rest, starts)


def whole_symbols(blocks: Iterable[TextBlock], symbols: Collection[str]) -> Iterator[TextBlock]:
    """The same text in blocks that end inside no symbol: after a newline or a symbol, or where a long line is cut."""
    pattern = symbol_pattern(symbols)
    if pattern is None:
        return iter(blocks)
    longest = max(map(len, symbols))
    return _held_until(blocks, lambda text, _: len(text) if text.endswith("\n") else _last_cut(text, pattern, longest))


def _last_cut(text: str, pattern: re.Pattern[str], longest: int) -> int:
    """The last place to cut a text whose last line is incomplete without cutting a symbol, of `longest` characters."""
    cut, settled = text.rfind("\n") + 1, len(text) - longest + 1  # a symbol that begins later may be incomplete
    for match in pattern.finditer(text, cut):
        if match.start() >= settled:
            break
        cut = match.end()
    return cut + max(0, settled - cut) // SEGMENT_CHARACTERS * SEGMENT_CHARACTERS


def whole_units(blocks: Iterable[TextBlock], vocabulary: Vocabulary, *, lines: bool = False) -> Iterator[TextBlock]:
    """The same text in blocks that end where byte-level BPE surely cuts it, mostly before a space, or with a document.

    Text without such a place is cut after each MAX_HELD_CHARACTERS, so that memory stays bounded.
    """
    pattern = symbol_pattern(vocabulary.symbols)
    longest = max(map(len, vocabulary.symbols), default=0)

    def cut(text: str, known: int) -> int:
        if len(text) > MAX_HELD_CHARACTERS + longest:
            return _unit_cut(text, 0, MAX_HELD_CHARACTERS, vocabulary, pattern) or MAX_HELD_CHARACTERS
        if lines and text.endswith("\n"):  # the document is whole: nothing is waited for
            return len(text)
        return _unit_cut(text, max(0, known - longest - 1), len(text) - longest, vocabulary, pattern)

    return _held_until(blocks, cut)


def _unit_cut(text: str, start: int, end: int, vocabulary: Vocabulary, symbol: re.Pattern[str] | None) -> int:
    """The last place from `start` to `end` to cut a text, but inside no symbol; 0 where there is none."""
    cut = vocabulary.last_cut(text, start, end) if end > start else 0
    if symbol is not None and cut:
        before = list(itertools.takewhile(lambda match: match.start() < cut, symbol.finditer(text)))
        for match in reversed(before):
            if match.start() < cut < match.end():
                cut = vocabulary.last_cut(text, start, match.start()) if match.start() > start else 0
    return cut


def whole_lines(blocks: Iterable[TextBlock], name: str) -> Iterator[TextBlock]:
    """The same text in blocks that end where a line or document ends; InputError for a line that is too long."""

    def cut(text: str, known: int) -> int:
        if len(text) > MAX_HELD_CHARACTERS and not -1 < text.find("\n") <= MAX_HELD_CHARACTERS:
            raise InputError(
                f"a line has more than {MAX_HELD_CHARACTERS:,} characters, and {name} splits whole lines: "
                "break it, or make a vocabulary with seqtool vocab"
            )
        return len(text) if text.endswith("\n") else 0

    return _held_until(blocks, cut)


def whole_words(blocks: Iterable[TextBlock]) -> Iterator[TextBlock]:
    """The same text in blocks that end after white space: a word that a block was cut in moves to the next block.

    A word longer than MAX_HELD_CHARACTERS is cut after each such number, so that memory stays bounded.
    """
    rest, starts = "", False
    for block in blocks:
        if block.starts_document:
            if rest:
                yield TextBlock(rest, starts)
            rest, starts = "", True
        if not block.text:  # an empty file: a document without words
            yield block
            starts = False
            continue
        text = rest + block.text
        white_space = WHITE_SPACE.search(block.text)
        word_end = len(rest) + (white_space.start() if white_space else len(block.text))
        cut = (word_end - 1) // MAX_HELD_CHARACTERS * MAX_HELD_CHARACTERS
        for place in range(0, cut, MAX_HELD_CHARACTERS):
            yield TextBlock(text[place : place + MAX_HELD_CHARACTERS], starts)
            starts = False
        kept = len(text) if text[-1:].isspace() else max(cut, len(text) - len(text.rsplit(maxsplit=1)[-1]))
        rest = text[kept:]
        if kept > cut:
            yield TextBlock(text[cut:kept], starts)
            starts = False
    if rest:
        yield TextBlock(rest, starts)
