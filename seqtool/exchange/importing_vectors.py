"""Vectors from other programs: word2vec's two formats and GloVe's, which exporting_vectors.py describes."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError, SeqtoolError
from seqtool.files.spools import spooled_copy
from seqtool.files.streams import BYTE_ORDER_MARK, open_bytes, stream_name
from seqtool.files.writing import provenance
from seqtool.settings.vocabulary import MAX_VOCABULARY
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import MAX_DIM, VECTORS_FORMAT, FloatMatrix, Vectors

HASHED_AT_ONCE = 1 << 20
MAX_TOKEN_BYTES = 1 << 16
MAX_NUMBER_BYTES = 64  # of a number in text, with the space before it
LOOKED_AT = 4096  # bytes after the first line, which tell text from binary
CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0e-\x1f]")
HEADER = re.compile(rb"(\d{1,18})[ \t]+(\d{1,18})[ \t]*\r?\n?")
SOME_ROWS = 1000  # between two calls of `progress`
Header = tuple[int, int, int]  # V, D, and the offset of what follows
Found = tuple[list[str], FloatMatrix, int]  # tokens (V,), vectors (V, D), and the rows left out
OTHER_KINDS = (
    (re.compile(rb"\x1f\x8b"), "is compressed: zcat FILE | seqtool embed import - -o VECTORS"),
    (re.compile(rb"PK\x03\x04"), "is a zip archive: unpack it, and import the file of vectors that is in it"),
    (re.compile(rb"\xba\x16\x4f\x2f"), "is fastText's own model: import the .vec that it wrote beside"),
    (
        re.compile(rb"\x80[\x02-\x05]"),
        "is a Python pickle, which is never read: save it with save_word2vec_format, and import that",
    ),
    (
        re.compile(rb".{8}\{.*" + re.escape(VECTORS_FORMAT.encode()), re.DOTALL),
        "is vectors of seqtool already: it needs no import",
    ),
)
"""Files that are often mistaken for vectors of other programs, by how they begin."""
KIND_BYTES = 1 << 16  # at the beginning of a file, by which OTHER_KINDS are recognised


@dataclass(frozen=True)
class Imported:
    """Vectors that were read, their format, and how many rows were left out because an earlier row has their token."""

    vectors: Vectors
    format: str
    left_out: int


@dataclass(frozen=True)
class _Foreign:
    """An opened file of vectors, with its size in bytes, hash and number of lines; messages call it `name`."""

    stream: IO[bytes]
    name: str
    errors: str
    size: int
    sha256: str
    lines: int
    progress: Callable[[int], None]

    def decoded(self, token: bytes, where: str) -> str:
        """A token as text; InputError, saying `where` it is, when it is not UTF-8."""
        try:
            return token.decode("utf-8", self.errors)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.name}: the token {where} is not UTF-8: convert the file, or read it with --errors replace"
            ) from error

    def error(self, what: str, mend: str = "get a whole copy, or mend it") -> InputError:
        """An error that says what is wrong with the file, and what would mend it."""
        return InputError(f"{self.name}: {what}; {mend}")


def import_vectors(
    path: str,
    format: str | None = None,
    errors: str = "strict",
    progress: Callable[[int], None] = lambda read: None,
) -> Imported:
    """Read another program's vectors from a file, or from standard input for `-`. Without `format` its content tells
    whether it is word2vec, word2vec-binary or glove.

    Of rows with the same token the first is kept. `progress` is given the number of bytes read. InputError names the
    line or the byte where the file is cut short, has a row of other than D finite numbers, or is not UTF-8 (unless
    `errors` is replace). Memory is allocated only for as many numbers as the file has room for.
    """
    with _opened(path, errors, progress) as file, np.errstate(over="ignore"):  # too large a number becomes infinite
        if not file.size:
            raise file.error("it is empty")
        header = _header(file)
        kind = _kind(file, header, format)
        if kind == "glove" or header is None:
            file.stream.seek(len(BYTE_ORDER_MARK.encode()) if _has_mark(file) else 0)
            tokens, matrix_VD, left_out = _read_text(file, None)
        else:
            file.stream.seek(header[2])
            read = _read_binary if kind == "word2vec-binary" else _read_text
            tokens, matrix_VD, left_out = read(file, header)
    metadata: dict[str, Any] = {
        "method": "imported",
        "settings": {"format": kind, "name": file.name},
        "normalize": "none",
        "lowercase": False,
        "vocabulary_type": "",
        "made_by": provenance(),
        "input_sha256": file.sha256,
    }
    return Imported(Vectors(TokenTable.of(tokens), matrix_VD, metadata), kind, left_out)


def _kind(file: _Foreign, header: Header | None, format: str | None) -> str:
    """The format that was given, or that the first bytes tell; InputError when the file cannot be of that format."""
    if format in ("word2vec", "word2vec-binary") and header is None:
        raise file.error(f"line 1 is not the two numbers that {format} begins with", "is it --format glove?")
    if format is not None:
        return format
    if header is None:
        return "glove"
    return "word2vec-binary" if CONTROL_BYTES.search(file.stream.read(LOOKED_AT)) else "word2vec"


@contextmanager
def _opened(path: str, errors: str, progress: Callable[[int], None]) -> Iterator[_Foreign]:
    """Open a file that can be read twice: a pipe is copied to an unnamed temporary file."""
    name = stream_name(path)
    with ExitStack() as opened:
        stream = opened.enter_context(open_bytes(path))
        try:
            if path == "-" or not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                stream = opened.enter_context(spooled_copy(stream, name))
            _refuse_other_kinds(name, stream.read(KIND_BYTES))
            stream.seek(0)
            digest, lines = hashlib.sha256(), 0
            while content := stream.read(HASHED_AT_ONCE):
                digest.update(content)
                lines += content.count(b"\n")
        except OSError as error:
            raise SeqtoolError(f"cannot read {name}: {error.strerror}") from error
        yield _Foreign(stream, name, errors, stream.tell(), digest.hexdigest(), lines + 1, progress)


def _refuse_other_kinds(name: str, head: bytes) -> None:
    """InputError, with the mend, when a file begins like one of OTHER_KINDS."""
    for beginning, what in OTHER_KINDS:
        if beginning.match(head):
            raise InputError(f"{name} {what}")


def _has_mark(file: _Foreign) -> bool:
    file.stream.seek(0)
    return file.stream.read(3) == BYTE_ORDER_MARK.encode()


def _header(file: _Foreign) -> Header | None:
    """V and D from the first line, when it has nothing else, and where it ends."""
    skipped = 3 if _has_mark(file) else 0
    file.stream.seek(skipped)
    line = file.stream.readline(LOOKED_AT)
    match = HEADER.fullmatch(line)
    if match is None:
        return None
    return int(match[1]), int(match[2]), skipped + len(line)


def _check_sizes(file: _Foreign, count: int, dim: int, least: int) -> None:
    """InputError when the header's sizes are impossible, or need at least `least` bytes and the file is shorter."""
    if not (1 <= count <= MAX_VOCABULARY and 1 <= dim <= MAX_DIM):
        raise file.error(
            f"line 1 says {count:,} vectors of {dim:,} numbers, where 1 to {MAX_VOCABULARY:,} of 1 to {MAX_DIM:,} are "
            "possible",
            "is it a file of vectors?",
        )
    if least > file.size:
        raise file.error(
            f"line 1 says {count:,} vectors of {dim:,} numbers, which its {file.size:,} bytes are too few for"
        )


class _Rows:
    """The rows read so far: their distinct tokens in order, and their vectors in a matrix with room for `count`."""

    def __init__(self, count: int, dim: int) -> None:
        self.tokens: dict[str, None] = {}
        self.matrix_VD = np.empty((count, dim), np.float32)

    def add(self, token: str, numbers: npt.ArrayLike) -> bool:
        """Add a row; whether its numbers are finite in float32."""
        row_D = self.matrix_VD[len(self.tokens)]
        row_D[:] = numbers
        self.tokens[token] = None
        return bool(np.isfinite(row_D).all())

    def found(self, rows: int) -> Found:
        """The result, when the file had `rows` rows, those of repeated tokens included."""
        count = len(self.tokens)
        return list(self.tokens), self.matrix_VD[:count], rows - count


def _read_text(file: _Foreign, header: Header | None) -> Found:
    """Read word2vec's text after its header, or without one GloVe's."""
    line = file.stream.readline(MAX_TOKEN_BYTES + MAX_NUMBER_BYTES * MAX_DIM)
    count, dim = _text_size(file, header, line)
    longest = MAX_TOKEN_BYTES + MAX_NUMBER_BYTES * dim
    rows = _Rows(count, dim)
    number, seen, read = 0 if header is None else 1, 0, 0
    while line:
        number, read = number + 1, read + len(line)
        if number % SOME_ROWS == 0:
            file.progress(read)
        if len(line) > longest:
            raise file.error(f"line {number} is longer than a token and {dim:,} numbers can be")
        fields = line.rsplit(None, dim)
        line = file.stream.readline(longest + 1)
        if not fields:
            continue  # an empty line
        seen += 1
        if seen > count:
            limit = "a file can have" if header is None else "line 1 says"
            raise file.error(f"line {number} is one more than the {count:,} vectors that {limit}")
        token = _checked_token(file, fields, dim, number, header is not None)
        if token not in rows.tokens and not rows.add(token, _numbers(file, fields[1:], number)):
            raise file.error(f"line {number} has a number that is not finite, or too large for float32")
    if header is not None and seen < count:
        raise file.error(f"it ends after {seen:,} of the {count:,} vectors that line 1 says: it was cut short")
    return rows.found(seen)


def _text_size(file: _Foreign, header: Header | None, line: bytes) -> tuple[int, int]:
    """How many vectors a text has, or has room for where no header says it, and the numbers of each; by `line`, the
    first of them.
    """
    if header is not None:
        count, dim, start = header
        _check_sizes(file, count, dim, start + count * (2 * dim + 1))
        return count, dim
    dim = _numbers_at_end(line)
    if not 1 <= dim <= MAX_DIM:
        raise file.error("line 1 is neither a token and its numbers nor how many of both", "is it a file of vectors?")
    return min(file.lines, file.size // (2 * dim + 1), MAX_VOCABULARY), dim  # a number takes at least two bytes


def _checked_token(file: _Foreign, fields: list[bytes], dim: int, number: int, one_word: bool) -> str:
    """The token of a line, whose `fields` are it and `dim` numbers, split from the end."""
    if len(fields) <= dim:
        raise file.error(f"line {number} has {len(fields) - 1:,} numbers after the token, where {dim:,} are expected")
    token, words = fields[0].lstrip(), fields[0].split()
    if len(words) > 1 and (one_word or _is_number(words[-1])):
        raise file.error(f"line {number} has more than a token and {dim:,} numbers")
    return file.decoded(token, f"on line {number}")


def _numbers(file: _Foreign, fields: list[bytes], number: int) -> list[float]:
    try:
        values = list(map(float, fields))
    except ValueError:
        values = []
    if not values or b"_" in b"".join(fields):  # float() accepts it
        bad = next(field for field in fields if not _is_number(field))
        raise file.error(f"line {number} has {bad[:40].decode('utf-8', 'replace')!r} where a number is expected")
    return values


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field


def _numbers_at_end(line: bytes) -> int:
    """How many numbers end a line that begins with at least one word."""
    fields = line.split()
    count = 0
    while count < len(fields) - 1 and _is_number(fields[-1 - count]):
        count += 1
    return count


def _read_binary(file: _Foreign, header: Header) -> Found:
    """Read word2vec's binary file after its header. A newline may follow a vector or not."""
    count, dim, position = header
    _check_sizes(file, count, dim, position + count * (4 * dim + 1))
    rows = _Rows(count, dim)
    with mmap.mmap(file.stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for seen in range(count):
            if seen % SOME_ROWS == 0:
                file.progress(position)
            end = content.find(b" ", position, position + MAX_TOKEN_BYTES)
            after = end + 1 + 4 * dim
            if end < 0 or after > file.size:
                raise file.error(
                    f"vector {seen + 1:,} of {count:,}, at byte {position:,}, is not whole: it was cut short, or "
                    "line 1 says other sizes than it has"
                )
            token = file.decoded(content[position:end].lstrip(b"\n"), f"at byte {position:,}")
            if token not in rows.tokens and not rows.add(token, np.frombuffer(content, "<f4", dim, end + 1)):
                raise file.error(f"the vector at byte {end + 1:,} has a number that is not finite")
            position = after
        if content[position : position + LOOKED_AT].strip(b"\r\n"):
            raise file.error(f"at byte {position:,} there is more than the {count:,} vectors that line 1 says")
    return rows.found(count)
