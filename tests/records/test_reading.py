"""Rows of files and streams: as often as needed, as they arrive, in flat memory, and never lost in silence."""

from __future__ import annotations

import io
import os
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqtool.errors import InputError, UsageError
from seqtool.files import streams
from seqtool.records import lines, reading
from seqtool.records.layout import Layout
from seqtool.records.reading import Records, Row, open_records

TIME_OUT_S = 20


def written(folder: Path, content: str | bytes, name: str = "x.csv") -> str:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder / name)


def values(records: Records) -> list[tuple[str | None, ...]]:
    return [row.values for row in records.rows()]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_marks_line_ends_and_a_last_line_without_one(tmp_path: Path, newline: str, mark: str, end: str):
    text = mark + newline.join(["a,b", '1,"x', 'y"', "2,z"]) + (newline if end else "")
    records = open_records([written(tmp_path, text)])
    assert records.columns == ("a", "b")
    assert list(records.rows()) == [Row(2, ("1", f"x{newline}y")), Row(4, ("2", "z"))]
    assert list(records.rows()) == list(records.rows())
    assert records.told == ["comma-separated, with a header"]


def test_an_error_names_line_counts_and_file(tmp_path: Path):
    path = written(tmp_path, "a,b\n1,2\n1,2,3\n4,5\n")
    with pytest.raises(InputError, match=rf"line 3 of {path} has 3 fields, not 2: mend it, or .*--errors replace"):
        values(open_records([path]))
    found = list(open_records([path], errors="replace").rows())
    assert found == [Row(2, ("1", "2")), Row(3, (None, None), "has 3 fields, not 2"), Row(4, ("4", "5"))]


def test_bytes_that_are_not_utf8(tmp_path: Path):
    path = written(tmp_path, b"a,b\n1,2\n3,\xff\n5,6\n")
    with pytest.raises(InputError, match="byte 0xff at offset 10"):
        values(open_records([path]))
    found = list(open_records([path], errors="replace").rows())
    assert [row.problem for row in found] == ["", "is not valid UTF-8", ""]


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_nothing_is_an_error(tmp_path: Path, content: str):
    with pytest.raises(InputError, match="is empty"):
        values(open_records([written(tmp_path, content)]))
    with pytest.raises(InputError, match="is empty"):
        values(open_records([written(tmp_path, "")], layout=Layout("lines", ("text",))))


def test_delimiters_at_the_ends_of_rows(tmp_path: Path):
    assert values(open_records([written(tmp_path, "a;b\n1;2;\n3;4\n")])) == [("1", "2"), ("3", "4")]
    assert values(open_records([written(tmp_path, "a,b,\n1,2\n3,4\n")])) == [("1", "2"), ("3", "4")]
    assert values(open_records([written(tmp_path, "a,b,,\n1,2,,\n3,4,,x\n")]))[1] == ("3", "4", None, "x")


def test_only_a_header_is_no_row(tmp_path: Path):
    records = open_records([written(tmp_path, "a,b\n")])
    assert records.columns == ("a", "b")
    assert values(records) == []


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="is damaged"):
        open_records([written(tmp_path, b"\x1f\x8b\x08\0" + b"x" * 600)])
    with pytest.raises(InputError, match="does not exist"):
        open_records([written(tmp_path, "a\n"), str(tmp_path / "none")])
    with pytest.raises(UsageError, match="choose from strict, replace"):
        open_records([written(tmp_path, "a\n")], errors="ignore")


def test_several_files_have_the_first_ones_columns(tmp_path: Path):
    first = written(tmp_path, "a,b\n1,2\n", "first.csv")
    others = [written(tmp_path, "b,c,a\n4,5,3\n", "second.csv"), written(tmp_path, "5,6\n", "third.csv")]
    records = open_records([first, *others])
    assert values(records) == [("1", "2"), ("3", "4"), ("5", "6")]
    assert records.reading == others[-1]
    with pytest.raises(InputError, match=r"last.csv has no column 'a', which .*first.csv has"):
        values(open_records([first, written(tmp_path, "b\n1\n", "last.csv")]))


def test_an_empty_file_among_several(tmp_path: Path):
    paths = [written(tmp_path, "", "none.csv"), written(tmp_path, "a,b\n1,2\n")]
    assert values(open_records(paths)) == [("1", "2")]


def test_others_are_read_as_a_recorded_layout_says(tmp_path: Path):
    layout = open_records([written(tmp_path, "label;text\nx;1,5\ny;2,5\n")]).layout
    again = open_records([written(tmp_path, "text;more\n3,5;0\n", "y.csv")], layout=layout)
    assert (again.columns, values(again)) == (("text", "more"), [("3.5", "0")])
    bare = open_records([written(tmp_path, "z;4,5\n", "z.csv")], layout=layout)
    assert (bare.columns, values(bare)) == (("label", "text"), [("z", "4.5")])
    assert "without a header" in bare.told[0]
    with pytest.raises(InputError, match=r"does not begin with the names of its columns \(label, text\)"):
        open_records([written(tmp_path, "only text\n", "w.csv")], layout=layout)
    forced = open_records([written(tmp_path, "text;label\n1;2\n", "v.csv")], layout=layout, header=False)
    assert values(forced) == [("text", "label"), ("1", "2")]


def test_every_line_gives_a_row_where_lines_are_texts(tmp_path: Path):
    records = open_records([written(tmp_path, "a\n\n?\nb")], layout=Layout("lines", ("sms",)))
    assert records.columns == ("sms",)
    assert values(records) == [("a",), (None,), ("?",), ("b",)]


class Pipe:
    """Standard input that is written to piece by piece."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        read, write = os.pipe()
        self.sink = os.fdopen(write, "wb", buffering=0)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(os.fdopen(read, "rb")))

    def next_row(self, rows: Iterator[Row], text: str) -> Row:
        """The next row after more has arrived; an error if it waits for even more."""
        self.sink.write(text.encode())
        timer = threading.Timer(TIME_OUT_S, self.sink.close)
        timer.start()
        row = next(rows)
        timer.cancel()
        assert not self.sink.closed, "a row came only after the end"
        return row


@pytest.mark.parametrize(
    ("head", "later"),
    [
        ("a,b\n1,2\n", "3,4\n"),
        ('{"a": 1, "b": 2}\n', '{"a": "3", "b": "4"}\n'),
        ("a\tb\n1\t2\n", "3\t4\n"),
        ("\n\na;b\n1;2\n", '3;"4"\n'),
    ],
)
def test_a_row_of_a_stream_is_there_as_soon_as_its_line(monkeypatch: pytest.MonkeyPatch, head: str, later: str):
    pipe = Pipe(monkeypatch)
    pipe.sink.write(head.encode())
    records = open_records(["-"], rereadable=False)
    rows = records.rows()
    assert next(rows).values == ("1", "2")
    assert pipe.next_row(rows, later).values == ("3", "4")
    assert pipe.next_row(rows, later[:2] + later[2:]).values == ("3", "4")
    pipe.sink.close()
    assert not list(rows)
    with pytest.raises(InputError, match="only once"):
        next(records.rows())


def test_a_stream_of_a_known_layout_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    pipe = Pipe(monkeypatch)
    rows = open_records(["-"], layout=Layout("lines", ("text",)), rereadable=False).rows()
    assert pipe.next_row(rows, "one\n") == Row(1, ("one",))
    assert pipe.next_row(rows, "two\n") == Row(2, ("two",))


def test_a_stream_that_begins_with_an_empty_line_is_not_empty(monkeypatch: pytest.MonkeyPatch):
    pipe = Pipe(monkeypatch)
    pipe.sink.write(b"\n")
    threading.Timer(0.2, lambda: pipe.sink.write(b"a,b\n")).start()
    rows = open_records(["-"], layout=Layout("csv", ("a", "b")), rereadable=False).rows()
    assert pipe.next_row(rows, "1,2\n") == Row(3, ("1", "2"))


def test_standard_input_can_be_read_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    records = open_records(["-"])
    assert values(records) == values(records) == [("1", "2")]


def peak_bytes(paths: list[str], **options: object) -> int:
    tracemalloc.start()
    try:
        for _ in open_records(paths, **options).rows():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "row",
    [
        "1,some words\n",
        pytest.param('1,"a\nb"\n', marks=pytest.mark.slow),
        pytest.param("1,é\n", marks=pytest.mark.slow),
    ],
)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str):
    monkeypatch.setattr(streams, "READ_BYTES", 1 << 13)
    small = peak_bytes([written(tmp_path, "a,b\n" + row * 20_000)])
    large = peak_bytes([written(tmp_path, "a,b\n" + row * 60_000)])
    assert large < small + (1 << 16)


@pytest.mark.parametrize("content", ["a,b\n1,{}\n2,y\n", 'a,b\n1,"{}\n2,y\n', "a,b\n1{}\n2,y\n"])
def test_endless_rows_are_refused_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str):
    monkeypatch.setattr(lines, "RECORD_CHARACTERS", 1 << 20)
    monkeypatch.setattr(reading, "RECORD_CHARACTERS", 1 << 20)
    path = written(tmp_path, content.format("x" * 40_000_000))
    with pytest.raises(InputError, match=r"line 2 of .* more than 1,048,576 characters"):
        values(open_records([path]))
    assert peak_bytes([path], errors="replace") < 40_000_000
    found = list(open_records([path], errors="replace").rows())
    assert found[-1] == Row(3, ("2", "y"))
    assert found[0].problem


@pytest.mark.slow
def test_a_field_of_100_megabytes_is_refused(tmp_path: Path):
    path = tmp_path / "x.csv"
    with path.open("wb") as file:
        file.write(b'a,b\n1,"')
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b'"\n2,y\n')
    with pytest.raises(InputError, match="more than 16,777,216 characters"):
        values(open_records([str(path)]))
    assert [row.problem == "" for row in open_records([str(path)], errors="replace").rows()] == [False, True]


def test_a_row_of_a_million_columns_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="1,000,000 columns"):
        open_records([written(tmp_path, ",".join("1" * 1_000_000) + "\n")])
    path = written(tmp_path, "a,b\n1,2\n" + ",".join("1" * 1_000_000) + "\n3,4\n")
    assert [row.problem for row in open_records([path], errors="replace").rows()] == [
        "",
        "has 1,000,000 fields, not 2",
        "",
    ]


@pytest.mark.parametrize(("name", "text"), [
    ("a.csv", "b,a\n2,1\n"), ("a.txt", "b;a\n2;1\n"), ("a.jsonl", '{"b": 2, "a": 1}\n'), ("a.tsv", "b\ta\n2\t1\n"),
])  # fmt: skip
@pytest.mark.parametrize("layout", [Layout("csv", ("a", "b"), "\t"), Layout("jsonl", ("a", "b"), header=False)])
def test_a_layout_is_of_columns_however_they_are_written(layout: Layout, name: str, text: str, tmp_path: Path):
    (tmp_path / name).write_text(text)
    records = open_records([str(tmp_path / name)], layout=layout)
    assert [dict(zip(records.columns, row.values, strict=True)) for row in records.rows()] == [{"a": "1", "b": "2"}]


def test_what_has_none_of_the_columns_is_read_as_it_was_laid_out(tmp_path: Path):
    (tmp_path / "a.csv").write_text('{"x": 1}\t2\n')
    with pytest.raises(InputError, match="does not begin with the names"):
        list(open_records([str(tmp_path / "a.csv")], layout=Layout("csv", ("a", "b", "c"), "\t")).rows())
