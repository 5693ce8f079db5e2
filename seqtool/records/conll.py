"""Lines of CoNLL-U and CoNLL columns: a token a line, an empty line after each sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from seqtool.records.lines import BrokenRow, Lines, Row, without_newline

UNIVERSAL = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""The columns of CoNLL-U."""
PLAIN = ("form", "tag")
"""The columns of a file that has no more."""
GLOBAL_COLUMNS = re.compile(r"#\s*global\.columns\s*=\s*(.+)")  # CoNLL-U Plus
ASIDE = re.compile(r"\d+[-.]\d+")
"""The id of a multiword token (1-2) or of an empty node (1.1): neither is a word."""
DOCUMENT_START = "-DOCSTART-"


def split_token(line: str, delimiter: str) -> list[str]:
    """The fields of a token's line: between tabs, or, with a space for a delimiter, between white space."""
    return line.split("\t") if delimiter == "\t" else line.split()


def is_comment(line: str, columns: Sequence[str], delimiter: str) -> bool:
    """Whether a line says something of its sentence; in CoNLL columns without ids, `#` may be a token."""
    return line.startswith("#") and (columns[0] == "id" or len(split_token(line, delimiter)) != len(columns))


def conll_rows(lines: Lines, columns: Sequence[str], delimiter: str) -> Iterator[Row]:
    """A row for each token, without comments, multiword tokens, empty nodes and marks of a document's start."""
    nothing = (None,) * len(columns)
    while True:
        lines.begin()
        try:
            line = without_newline(next(lines))
        except StopIteration:
            return
        except BrokenRow as error:
            yield Row(lines.number, nothing, str(error))
            continue
        if not line.strip() or is_comment(line, columns, delimiter) or line.startswith(DOCUMENT_START):
            continue
        cells = split_token(line, delimiter)
        problem = lines.problem or token_problem(cells, columns)
        if problem:
            yield Row(lines.number, nothing, problem)
        elif not (columns[0] == "id" and ASIDE.fullmatch(cells[0])):
            yield Row(lines.number, tuple([cell or None for cell in cells]))


def token_problem(cells: Sequence[str], columns: Sequence[str]) -> str:
    """Why fields are no token; empty if they are one."""
    if len(cells) == len(columns):
        return ""
    return f"has {len(cells):,} field{'s' * (len(cells) != 1)}, not {len(columns):,}"
