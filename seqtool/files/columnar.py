"""Parquet and Arrow files as JSON lines, a line for each row, read a group of rows at a time.

So a table of theirs is read as one of JSON lines is, with its columns as names. pyarrow reads it, an extra.
"""

from __future__ import annotations

import base64
import datetime
import io
import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import IO, Any

from seqtool.errors import InputError

PARQUET, ARROW, ARROW_STREAM = b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff"
HEAD_BYTES = 8
BATCH_ROWS = 1024


def columnar_kind(head: bytes) -> str:
    """What a file that begins so is: Parquet, Arrow, or nothing that is read here."""
    return "Parquet" if head.startswith(PARQUET) else "Arrow" if head.startswith((ARROW, ARROW_STREAM)) else ""


def json_lines(stream: IO[bytes], name: str, kind: str, columns: Sequence[str] | None = None) -> Iterator[bytes]:
    """The rows of a file that can be sought in, of all columns or of these, as lines of JSON; Arrow's streams too.

    InputError where pyarrow is missing, the file is damaged, or a column is not there.
    """
    try:
        import pyarrow
        from pyarrow import ipc, parquet
    except ImportError as error:
        raise InputError(f"{name} is {kind}: pip install 'seqtool[parquet]', or give it as JSON lines") from error
    try:
        if kind == "Parquet":
            file = parquet.ParquetFile(stream)
            _check_columns(file.schema_arrow.names, columns, name)
            batches = file.iter_batches(BATCH_ROWS, columns=None if columns is None else list(columns))
        else:
            begins = stream.read(len(ARROW_STREAM))
            stream.seek(-len(begins), os.SEEK_CUR)
            if begins == ARROW_STREAM:
                batches = reader = ipc.open_stream(_Bounded(stream))
            else:
                reader = ipc.open_file(stream)
                batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
            _check_columns(reader.schema.names, columns, name)
        for batch in batches:
            kept = batch if columns is None else batch.select(list(columns))
            for start in range(0, kept.num_rows, BATCH_ROWS):
                rows = kept.slice(start, BATCH_ROWS).to_pylist()
                if rows:
                    yield "".join(f"{_written(row)}\n" for row in rows).encode("utf-8", "surrogatepass")
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise InputError(f"{name} is damaged: no {kind} file can be read there ({reason}); get it anew") from error


def _check_columns(names: Sequence[str], columns: Sequence[str] | None, name: str) -> None:
    for column in columns or ():
        if column not in names:
            raise InputError(f"{name} has no column {column!r}: its columns are {', '.join(names[:20])}")
    for column, times in Counter(names).items():
        if times > 1:
            raise InputError(f"{name} has two columns named {column!r}: rename one")


class _Bounded(io.RawIOBase):
    """A file of which no more is asked for at once than it has left, whatever a damaged one says of its sizes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left = stream, os.fstat(stream.fileno()).st_size - stream.tell()

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes, all that are left for -1."""
        found = self._stream.read(self._left if size is None or size < 0 else min(size, self._left))
        self._left -= len(found)
        return found


def _written(row: dict[str, Any]) -> str:
    return json.dumps({name: _plain(value) for name, value in row.items()}, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """A value as JSON has it: dates in ISO 8601, what is not finite as nothing, bytes as text or else named base64."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if not isinstance(value, bytes):
        return str(value)
    try:
        if b"\0" not in value:
            return value.decode()
    except UnicodeDecodeError:
        pass
    return {"base64": base64.b64encode(value).decode()}
