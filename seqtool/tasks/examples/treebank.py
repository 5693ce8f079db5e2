"""Sentences in columns to arrays: a row of tables for each word, a label for each, long sentences in pieces."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from seqtool.files.spools import Spool
from seqtool.models.loss import IGNORE
from seqtool.records.reading import Records, open_records
from seqtool.records.sentences import Sentence, sentences_of
from seqtool.tasks.examples.sets import ArrayExamples
from seqtool.tasks.examples.words import BEGIN, WordReader


class Treebank(NamedTuple):
    """Opened sentences, the column of their words and that of their labels."""

    records: Records
    form: str
    target: str

    @property
    def kind(self) -> str:
        """The kind of examples."""
        return "tags"

    def sentences(self) -> Iterator[Sentence]:
        """Those that can be read: words, and the label of each."""
        return sentences_of(self.records, (self.form, self.target))

    def opened(self, path: str, errors: str) -> Treebank:
        """Another file with the same columns, which may have more."""
        return self._replace(records=open_records([path], format="conll", errors=errors))


def whole_sentences(sentences: Iterator[Sentence]) -> Iterator[Sentence]:
    """The sentences that are not broken; broken ones come only under --errors replace."""
    return (sentence for sentence in sentences if not sentence.problem)


class SentenceArrays(NamedTuple):
    """Sentences as arrays: a row for each piece of a sentence."""

    examples: ArrayExamples
    sentence_of: list[int]
    """The sentence of each piece, from 0."""
    lengths: list[int]
    """Tokens of each sentence."""
    unknown: Counter[str]
    """The labels that training has not, and on how many tokens each is."""
    left_out: int
    sha256: str


def sentence_arrays(
    source: Treebank, labels: Sequence[str], reader: WordReader, most: int, unscored: str = ""
) -> SentenceArrays:
    """Read sentences into arrays, in pieces of at most `most` tokens; many of them lie in temporary files.

    Tokens of the label `unscored` have no target.
    """
    number = {label: place for place, label in enumerate(labels)}
    ids, targets, digest = Spool("words"), Spool("labels"), hashlib.sha256()
    lengths: list[int] = []
    pieces: list[int] = []
    sentence_of: list[int] = []
    unknown: Counter[str] = Counter()
    left_out = 0
    for sentence in source.sentences():
        if sentence.problem:
            left_out += 1
            continue
        forms, tags = sentence.columns
        for part in (forms, tags):
            digest.update(("\x1f".join(part) + "\x1e").encode("utf-8", "replace"))
        ids.append(reader.rows(forms))
        targets.append(np.array([number.get(label, IGNORE) for label in tags], np.int32))
        unknown.update(label for label in tags if label not in number and label != unscored)
        own = piece_lengths(len(forms), most)
        sentence_of += [len(lengths)] * len(own)
        pieces += own
        lengths.append(len(forms))
    examples = ArrayExamples(
        targets.mapped(np.int32),
        starts=np.concatenate([[0], np.cumsum(np.array(pieces, np.int64))]),
        ids=ids.mapped(np.int32).reshape(-1, len(reader.words.tables)),
        begin_id=BEGIN,
        each=True,
    )
    return SentenceArrays(examples, sentence_of, lengths, unknown, left_out, digest.hexdigest())


def piece_lengths(tokens: int, most: int) -> list[int]:
    """The lengths of the pieces, as even as can be, in which a sentence is read; none of one without tokens."""
    pieces = -(-tokens // most)
    return [(place + 1) * tokens // pieces - place * tokens // pieces for place in range(pieces)]
