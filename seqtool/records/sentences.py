"""Sentences of tokens in CoNLL-U and CoNLL columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from seqtool.errors import InputError, UsageError
from seqtool.records.columns import no_column
from seqtool.records.conll import ASIDE, DOCUMENT_START, is_comment, split_token, token_problem
from seqtool.records.layout import Layout
from seqtool.records.lines import BAD_BYTE, RECORD_CHARACTERS, BrokenRow, Lines, without_newline
from seqtool.records.reading import READ_ON, Records, open_records

NO_VALUE = "_"  # as CoNLL writes it


class Sentence(NamedTuple):
    """The values of each asked column, one for each token, of the sentence whose first token is at line `number`.

    `aside` holds lines that are no words (multiword tokens 1-2, empty nodes 1.1), each with the number of tokens before
    it. `problem` says why the sentence is broken; the values that its lines lack are `_` then.
    """

    number: int
    columns: tuple[tuple[str, ...], ...]
    comments: tuple[str, ...] = ()
    aside: tuple[tuple[int, str], ...] = ()
    problem: str = ""


def read_sentences(
    paths: Sequence[str],
    *,
    columns: Sequence[str],
    errors: str = "strict",
    layout: Layout | None = None,
    rereadable: bool = True,
) -> Iterator[Sentence]:
    """The sentences of files, each as soon as the line after it has arrived; InputError if they are not CoNLL columns.

    Columns are named as in CoNLL-U or in a `# global.columns` line; of a file of one or two they are `form` and `tag`;
    others are named by their places, from 1, as all can be. UsageError for one that there is not.
    """
    records = open_records(paths, layout=layout, format="conll", errors=errors, rereadable=rereadable)
    return sentences_of(records, columns)


def sentences_of(records: Records, columns: Sequence[str]) -> Iterator[Sentence]:
    """The sentences of opened CoNLL columns."""
    if records.layout.format != "conll":
        raise InputError(
            f"{records.name} is not in CoNLL columns: give a token a line, an empty line after each sentence"
        )
    places = [column_place(records.columns, name) for name in columns]
    return _sentences(records, places)


def column_place(columns: Sequence[str], name: str) -> int:
    """The place of a column, by its name in any case or by its number; UsageError if there is none."""
    lower = [column.lower() for column in columns]
    if name.lower() in lower:
        return lower.index(name.lower())
    if name.isdecimal() and name.isascii() and 1 <= int(name[:9]) <= len(columns):
        return int(name) - 1
    raise UsageError(f"column {name!r}: {no_column(name, columns)}")


def _sentences(records: Records, places: Sequence[int]) -> Iterator[Sentence]:
    for name, lines in records.files():
        for sentence in _sentences_of(lines, name, records.layout, places):
            if sentence.problem and records.errors == "strict":
                raise InputError(f"{sentence.problem}: {READ_ON}")
            yield sentence


def _sentences_of(lines: Lines, name: str, layout: Layout, places: Sequence[int]) -> Iterator[Sentence]:
    """The sentences of one file; those that are broken too."""
    number, problem, begun = 0, "", lines.characters
    tokens: list[list[str]] = []
    comments: list[str] = []
    aside: list[tuple[int, str]] = []
    while True:
        lines.begin()
        ended = False
        try:
            line = without_newline(next(lines))
        except StopIteration:
            line, ended = "", True
        except BrokenRow as error:
            problem = problem or f"line {lines.number} of {name} {error}"
            continue
        if lines.characters - begun > RECORD_CHARACTERS:
            where = f"line {lines.number} of {name} is in a sentence of more than {RECORD_CHARACTERS:,} characters"
            raise InputError(f"{where}: put an empty line after each sentence")
        if lines.problem:
            problem = problem or f"line {lines.number} of {name} {lines.problem}"
            line = BAD_BYTE.sub("\ufffd", line)
        if not line.strip() or line.startswith(DOCUMENT_START):
            if tokens or problem:
                values = tuple(tuple(column) for column in zip(*tokens, strict=True)) or ((),) * len(places)
                yield Sentence(number, values, tuple(comments), tuple(aside), problem)
            if line.strip() or tokens or ended:
                comments, aside = [], []
            tokens, number, problem, begun = [], 0, "", lines.characters
            if ended:
                return
        elif is_comment(line, layout.columns, layout.delimiter):
            comments.append(line)
        else:
            cells = split_token(line, layout.delimiter)
            if layout.columns[0] == "id" and ASIDE.fullmatch(cells[0]):
                aside.append((len(tokens), line))
                continue
            number = number or lines.number
            if wrong := token_problem(cells, layout.columns):
                problem = problem or f"line {lines.number} of {name} {wrong}"
                cells += [NO_VALUE] * (len(layout.columns) - len(cells))
            tokens.append([cells[place] or NO_VALUE for place in places])
