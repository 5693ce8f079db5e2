"""Opening pairs: files side by side, a table's columns, what is read of them, and what does not go together."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from seqtool.errors import InputError, UsageError
from seqtool.settings.examples import ExampleConfig
from seqtool.tasks.pairs.sources import is_table, open_pairs, reopened, target_files, two_paths
from seqtool.tasks.request import Request


def request_of(*data: Path, **examples: Any) -> tuple[Request, ExampleConfig]:
    request = Request(
        data=list(map(str, data)), weights=[1.0], output=None, settings={}, vocab=None, vocabulary={}, valid=None,
        document=None, embeddings=None, errors="strict", force=False, examples=examples,
    )  # fmt: skip
    return request, ExampleConfig(**{name: str(value) for name, value in examples.items()})


def write(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def read(opened: Any) -> list[tuple[tuple[str | None, ...], str | None]]:
    return [(pair.row.values, pair.target) for pair in opened.files.pairs()]


def test_lines_side_by_side_even_empty_ones_never_shift(tmp_path: Path):
    source, target = write(tmp_path / "a.en", "one\n\nthree\r\nnull\n"), write(tmp_path / "a.de", "eins\nzwei\n\nNA")
    opened = open_pairs(*request_of(source, target=target))
    assert read(opened) == [(("one",), "eins"), ((None,), "zwei"), (("three",), None), (("null",), "NA")]
    assert opened.kind == "pairs"
    more = [write(tmp_path / "b.en", "x\n"), write(tmp_path / "b.de", "y\n")]
    both = open_pairs(*request_of(source, more[0], target=f"{target},{more[1]}"))
    assert len(read(both)) == 5


def test_files_of_different_lengths_are_refused_with_both_counts(tmp_path: Path):
    source, target = write(tmp_path / "a.en", "one\ntwo\nthree\n"), write(tmp_path / "a.de", "eins\nzwei\n")
    opened = open_pairs(*request_of(source, target=target))
    with pytest.raises(InputError, match=r"a\.en has 3 rows and .*a\.de 2 lines: give files in which each line"):
        read(opened)
    with pytest.raises(UsageError, match="--target names 1 files and DATA 2"):
        open_pairs(*request_of(source, source, target=target))


def test_a_column_of_a_table_is_written_and_words_that_mean_nothing_elsewhere_are_words(tmp_path: Path):
    lines = "".join(f"word{n}\tw {n}\n" for n in range(30)) + "null\tn u l\nNA\t?\n"
    opened = open_pairs(*request_of(write(tmp_path / "g.tsv", lines), target="2", source_type="char"))
    assert opened.columns.text == ("1",)
    assert read(opened)[-2:] == [(("null", "n u l"), "n u l"), (("NA", "?"), "?")]
    many = "".join(f"word{n % 1500}\tw {n}\n" for n in range(3000))  # words of which each occurs twice are words too
    assert open_pairs(*request_of(write(tmp_path / "m.tsv", many), target="2")).columns.text == ("1",)
    (table := tmp_path / "t.jsonl").write_text('{"a": "null", "b": "x y"}\n{"a": "un", "b": "one"}\n')
    assert read(open_pairs(*request_of(table, target="b", text="a")))[0] == (("null", "x y"), "x y")


def test_numbers_are_read_where_there_is_no_text(tmp_path: Path):
    rows = "".join(f"{n},{n * 3 % 7},{'ab'[n % 2]},a picture of {n} dots here\n" for n in range(40))
    table = write(tmp_path / "s.csv", "x,y,kind,caption\n" + rows)
    opened = open_pairs(*request_of(table, target="caption", numeric="x,y", categorical="kind"))
    assert opened.kind == "captions"
    assert [column.name for column in opened.columns.numeric] == ["x", "y"]
    texts = write(tmp_path / "texts.txt", "".join(f"caption {n}\n" for n in range(40)))
    beside = open_pairs(*request_of(table, target=texts, numeric="x,y", ignore="caption,kind"))
    assert read(beside)[3][1] == "caption 3"


def test_a_column_goes_before_a_file_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "b", "1\n2\n")
    write(tmp_path / "t.tsv", "a\tb\none two\teins zwei\nthree\tdrei\n")
    request, examples = request_of(Path("t.tsv"), target="b")
    assert target_files(request, examples) == ["b"]
    assert open_pairs(request, examples).files.target == "b"
    with pytest.raises(UsageError, match=r"--target c: there is no such column.* and there is no such file"):
        open_pairs(*request_of(Path("t.tsv"), target="c"))
    with pytest.raises(UsageError, match="say which column, or which file"):
        open_pairs(*request_of(Path("t.tsv")))


def test_others_are_laid_out_alike(tmp_path: Path):
    source, target = write(tmp_path / "a.en", "one\n"), write(tmp_path / "a.de", "eins\n")
    opened = open_pairs(*request_of(source, target=target))
    files, columns = opened.files, opened.columns
    again = reopened(files.layout, files.target, columns, (str(source), str(target)), "strict")
    assert [pair.target for pair in again.pairs()] == ["eins"]
    with pytest.raises(UsageError, match="stand in a file of their own; name that, too: --valid SOURCE,TARGET"):
        reopened(files.layout, files.target, columns, (str(source), None), "strict")
    table = open_pairs(
        *request_of(write(tmp_path / "t.tsv", "a\tb\none two\teins zwei\nx\ty\n"), target="b", header="yes")
    )
    other = write(tmp_path / "u.tsv", "a\nsix\n")
    with pytest.raises(InputError, match="b: there is no such column"):
        reopened(table.files.layout, "b", table.columns, (str(other), None), "strict")
    beside = reopened(table.files.layout, "b", table.columns, (str(other), str(target)), "strict")
    assert [(pair.row.values, pair.target) for pair in beside.pairs()] == [(("six",), "eins")]


def test_two_paths_stand_on_both_sides_of_a_comma(tmp_path: Path):
    for name in ("a", "b,c"):
        write(tmp_path / name, "x\n")
    a, b = str(tmp_path / "a"), str(tmp_path / "b,c")
    assert two_paths(f"{a},{b}") == (a, b)
    assert two_paths(b) == (b, None)
    assert two_paths(f"{b},{a}") == (b, a)
    assert two_paths("no,such") == ("no", "such")


def test_a_pipe_is_a_file_of_texts(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    request, examples = request_of(write(tmp_path / "a", "x\n"), target=tmp_path / "pipe")
    assert target_files(request, examples) == [str(tmp_path / "pipe")]
    assert target_files(request, dataclasses.replace(examples, target=str(tmp_path))) == []


def test_what_is_a_table():
    assert is_table("a.tsv", ExampleConfig())
    assert not is_table("a.en", ExampleConfig())
    assert not is_table("a.tsv", ExampleConfig(format="lines"))
    assert is_table("a.txt", ExampleConfig(delimiter="tab"))
