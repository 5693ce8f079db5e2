"""Vectors from other programs: word2vec's two formats and GloVe's, which exporting.py describes."""

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

from seqtool.errors import InputError, SeqtoolError
from seqtool.files.spools import spooled_copy
from seqtool.files.writing import provenance
from seqtool.settings.vocabulary import MAX_VOCABULARY
from seqtool.text.documents import BYTE_ORDER_MARK, open_bytes, stream_name
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import MAX_DIM, VECTORS_FORMAT, FloatMatrix, Vectors

HASHED_AT_ONCE = 1 << 20
MAX_TOKEN_BYTES = 1 << 16
MAX_NUMBER_BYTES = 64  # of a number as text, with the space before it
LOOKED_AT = 4096  # bytes after the first line, by which text and binary are told apart
CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0e-\x1f]")
HEADER = re.compile(rb"(\d{1,18})[ \t]+(\d{1,18})[ \t]*\r?\n?")
SOME_ROWS = 1000
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
"""Files that are often taken for vectors of other programs, by how they begin."""
KIND_BYTES = 1 << 16


@dataclass(frozen=True)
class Imported:
    """Vectors that were read, what format they were in, and how many rows of a token that came before were left out."""

    vectors: Vectors
    format: str
    left_out: int


@dataclass(frozen=True)
class _Foreign:
    """An opened file of vectors, its size, hash and lines; `name` is what messages call it."""

    stream: IO[bytes]
    name: str
    errors: str
    size: int
    sha256: str
    lines: int
    progress: Callable[[int], None]

    def decoded(self, token: bytes, where: str) -> str:
        """A token as text."""
        try:
            return token.decode("utf-8", self.errors)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.name}: the token {where} is not UTF-8: convert the file, or read it with --errors replace"
            ) from error

    def wrong(self, what: str, mend: str = "get a whole copy, or mend it") -> InputError:
        """What is wrong with the file, as an error."""
        return InputError(f"{self.name}: {what}; {mend}")


def import_vectors(
    path: str, format: str | None = None, errors: str = "strict", progress: Callable[[int], None] = lambda read: None
) -> Imported:
    """Read vectors of another program from a file, or `-`: of word2vec or glove, told apart by what is in it.

    Of rows with the same token the first is kept. `progress` is told how many bytes were read. InputError, naming the
    line or the byte, for what is cut short, has other than D finite numbers, or is not UTF-8 (unless `errors` is
    replace). Memory is taken only for as many numbers as the file has room for.
    """
    with _opened(path, errors, progress) as file, np.errstate(over="ignore"):  # what is too large becomes infinite
        if not file.size:
            raise file.wrong("it is empty")
        header = _header(file)
        if format in ("word2vec", "word2vec-binary") and header is None:
            raise file.wrong(f"line 1 is not the two numbers that {format} begins with", "is it --format glove?")
        binary = format == "word2vec-binary"
        if format is None and header is not None:
            binary = CONTROL_BYTES.search(file.stream.read(LOOKED_AT)) is not None
        if header is None or format == "glove":
            file.stream.seek(len(BYTE_ORDER_MARK.encode()) if _has_mark(file) else 0)
            found = _read_text(file, None)
        else:
            file.stream.seek(header[2])
            found = (_read_binary if binary else _read_text)(file, header)
        rows, matrix_VD, left_out = found
        kind = "glove" if header is None or format == "glove" else "word2vec-binary" if binary else "word2vec"
        metadata: dict[str, Any] = {
            "method": "imported",
            "settings": {"format": kind, "name": file.name},
            "normalize": "none",
            "lowercase": False,
            "vocabulary_type": "",
            "made_by": provenance(),
            "input_sha256": file.sha256,
        }
    return Imported(Vectors(TokenTable.of(list(rows)), matrix_VD[: len(rows)], metadata), kind, left_out)


@contextmanager
def _opened(path: str, errors: str, progress: Callable[[int], None]) -> Iterator[_Foreign]:
    """A file that can be read twice: what comes through a pipe is kept in an unnamed temporary file."""
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
    """InputError, with the mend, when a file begins as one that is not vectors of other programs."""
    for beginning, what in OTHER_KINDS:
        if beginning.match(head):
            raise InputError(f"{name} {what}")


def _has_mark(file: _Foreign) -> bool:
    file.stream.seek(0)
    return file.stream.read(3) == BYTE_ORDER_MARK.encode()


def _header(file: _Foreign) -> tuple[int, int, int] | None:
    """V and D from the first line, if that is all it has, and where it ends."""
    skipped = 3 if _has_mark(file) else 0
    file.stream.seek(skipped)
    line = file.stream.readline(LOOKED_AT)
    match = HEADER.fullmatch(line)
    if match is None:
        return None
    return int(match[1]), int(match[2]), skipped + len(line)


def _check_sizes(file: _Foreign, count: int, dim: int, least: int) -> None:
    """InputError when the header promises what cannot be, or needs more than the `least` bytes left."""
    if not (1 <= count <= MAX_VOCABULARY and 1 <= dim <= MAX_DIM):
        raise file.wrong(
            f"line 1 says {count:,} vectors of {dim:,} numbers, beyond {MAX_VOCABULARY:,} of {MAX_DIM:,} or under one",
            "is it a file of vectors?",
        )
    if least > file.size:
        raise file.wrong(
            f"line 1 says {count:,} vectors of {dim:,} numbers, which its {file.size:,} bytes are too few for"
        )


def _read_text(file: _Foreign, header: tuple[int, int, int] | None) -> tuple[dict[str, None], FloatMatrix, int]:
    """The tokens in order, their vectors (and rows to spare), and how many rows were left out."""
    first = 1 if header is None else 2
    line = file.stream.readline(MAX_TOKEN_BYTES + MAX_NUMBER_BYTES * MAX_DIM)
    if header is None:
        dim = _numbers_at_end(line)
        if not 1 <= dim <= MAX_DIM:
            raise file.wrong(
                "line 1 is neither a token and its numbers nor how many of both", "is it a file of vectors?"
            )
        count = min(file.lines, file.size // (2 * dim + 1), MAX_VOCABULARY)  # a number takes two bytes at least
    else:
        count, dim, start = header
        _check_sizes(file, count, dim, start + count * (2 * dim + 1))
    longest = MAX_TOKEN_BYTES + MAX_NUMBER_BYTES * dim
    matrix_VD = np.empty((count, dim), np.float32)
    rows: dict[str, None] = {}
    number, seen, read = first - 1, 0, 0
    while line:
        number, read = number + 1, read + len(line)
        if number % SOME_ROWS == 0:
            file.progress(read)
        if len(line) > longest:
            raise file.wrong(f"line {number} is longer than a token and {dim:,} numbers can be")
        fields = line.rsplit(None, dim)
        line = file.stream.readline(longest + 1)
        if not fields:
            continue  # an empty line
        seen += 1
        if seen > count:
            raise file.wrong(
                f"line {number} is one more than {count:,} vectors, which are as many as line 1 says or can be"
            )
        token = _checked_token(file, fields, dim, number, header is not None)
        if token in rows:
            continue
        row = len(rows)
        matrix_VD[row] = _numbers(file, fields[1:], number)
        if not np.isfinite(matrix_VD[row]).all():
            raise file.wrong(f"line {number} has a number that is not finite, or too large for float32")
        rows[token] = None
    if header is not None and seen < count:
        raise file.wrong(f"it ends after {seen:,} of the {count:,} vectors that line 1 says: it was cut short")
    return rows, matrix_VD, seen - len(rows)


def _checked_token(file: _Foreign, fields: list[bytes], dim: int, number: int, one_word: bool) -> str:
    """The token of a line that has been split from its end into it and `dim` numbers."""
    if len(fields) <= dim:
        raise file.wrong(f"line {number} has {len(fields) - 1:,} numbers after the token, where {dim:,} are expected")
    token, words = fields[0].lstrip(), fields[0].split()
    if len(words) > 1 and (one_word or _is_number(words[-1])):
        raise file.wrong(f"line {number} has more than a token and {dim:,} numbers")
    return file.decoded(token, f"on line {number}")


def _numbers(file: _Foreign, fields: list[bytes], number: int) -> list[float]:
    try:
        values = list(map(float, fields))
    except ValueError:
        values = []
    if not values or b"_" in b"".join(fields):  # which Python takes in a number
        bad = next(field for field in fields if not _is_number(field))
        raise file.wrong(f"line {number} has {bad[:40].decode('utf-8', 'replace')!r} where a number is expected")
    return values


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field


def _numbers_at_end(line: bytes) -> int:
    """How many numbers a line ends with, after at least one word."""
    fields = line.split()
    count = 0
    while count < len(fields) - 1 and _is_number(fields[-1 - count]):
        count += 1
    return count


def _read_binary(file: _Foreign, header: tuple[int, int, int]) -> tuple[dict[str, None], FloatMatrix, int]:
    """The same from word2vec's binary file, in which a newline may follow a vector or not."""
    count, dim, position = header
    _check_sizes(file, count, dim, position + count * (4 * dim + 1))
    matrix_VD = np.empty((count, dim), np.float32)
    rows: dict[str, None] = {}
    with mmap.mmap(file.stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for seen in range(count):
            if seen % SOME_ROWS == 0:
                file.progress(position)
            end = content.find(b" ", position, position + MAX_TOKEN_BYTES)
            after = end + 1 + 4 * dim
            if end < 0 or after > file.size:
                raise file.wrong(
                    f"vector {seen + 1:,} of {count:,}, at byte {position:,}, is not whole: it was cut short, or "
                    "line 1 says other sizes than it has"
                )
            token = file.decoded(content[position:end].lstrip(b"\n"), f"at byte {position:,}")
            if token not in rows:
                row = len(rows)
                matrix_VD[row] = np.frombuffer(content, "<f4", dim, end + 1)
                if not np.isfinite(matrix_VD[row]).all():
                    raise file.wrong(f"the vector at byte {end + 1:,} has a number that is not finite")
                rows[token] = None
            position = after
        if content[position : position + LOOKED_AT].strip(b"\r\n"):
            raise file.wrong(f"at byte {position:,} there is more than the {count:,} vectors that line 1 says")
    return rows, matrix_VD, count - len(rows)
