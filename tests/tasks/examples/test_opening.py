"""The data of a request are opened once: a pipe is looked through as often as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtool.errors import UsageError
from seqtool.settings.examples import ExampleConfig
from seqtool.tasks.examples.opening import open_request, profile_of
from seqtool.tasks.request import Request


def request(data: str, valid: str | None = None) -> Request:
    return Request([data], [1.0], None, {}, None, {}, valid, None, None, "strict", False)


def test_rows_are_read_again_from_the_same_file(tmp_path: Path):
    (path := tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n")
    asked = request(str(path))
    found = [[row.values for row in open_request(asked, ExampleConfig()).rows()] for _ in range(2)]
    assert found[0] == found[1] == [("1", "2"), ("3", "4")]
    assert len(asked.files) == 1


def test_header_and_delimiter_are_as_asked(tmp_path: Path):
    (path := tmp_path / "a.csv").write_text("a;b\n1;2\n")
    rows = open_request(request(str(path)), ExampleConfig(header="no", delimiter="semicolon"))
    assert [row.values for row in rows.rows()] == [("a", "b"), ("1", "2")]


def test_standard_input_is_one_of_data_and_validation():
    with pytest.raises(UsageError, match="both standard input"):
        open_request(request("-", "-"), ExampleConfig())


def test_columns_are_looked_through_once(tmp_path: Path):
    (path := tmp_path / "a.csv").write_text("a,b\n1,x\n3,y\n")
    asked = request(str(path))
    first = profile_of(asked, open_request(asked, ExampleConfig()))
    path.write_text("a,b\n")
    assert profile_of(asked, open_request(asked, ExampleConfig())) is first
    assert [column.name for column in first] == ["a", "b"]
