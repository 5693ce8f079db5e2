"""Opening the data of a request, and looking through them, once: standard input cannot be opened again."""

from __future__ import annotations

from seqtool.errors import UsageError
from seqtool.records.columns import Column, profile
from seqtool.records.reading import Records, RecordsFile, open_records
from seqtool.settings.examples import ExampleConfig, header_of
from seqtool.tasks.request import Request


def open_request(request: Request, examples: ExampleConfig, format: str = "") -> Records:
    """The rows of DATA, laid out as asked or as found; in a `format` where a task reads that alone."""
    if "-" in request.data and request.valid == "-":
        raise UsageError("DATA and --valid are both standard input: write one of them to a file")
    if not request.files:
        request.files.extend(RecordsFile(path, errors=request.errors, rereadable=True) for path in request.data)
    return open_records(
        request.files,
        format=format or examples.format,
        delimiter=examples.delimiter,
        header=header_of(examples),
        errors=request.errors,
    )


def profile_of(request: Request, records: Records) -> list[Column]:
    """The profiles of the columns of a request's rows."""
    if not request.profiles:
        request.profiles.extend(profile(records))
    return request.profiles
