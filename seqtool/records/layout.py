"""How a file of examples is laid out: told by its name and its beginning."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from seqtool.errors import InputError, UsageError
from seqtool.records import conll, labelled
from seqtool.records.json_lines import parse_object
from seqtool.records.lines import BAD_BYTE, BrokenRow
from seqtool.records.sniffing import (
    CONSISTENT,
    most_common_width,
    sniff_decimal,
    sniff_delimiter,
    sniff_header,
    sniff_quotes,
    sniff_wide,
    split_head,
)
from seqtool.settings.choices import choose_from

HEAD_CHARACTERS = 1 << 16  # of a file, by which its layout is told
MAX_COLUMNS = 16_384  # as spreadsheets have; a row that is a series may have more
SUFFIX_FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".conllu": "conll", ".conllup": "conll", ".conll": "conll", ".bio": "conll", ".iob": "conll",
}  # fmt: skip
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
SUFFIX_DELIMITERS = {".tsv": "\t", ".tab": "\t"}
DELIMITER_NAMES = {"tab": "\t", "comma": ",", "semicolon": ";", "bar": "|"}
DELIMITED = {"\t": "tab-separated", ",": "comma-separated", ";": "semicolon-separated", "|": "separated by |"}


@dataclass(frozen=True)
class Layout:
    """How a file of examples is laid out: recorded in a run, so that others are read the same.

    A `delimiter` of two characters, such as `, `, is one that spaces may follow. `quoted`: quotes enclose fields.
    `decimal` is the mark in the file; in the values read it is a point. `wide`: a row is a series, and may be short.
    """

    format: str  # one of FORMATS
    columns: tuple[str, ...]
    delimiter: str = ","
    header: bool = True
    quoted: bool = True
    decimal: str = "."
    wide: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))  # JSON has lists
        width = {"labelled": len(labelled.COLUMNS), "lines": len(labelled.TEXT_COLUMNS)}.get(self.format)
        if self.format not in FORMATS or not self.columns or width not in (None, len(self.columns)):
            raise InputError(f"a layout of format {self.format!r} with {len(self.columns):,} columns is none of ours")
        if not 1 <= len(self.delimiter) <= 2:
            raise InputError(f"a layout with the delimiter {self.delimiter!r} is none of ours")


def detect_layout(
    head: str, name: str, *, format: str = "auto", delimiter: str = "auto", header: bool | None = None
) -> Layout:
    """The layout of a file from its beginning, and from its name's suffix.

    `head` is the whole text, or at least its first HEAD_CHARACTERS; of a row that goes on behind it nothing is used.
    InputError if it has no layout that can be read, UsageError for an unknown `format`.
    """
    if format not in ("auto", *FORMATS):
        raise UsageError(f"format {format!r}: {choose_from(format, ('auto', *FORMATS))}")
    delimiter = DELIMITER_NAMES.get(delimiter, delimiter)
    if delimiter != "auto" and (not delimiter or delimiter[0] in '"\r\n' or len(delimiter) > 2):
        raise UsageError(f"delimiter {delimiter!r}: choose auto, tab, comma, semicolon, bar, or a character")
    if not head.strip():
        raise InputError(f"{name} is empty: there are no rows to read")
    suffix = suffix_of(name)
    if format == "auto":
        format = SUFFIX_FORMATS.get(suffix) or ("csv" if delimiter != "auto" else _sniff_format(head))
    if delimiter == "auto":
        delimiter = SUFFIX_DELIMITERS.get(suffix, "auto")
    return FORMATS[format](head, name, delimiter, header)


def describe_layout(layout: Layout) -> list[str]:
    """What was found, in words."""
    if layout.format != "csv":
        return {
            "jsonl": ["JSON lines"],
            "labelled": [f"lines with labels ({labelled.LABEL}…)"],
            "conll": ["CoNLL columns: a token a line, an empty line after each sentence"],
            "lines": ["a text a line"],
        }[layout.format]
    one = DELIMITED.get(layout.delimiter[0], f"separated by {layout.delimiter[0]!r}")
    told = [f"{one if len(layout.columns) > 1 else 'one column'}, {'with' if layout.header else 'without'} a header"]
    if layout.delimiter == "\t" and not layout.quoted:
        told.append("quotes are characters like others")
    if layout.decimal == ",":
        told.append("numbers with decimal commas")
    if layout.wide:
        told.append("a series a row")
    return told


def column_name(cell: str) -> str:
    """What a cell of a header names a column: without spaces around it, and on one line."""
    return " ".join(cell.split())


def named_columns(cells: Sequence[str], name: str, width: int = 0) -> tuple[str, ...]:
    """The names in a header; one that is empty is its place, from 1. InputError for two that are the same.

    An empty one at the end is dropped if rows have a `width` of one field less: a delimiter ends the header.
    """
    names = [column_name(cell) or str(place) for place, cell in enumerate(cells, start=1)]
    if 0 < width == len(names) - 1 and not cells[-1].strip():
        names.pop()
    for twice, times in Counter(names).items():
        if times > 1:
            places = [str(place) for place, other in enumerate(names, start=1) if other == twice]
            raise InputError(f"columns {' and '.join(places[:2])} of {name} are both named {twice[:60]!r}: rename one")
    return tuple(names)


def suffix_of(name: str) -> str:
    """The end of a file's name that tells its format, such as `.csv`, also of one that was compressed."""
    path = PurePath(name.lower())
    return (path.with_suffix("") if path.suffix in COMPRESSED else path).suffix


def _sniff_format(head: str) -> str:
    """The format of a text whose name does not tell it."""
    lines = [line.rstrip("\r") for line in _whole(head).split("\n")]
    filled = [line for line in lines if line.strip()]
    if not filled:
        return "lines"
    if filled[0].lstrip().startswith("{"):
        try:
            parse_object(filled[0])
        except BrokenRow:
            pass
        else:
            return "jsonl"
    if sum(line.lstrip().startswith(labelled.LABEL) for line in filled) > len(filled) / 2:
        return "labelled"
    if _is_conll(lines):
        return "conll"
    delimiter, share = sniff_delimiter(head[:HEAD_CHARACTERS], cut=_is_cut(head))
    prose = len(filled) == 1 and delimiter == ", "
    return "csv" if share >= CONSISTENT and not prose else "lines"


def _is_conll(lines: Sequence[str]) -> bool:
    """Whether lines are tokens of sentences with empty lines between them."""
    tokens = [line for line in lines if line.strip() and not line.startswith(("# ", conll.DOCUMENT_START))]
    if not tokens or "" not in (line.strip() for line in lines[:-1]):
        return False
    delimiter = "\t" if "\t" in tokens[0] else " "
    widths = {len(conll.split_token(line, delimiter)) for line in tokens}
    return len(widths) == 1 and widths.pop() > 1


def _delimited(head: str, name: str, delimiter: str, header: bool | None) -> Layout:
    cut = _is_cut(head)
    if delimiter == "auto":
        delimiter, _ = sniff_delimiter(head[:HEAD_CHARACTERS], cut=cut)
    quoted = sniff_quotes(head[:HEAD_CHARACTERS], delimiter)
    rows = split_head(head, delimiter, quoted, cut=cut) or [[""]]
    has_header = sniff_header(rows) if header is None else header
    if has_header:
        columns = named_columns(rows[0], name, most_common_width([len(row) for row in rows[1:]])[0])
    else:
        columns = numbered(most_common_width([len(row) for row in rows])[0])
    data = rows[has_header:]
    wide = sniff_wide(columns, has_header, data)
    if len(columns) > MAX_COLUMNS and not wide:
        raise InputError(f"{name} has {len(columns):,} columns, more than {MAX_COLUMNS:,}: is it delimited otherwise?")
    decimal = sniff_decimal(data, delimiter) if data else "."
    return Layout("csv", columns, delimiter, has_header, quoted, decimal, wide)


def _json_lines(head: str, name: str, delimiter: str, header: bool | None) -> Layout:
    columns: dict[str, None] = {}
    problem = ""
    if re.match(r"\s*\[", head):
        raise InputError(f"{name} is a JSON array, not an object a line: convert it, as with jq -c '.[]'")
    for number, line in enumerate(_whole(head).split("\n"), start=1):
        if line.strip():
            try:
                columns.update(dict.fromkeys(parse_object(line)))
            except BrokenRow as error:
                problem = problem or f"line {number} of {name} {error}"
    if not columns:
        raise InputError(problem or f"{name} has no objects with members: give one a line")
    if len(columns) > MAX_COLUMNS:
        raise InputError(f"{name} has objects of more than {MAX_COLUMNS:,} members in all: give the same few on a line")
    return Layout("jsonl", tuple(columns), header=False)


def _labelled(head: str, name: str, delimiter: str, header: bool | None) -> Layout:
    return Layout("labelled", labelled.COLUMNS, header=False)


def _conll(head: str, name: str, delimiter: str, header: bool | None) -> Layout:
    lines = [line.rstrip("\r") for line in _whole(head).split("\n")]
    tokens = [line for line in lines if line.strip() and not line.startswith(("# ", "#\t", conll.DOCUMENT_START))]
    if not tokens:
        raise InputError(f"{name} has no tokens: give one a line, its fields separated by tabs")
    if delimiter == "auto":
        delimiter = "\t" if any("\t" in line for line in tokens) else " "
    width, _ = most_common_width([len(conll.split_token(line, delimiter)) for line in tokens])
    stated = next((match[1].lower().split() for line in lines if (match := conll.GLOBAL_COLUMNS.match(line))), [])
    if len(stated) == width:
        columns = named_columns(stated, name)
    elif delimiter == "\t" and width <= len(conll.UNIVERSAL) and tokens[0].startswith(("1\t", "1-")) and width > 2:
        columns = conll.UNIVERSAL[:width]
    elif width <= len(conll.PLAIN):
        columns = conll.PLAIN[:width]
    else:
        columns = numbered(width)
    if len(columns) > MAX_COLUMNS:
        raise InputError(f"{name} has {len(columns):,} columns, more than {MAX_COLUMNS:,}: give a token a line")
    return Layout("conll", columns, delimiter, header=False)


def _lines(head: str, name: str, delimiter: str, header: bool | None) -> Layout:
    return Layout("lines", labelled.TEXT_COLUMNS, header=False)


FORMATS: dict[str, Callable[[str, str, str, bool | None], Layout]] = {
    "csv": _delimited, "jsonl": _json_lines, "labelled": _labelled, "conll": _conll, "lines": _lines,
}  # fmt: skip
"""How the layout is told, by format."""


def numbered(width: int) -> tuple[str, ...]:
    """Names for columns that have none: their places from 1."""
    return tuple(map(str, range(1, width + 1)))


def _is_cut(head: str) -> bool:
    """Whether the text may go on behind its beginning, in the middle of a row."""
    return len(head) >= HEAD_CHARACTERS


def _whole(head: str) -> str:
    """The whole lines of a beginning that hold no bytes that are not UTF-8."""
    if _is_cut(head) and "\n" in head:
        head = head[: head.rindex("\n") + 1]
    return "\n".join(line for line in head.split("\n") if line.isascii() or not BAD_BYTE.search(line))
