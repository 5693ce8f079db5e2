"""Ten thousand hostile files: each is read, or refused in a sentence; never a traceback, never a row lost in silence."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seqtool.errors import InputError, UsageError
from seqtool.records.columns import decide_roles, giveaways, profile
from seqtool.records.layout import FORMATS, Layout
from seqtool.records.reading import open_records
from seqtool.records.sentences import read_sentences
from seqtool.records.series import future_times, read_series, season_of, time_column
from seqtool.records.times import frequency_of

BATCH = 500
SUFFIXES = ["", ".csv", ".tsv", ".jsonl", ".json", ".txt", ".conllu", ".conll", ".data"]
PIECES = [
    b",", b";", b"\t", b"|", b" ", b'"', b'""', b"\n", b"\r\n", b"\r", b"\n\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xc3", b"\xed\xa0\x80",
    b"a", b"label", b"text", b"1", b"0", b"-1", b"3,5", b"1e999", b"nan", b"Infinity", b"1_0", b"NA", b"?", b"null", b"2016-07-01", b"2016-13-45",
    b"2016-07-01 24:00:00", b"01/02/2016", b"20160101", b"99999999999999999999", b"{", b"}", b"[", b"]", b":", b'{"a": 1}', b'{"a": [1, {"b": 1e5}]}',
    b'{"a": "\\ud800"}', b'{"": null}', b"[" * 5000, b'{"a":' * 3000, b"1" * 5000, b"__label__", b"__label__x", b"__label__ ", b"# comment", b"# global.columns = A A",
    b"1-2", b"1.1", b"_", b"1\tThe\tthe\tDET\n", b"-DOCSTART- -X- O\n", b"EU B-ORG\n", b"=cmd()", "漢字🙂\u2028\x85".encode(), b"\\", b"'", b"x" * 70_000,
]  # fmt: skip


def table(draw: random.Random) -> bytes:
    """A table of the usual kind, as fields between delimiters."""
    delimiter, newline = draw.choice(",;\t|"), draw.choice(["\n", "\r\n"])
    width, height = draw.randint(1, 12), draw.randint(0, 30)
    kinds = [
        lambda row: str(row), lambda row: f"{draw.gauss(0, 1):.3f}", lambda row: f"{draw.randint(0, 9)},{draw.randint(0, 9)}", lambda row: draw.choice("ab"),
        lambda row: f"2016-07-{row % 31 + 1:02}", lambda row: '"quoted, with\nlines"', lambda row: "", lambda row: f"some words of row {row}",
        lambda row: f"{row % 28 + 1}/{row % 12 + 1}/2016", lambda row: draw.choice(["1e308", "-1e308", "5e-324", "1e40"]),
    ]  # fmt: skip
    columns: list[Callable[[int], str]] = [draw.choice(kinds) for _ in range(width)]
    rows = [[column(row) for column in columns] for row in range(height)]
    if draw.random() < 0.7:
        rows.insert(0, [f"c{place}" for place in range(width)])
    return newline.join(delimiter.join(row) for row in rows).encode()


def hostile(draw: random.Random) -> bytes:
    """Pieces that mean something to some format, or a table in which some bytes are not as they were."""
    if draw.random() < 0.4:
        return b"".join(draw.choices(PIECES, k=draw.randint(0, 40)))
    data = bytearray(table(draw))
    for _ in range(draw.choice([0, 0, 1, 3, 10])):
        place = draw.randint(0, len(data))
        data[place : place + draw.randint(0, 3)] = draw.choice(PIECES)
    return bytes(data)


def use(path: str, draw: random.Random) -> None:
    """All that can be done with a file of examples."""
    errors = draw.choice(["strict", "replace"])
    layout = None
    if draw.random() < 0.2:
        columns = draw.choice([("a",), ("label", "text"), ("c0", "c1", "c2")])
        layout = Layout(draw.choice(list(FORMATS)), columns, draw.choice(",\t;"), draw.random() < 0.5)
        layout = replace(layout, wide=draw.random() < 0.2, decimal=draw.choice(".,"), quoted=draw.random() < 0.7)
    format = draw.choice(["auto"] * 5 + list(FORMATS))
    paths = [path] * draw.choice([1, 1, 1, 2])
    records = open_records(
        paths, layout=layout, format=format, header=draw.choice([None, None, True, False]), errors=errors
    )
    assert records.told
    for row in records.rows():
        assert len(row.values) == len(records.columns)
        assert not row.problem or (errors == "replace" and set(row.values) <= {None})
        assert row.number >= 1
        for value in row.values:
            assert value is None or value.encode()  # no half characters
    columns = profile(records)
    names = [column.name for column in columns]
    time = time_column(columns)
    season_of_series = draw.choice([None, draw.choice(names)])
    roles = decide_roles(columns, target=draw.choice(names), ignore=("nothing",) if draw.random() < 0.1 else ())
    giveaways(records, roles, columns)
    targets = draw.choice([(), (draw.choice(names),)])
    for series in read_series(records, targets=targets, time=time, series=season_of_series):
        assert series.values.ndim == 2
        season_of(series.values, frequency_of(series.times))
        if series.times is not None and len(series.times) > 1:
            assert len(future_times(series.times, 3)) == 3
    for sentence in read_sentences(paths, columns=draw.choice([("form",), ("1", "2")]), errors=errors):
        assert len({len(column) for column in sentence.columns}) == 1
        assert "".join(map("".join, (*sentence.columns, sentence.comments))).encode() is not None


def check(folder: Path, batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        draw = random.Random(seed)
        path = folder / f"file{draw.choice(SUFFIXES)}"
        path.write_bytes(hostile(draw))
        for part in range(3):
            message = ""
            try:
                use(str(path), draw)
            except (InputError, UsageError) as error:
                message = str(error)
            except Exception as error:
                raise AssertionError(f"seed {seed}, part {part}") from error
            assert "\n" not in message, f"seed {seed}, part {part}: {message}"
            assert len(message) < 1000, f"seed {seed}, part {part}: {message}"


def test_hostile_files_are_read_or_refused_in_a_sentence(tmp_path: Path):
    check(tmp_path, 0)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(1, 20))
def test_more_hostile_files(tmp_path: Path, batch: int):
    check(tmp_path, batch)
