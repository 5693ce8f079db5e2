"""Reading files and standard input as documents, a block of lines at a time, in bounded memory."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError
from seqtool.files.spools import spooled_copy
from seqtool.files.streams import decode_utf8, is_packed, is_regular, open_bytes, stream_name, text_chunks
from seqtool.settings.vocabulary import DOCUMENT_AT
from seqtool.text.json_fields import field_texts

SEGMENT_CHARACTERS = 8192  # a line is cut after every such number of characters, so that memory stays bounded
WHITE_SPACE_END = 0x3001  # all white space is below this code point
CODE_POINTS = 0x110000  # in Unicode


class TextBlock(NamedTuple):
    """Whole lines of a document, or part of a line longer than SEGMENT_CHARACTERS; no text for an empty file."""

    text: str
    starts_document: bool


@dataclass
class TextCounts:
    """How much text was read: the denominators of perplexities and bits per character and byte."""

    documents: int = 0
    words: int = 0
    characters: int = 0
    bytes: int = 0
    _inside_word: bool = False

    def add(self, block: TextBlock) -> None:
        """Count a block; a word on both sides of a cut in a long line counts once."""
        text = block.text
        if block.starts_document:
            self.documents += 1
            self._inside_word = False
        if not text:
            return
        space = _white_space().take(code_points(text), mode="clip")
        begins = int(np.count_nonzero(space[:-1] > space[1:]))
        self.words += begins + int(not (self._inside_word or space[0]))
        self._inside_word = not space[-1]
        self.characters += len(text)
        self.bytes += len(text) if text.isascii() else len(text.encode())


class TextSource:
    """Text in files or on standard input (`-`), read as a stream of blocks as often as needed.

    `document` says what separates documents besides the end of a file: `file` (nothing), `blank-line`, `line`, or `at:`
    and a text. `errors` is what to do with bytes that are not UTF-8: `strict` or `replace`.
    With `rereadable`, standard input and pipes are copied to a temporary file, so that they can be read again.
    With `empty_files`, an empty file or field is a document without text, and it is no error if all are empty.
    After a whole pass `sha256` is the hash of all bytes, and `file_documents` the number of documents in each file.
    `progress` is called with the number of bytes read so far. With a `field`, files are JSON lines, Parquet or Arrow,
    and the text of that field or column of each row is a document.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        errors: str = "strict",
        document: str = "file",
        rereadable: bool = False,
        empty_files: bool = False,
        field: str = "",
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.paths = list(paths)
        self.errors = errors
        self.document = document
        self.empty_files = empty_files
        self.field = field
        self.progress = progress
        self.sha256 = ""
        self.file_documents: list[int] = []
        self._copies: dict[str, IO[bytes]] = {}
        self._sizes: dict[str, int] = {}
        if rereadable:
            for path in self.paths:
                if not is_regular(path):
                    self._copies[path] = spooled_copy(open_bytes(path), stream_name(path))

    @property
    def name(self) -> str:
        """The source's name in messages."""
        return ", ".join(map(stream_name, self.paths))

    @property
    def waits(self) -> bool:
        """Whether reading may block, waiting for a pipe."""
        return not all(path in self._copies or is_regular(path) for path in self.paths)

    def size(self) -> int:
        """Bytes in all, decompressed; 0 if that is unknown, because a part is a pipe and not `rereadable`."""
        if any(path not in self._copies and not is_regular(path) for path in self.paths):
            return 0
        return sum(self._file_size(path) for path in self.paths)

    def _file_size(self, path: str) -> int:
        """Bytes of a file's text; where it is compressed, it is read for that, once."""
        if path not in self._sizes:
            copy = self._copies.get(path)
            stream = copy if copy is not None else open_bytes(path)
            try:
                stream.seek(0)
                packed = is_packed(stream)
                size = os.fstat(stream.fileno()).st_size
                self._sizes[path] = sum(map(len, text_chunks(stream, path))) if packed else size
            finally:
                if copy is None:
                    stream.close()
        return self._sizes[path]

    def blocks(self) -> Iterator[TextBlock]:
        """Yield the text in order; InputError if it cannot be read, is not UTF-8, or is empty."""
        read = _BytesRead(self.progress)
        empty = not self.empty_files
        self.file_documents = []
        for path in self.paths:
            self.file_documents.append(0)
            for block in self._file_blocks(path, read):
                empty = False
                self.file_documents[-1] += block.starts_document
                yield block
        self.sha256 = read.digest.hexdigest()
        if empty:
            raise InputError(f"{self.name} is empty: there is no text to read")

    def _file_blocks(self, path: str, read: _BytesRead) -> Iterator[TextBlock]:
        """The text of one file; an empty block for an empty file if these are documents."""
        name, copy = stream_name(path), self._copies.get(path)
        stream = copy if copy is not None else open_bytes(path)
        without_text = self.empty_files
        try:
            if copy is not None:
                copy.seek(0)
            data = read.watch(text_chunks(stream, path, [self.field] if self.field else None))
            text = decode_utf8(data, name, self.errors)
            for part in self._parts(text, name):
                for block in _divided(part, self.document) if part else [TextBlock("", True)]:
                    without_text = False
                    yield block
            if without_text:
                yield TextBlock("", True)
        finally:
            if copy is None and path != "-":
                stream.close()

    def _parts(self, text: Iterable[str], name: str) -> Iterator[Iterable[str]]:
        """What of a file is divided by itself: all, or each text of a field; an empty one where files may be empty."""
        if not self.field:
            yield text
            return
        for one in field_texts(text, self.field, name, self.errors):
            if one or self.empty_files:
                yield [one] if one else []


class _BytesRead:
    """Counts and hashes the bytes of a source as they are read."""

    def __init__(self, progress: Callable[[int], None] | None) -> None:
        self.digest = hashlib.sha256()
        self._count, self._progress = 0, progress

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the chunks through."""
        for chunk in chunks:
            self.digest.update(chunk)
            self._count += len(chunk)
            if self._progress:
                self._progress(self._count)
            yield chunk


def counted_blocks(source: TextSource, counts: TextCounts) -> Iterator[TextBlock]:
    """The blocks of a source, which are counted on their way."""
    for block in source.blocks():
        counts.add(block)
        yield block


def split_documents(blocks: Iterable[str], document: str) -> Iterator[TextBlock]:
    """Mark where documents start, keeping all text: a separating newline or blank line ends the document before it."""
    if document == "line":
        return _split_at_lines(blocks)
    if document == "blank-line":
        return _split_at_blank_lines(blocks)
    # With at:TEXT, `split_at` has split the file into its documents before.
    return (TextBlock(text, number == 0) for number, text in enumerate(blocks))


def _split_at_lines(blocks: Iterable[str]) -> Iterator[TextBlock]:
    starts = True
    for text in blocks:
        for line in lines_of(text):
            yield TextBlock(line, starts)
            starts = line.endswith("\n")


def _split_at_blank_lines(blocks: Iterable[str]) -> Iterator[TextBlock]:
    starts, blank, after_blank, inside_line = True, False, False, False
    for text in blocks:
        pending: list[str] = []
        for line in lines_of(text):
            if not inside_line:
                # Only the beginning of a long line decides: more of it may not have arrived.
                after_blank, blank = blank, not line[:SEGMENT_CHARACTERS].strip()
            if after_blank and not (blank or starts or inside_line):
                if pending:
                    yield TextBlock("".join(pending), False)
                pending, starts = [], True
            if starts:
                yield TextBlock(line, True)
                starts = False
            else:
                pending.append(line)
            inside_line = not line.endswith("\n")
        if pending:
            yield TextBlock("".join(pending), False)


def split_at(chunks: Iterable[str], delimiter: str) -> Iterator[Iterator[str]]:
    """The documents of a text, each as it arrives, without the delimiters and a newline right after one."""
    for is_border, parts in itertools.groupby(_with_borders(chunks, delimiter), key=lambda part: part is None):
        if not is_border:
            yield (part for part in parts if part is not None)


def _with_borders(chunks: Iterable[str], delimiter: str) -> Iterator[str | None]:
    """The text between delimiters in non-empty parts, and None for each delimiter."""
    border = re.compile(re.escape(delimiter) + r"(\r?\n)?")
    rest = ""
    for chunk in chunks:
        text, start = rest + chunk, 0
        held = _begun(delimiter, text)
        for match in border.finditer(text):
            if not match[1] and text[match.end() :] in ("", "\r"):  # a newline may follow
                held = match.start()
                break
            if start < match.start():
                yield text[start : match.start()]
            yield None
            start = match.end()
        held = max(start, held)
        if start < held:
            yield text[start:held]
        rest = text[held:]
    if rest.startswith(delimiter):
        yield None
    if rest := rest.removeprefix(delimiter):
        yield rest


def _begun(delimiter: str, text: str) -> int:
    """Where a delimiter may begin that the end of a text does not complete; the text's length if nowhere."""
    lengths = range(min(len(delimiter) - 1, len(text)), 0, -1)
    return len(text) - next((length for length in lengths if text.endswith(delimiter[:length])), 0)


def lines_of(text: str) -> list[str]:
    """Lines with their newlines; only `\\n` ends a line."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def code_points(text: str) -> npt.NDArray[np.unsignedinteger]:
    """The code point of each character; shape (characters,)."""
    if text.isascii():
        return np.frombuffer(text.encode(), dtype=np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


@functools.cache
def _white_space() -> npt.NDArray[np.bool_]:
    """Whether each code point up to WHITE_SPACE_END is white space."""
    return np.array([chr(point).isspace() for point in range(WHITE_SPACE_END + 1)])


def segments_of(line: str) -> list[str]:
    """A line cut into pieces of at most SEGMENT_CHARACTERS."""
    return [line[start : start + SEGMENT_CHARACTERS] for start in range(0, len(line), SEGMENT_CHARACTERS)]


def _divided(chunks: Iterable[str], document: str) -> Iterator[TextBlock]:
    """The text of a file in blocks, split into documents."""
    if not document.startswith(DOCUMENT_AT):
        yield from split_documents(_whole_lines(chunks), document)
        return
    for part in split_at(chunks, document.removeprefix(DOCUMENT_AT)):
        yield from split_documents(_whole_lines(part), "file")


def _whole_lines(chunks: Iterable[str]) -> Iterator[str]:
    """Regroup text so that each part ends with a newline, or at a multiple of SEGMENT_CHARACTERS within a line."""
    rest = ""
    for chunk in chunks:
        rest += chunk
        cut = rest.rfind("\n") + 1 or len(rest) // SEGMENT_CHARACTERS * SEGMENT_CHARACTERS
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
    if rest:
        yield rest
