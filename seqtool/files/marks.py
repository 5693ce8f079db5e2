"""Recognizing files that are not UTF-8 text by their first bytes, so that none is trained on or scored as text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator

from seqtool.errors import InputError

COLUMN = "the file, not a pipe, and its column of text with --jsonl-field, where the command has that"
HEAD_BYTES = 512  # enough for every signature
# The first bytes of a kind of file, its name, and the command that prints its text, if there is one.
MARKS: tuple[tuple[bytes, str, str], ...] = (
    (rb"\x1f\x8b", "compressed twice", "gzip -dc {}"),
    (rb"\x1f\x9d", "compressed by compress", "gzip -dc {}"),
    (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", "compressed twice", "bzip2 -dc {}"),
    (rb"\xfd7zXZ\0", "compressed twice", "xz -dc {}"),
    (rb"\x28\xb5\x2f\xfd", "compressed twice", "zstd -dc {}"),
    (rb"\x04\x22\x4d\x18", "compressed by lz4", "lz4 -dc {}"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x -so {}"),
    (rb"Rar!\x1a\x07", "a RAR archive", "unrar p -inul {}"),
    (rb".{257}ustar(\0|  \0)", "a tar archive", "tar -xOf {}"),
    (
        rb"PK\x03\x04.{26}(\[Content_Types\]|_rels/|docProps/|word/|xl/|ppt/|mimetype)",
        "an office document or e-book",
        "",
    ),
    (rb"PK\x03\x04.{26}[^\0]{0,99}(\.npy|data\.pkl)", "a file of tensors", ""),
    (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "a zip archive", "unzip -p {}"),
    (rb"\xff\xfe\0\0|\0\0\xfe\xff", "UTF-32", "iconv -f UTF-32 -t UTF-8 {}"),
    (rb"\xff\xfe|\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8 {}"),
    (rb"([^\0]\0){8}", "UTF-16 without a byte-order mark", "iconv -f UTF-16LE -t UTF-8 {}"),
    (rb"(\0[^\0]){8}", "UTF-16 without a byte-order mark", "iconv -f UTF-16BE -t UTF-8 {}"),
    (rb"([^\0]\0\0\0){4}", "UTF-32 without a byte-order mark", "iconv -f UTF-32LE -t UTF-8 {}"),
    (rb"(\0\0\0[^\0]){4}", "UTF-32 without a byte-order mark", "iconv -f UTF-32BE -t UTF-8 {}"),
    (rb"%PDF-\d", "a PDF", "pdftotext {} -"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office document", ""),
    (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a.{4,6}\0|RIFF.{4}WEBP", "a picture", ""),
    (rb"RIFF.{4}WAVE|OggS\0|fLaC\0|ID3[\x02-\x04]\0", "a sound", ""),
    (rb"\x7fELF", "a program", ""),
    (rb"PAR1\x15", "a Parquet table", COLUMN),
    (rb"ARROW1\0\0", "an Arrow table", COLUMN),
    (rb"SQLite format 3\0", "an SQLite database", ""),
    (rb"\x89HDF\r\n|\x93NUMPY|.{5}\0{3}\{\"", "a file of tensors", ""),
    (rb"GGUF[\x01-\x09]\0\0\0", "a GGUF model", ""),
    (rb"\n[\x0e-\x12]\n[\x03\x05]<(unk|pad|s)>", "a SentencePiece model", ""),
    (rb"\x80[\x02-\x05]", "a Python pickle", ""),
)


def refuse_marked(chunks: Iterable[bytes], name: str, path: str) -> Iterator[bytes]:
    """Pass chunks through, the first line in one; InputError when they begin like a file of one of these kinds."""
    arriving, head = iter(chunks), b""
    for chunk in arriving:
        head += chunk
        if len(head) >= HEAD_BYTES or (head.endswith(b"\n") and b"\0" not in head):
            break
    for begins, kind, command in MARKS:
        if re.match(begins, head, re.DOTALL):
            file = "FILE" if path == "-" else shlex.quote(path)
            by = f", as in {command.format(file)} | seqtool … -" if command else ""
            if command == COLUMN:
                raise InputError(f"{name} is {kind}, not UTF-8 text: name {COLUMN}")
            raise InputError(f"{name} is {kind}, not UTF-8 text: give its text{by}")
    yield head
    yield from arriving
