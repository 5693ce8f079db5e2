"""Parquet and Arrow files are read as JSON lines, by groups of rows."""

from __future__ import annotations

import datetime
import io
import json
from pathlib import Path

import pytest

from seqtool.errors import InputError
from seqtool.files.columnar import columnar_kind, json_lines

pyarrow = pytest.importorskip("pyarrow")

ROWS = [
    {"text": "a \u00e9\n", "n": 1, "x": 0.5, "on": True, "at": datetime.date(2026, 1, 2), "of": [1, 2], "raw": b"\0\1"},
    {"text": None, "n": 2, "x": float("nan"), "on": False, "at": None, "of": [], "raw": b""},
]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    from pyarrow import ipc, parquet

    table = pyarrow.Table.from_pylist(ROWS * 3)
    found = {"Parquet": tmp_path / "a.parquet", "Arrow": tmp_path / "a.arrow"}
    with ipc.new_stream(tmp_path / "a.stream", table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    parquet.write_table(table, found["Parquet"], row_group_size=2)
    with ipc.new_file(found["Arrow"], table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return found


def lines(path: Path, kind: str, columns: list[str] | None = None) -> list[dict[str, object]]:
    with open(path, "rb") as stream:
        assert columnar_kind(stream.read(8)) == kind
        stream.seek(0)
        return [json.loads(line) for line in b"".join(json_lines(stream, "it", kind, columns)).splitlines()]


def test_rows_are_json_lines(files: dict[str, Path]):
    for kind, path in files.items():
        first, second, *more = lines(path, kind)
        assert first == {
            "text": "a é\n",
            "n": 1,
            "x": 0.5,
            "on": True,
            "at": "2026-01-02",
            "of": [1, 2],
            "raw": {"base64": "AAE="},
        }
        assert (second["text"], second["x"], len(more)) == (None, None, 4)
        assert lines(path, kind, ["n"])[:2] == [{"n": 1}, {"n": 2}]


def test_what_is_damaged_or_not_there_is_told(files: dict[str, Path]):
    for kind, path in files.items():
        with pytest.raises(InputError, match="it has no column 'txt': its columns are text, n, x"):
            lines(path, kind, ["txt"])
        data = path.read_bytes()
        for spoiled in (data[:200], data[:8] + bytes(len(data) - 8)):
            with pytest.raises(InputError, match=f"it is damaged: no {kind} file can be read there"):
                list(json_lines(io.BytesIO(spoiled), "it", kind))
    assert columnar_kind(b"text here") == ""


def test_a_stream_of_arrow_is_read_as_its_file_is(files: dict[str, Path]):
    stream = files["Arrow"].with_suffix(".stream")
    assert lines(stream, "Arrow") == lines(files["Arrow"], "Arrow")
    data = stream.read_bytes()
    for spoiled in (data[:200], data[:4] + b"\xff\xff\xff\x7f" + data[8:]):
        stream.write_bytes(spoiled)
        with pytest.raises(InputError, match="it is damaged: no Arrow file can be read there"):
            lines(stream, "Arrow")


def test_bytes_that_are_text_are_text(tmp_path: Path):
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["a \u00e9".encode(), b"\xff"]}), tmp_path / "a.parquet")
    assert lines(tmp_path / "a.parquet", "Parquet") == [{"text": "a \u00e9"}, {"text": {"base64": "/w=="}}]
