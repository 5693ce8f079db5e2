"""Scoring by line, token or document: one row out for each unit in, in order, as the text comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from seqtool.config import EvalConfig
from seqtool.errors import UsageError
from seqtool.inference.scoring import Document, Scored, score_documents
from seqtool.models.language_model import LanguageModel
from seqtool.text.documents import TextSource, lines_of
from seqtool.text.store import document_ids, encode_text
from seqtool.text.vocabulary import Vocabulary

SHOWN_TOKENS = 200  # of a document, at most, in its row


class Row(NamedTuple):
    """What one unit of text costs."""

    nats: float
    tokens: int
    text: str


def score_lines(model: LanguageModel, vocabulary: Vocabulary, source: TextSource, config: EvalConfig) -> Iterator[Row]:
    """Each line by itself, its newline its last token; the rows of what has been read come before more is read."""
    held: list[str] = []  # the parts of a line whose end has not come yet
    for block in source.blocks():
        lines: list[str] = []
        if block.starts_document and held:
            lines, held = ["".join(held)], []
        for line in lines_of(block.text):
            held.append(line)
            if line.endswith("\n"):
                lines, held = [*lines, "".join(held)], []
        yield from _rows(model, vocabulary, lines, config)
    yield from _rows(model, vocabulary, ["".join(held)] if held else [], config)


def _rows(model: LanguageModel, vocabulary: Vocabulary, lines: list[str], config: EvalConfig) -> Iterator[Row]:
    documents = (vocabulary.encode(line) for line in lines)
    for line, nats in zip(lines, _whole(_scored(model, documents, config)), strict=True):
        yield Row(_sum(nats), len(nats), line)


def score_carried_lines(
    model: LanguageModel, vocabulary: Vocabulary, source: TextSource, config: EvalConfig
) -> Iterator[Row]:
    """Each line as a part of its document: the rows add up to the nats of the whole text."""
    if not vocabulary.has_newline:
        raise UsageError("this run's vocabulary has no newline to end a line: leave out --carry")
    line_ends = vocabulary.newline_ids[-1]
    ids: list[int] = []
    nats = 0.0
    for token, cost, ends in _tokens(model, vocabulary, source, config):
        ids.append(token)
        nats += cost
        if token == line_ends or ends:
            yield Row(nats, len(ids), vocabulary.decode(ids))
            ids, nats = [], 0.0


def score_tokens(model: LanguageModel, vocabulary: Vocabulary, source: TextSource, config: EvalConfig) -> Iterator[Row]:
    """Each token as a part of its document."""
    for token, cost, _ in _tokens(model, vocabulary, source, config):
        yield Row(cost, 1, vocabulary.decode([token]))


def score_whole_documents(
    model: LanguageModel, vocabulary: Vocabulary, source: TextSource, config: EvalConfig
) -> Iterator[Row]:
    """Each document; its text is given up to its first line's end."""
    encoded = encode_text(vocabulary, source)
    documents = document_ids(encoded.ids, vocabulary.begin_id)
    nats, tokens = 0.0, 0
    for part in _scored(model, document_ids(encoded.ids, vocabulary.begin_id), config):
        nats, tokens = nats + _sum(part.nats), tokens + len(part.nats)
        if part.ends:
            beginning = vocabulary.decode(next(documents)[0:SHOWN_TOKENS].tolist())
            yield Row(nats, tokens, beginning.split("\n")[0])
            nats, tokens = 0.0, 0


def _tokens(
    model: LanguageModel, vocabulary: Vocabulary, source: TextSource, config: EvalConfig
) -> Iterator[tuple[int, float, bool]]:
    """Each token with its nats, and whether its document ends with it."""
    encoded = encode_text(vocabulary, source)
    documents = document_ids(encoded.ids, vocabulary.begin_id)
    document, position = next(documents, None), 0
    for part in _scored(model, document_ids(encoded.ids, vocabulary.begin_id), config):
        assert document is not None
        ids = document[position : position + len(part.nats)].tolist()
        for index, (token, cost) in enumerate(zip(ids, part.nats.tolist(), strict=True)):
            yield token, cost, part.ends and index == len(ids) - 1
        position += len(ids)
        if part.ends:
            document, position = next(documents, None), 0


def _scored(model: LanguageModel, documents: Iterable[Document], config: EvalConfig) -> Iterator[Scored]:
    return score_documents(model, documents, batch_size=config.batch_size, context=config.context, stride=config.stride)


def _whole(parts: Iterator[Scored]) -> Iterator[np.ndarray]:
    held = []
    for part in parts:
        held.append(part.nats)
        if part.ends:
            yield np.concatenate(held)
            held = []


def _sum(nats: np.ndarray) -> float:
    return float(nats.sum(dtype=np.float64))
