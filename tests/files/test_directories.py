"""A directory has its name once it is whole, and nothing is left of one that did not get so far."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtool.errors import SeqtoolError
from seqtool.files.directories import built_aside, file_built_aside, publish


def test_it_takes_its_name_when_it_is_published(tmp_path: Path):
    path = tmp_path / "new" / "run"
    with built_aside(path) as folder:
        (folder / "file").write_text("whole")
        assert not path.exists()
        publish(folder, path, replace=False)
    assert (path / "file").read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_left_of_one_that_failed(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), built_aside(tmp_path / "run"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_another_of_that_name_goes_only_if_it_may_be_replaced(tmp_path: Path):
    path = tmp_path / "run"
    path.mkdir()
    (path / "old").write_text("old")
    with built_aside(path) as folder:
        with pytest.raises(SeqtoolError, match="name another with -o"):
            publish(folder, path, replace=False)
        assert (path / "old").exists()
        publish(folder, path, replace=True)
    assert list(path.iterdir()) == []
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_a_library_writes_is_there_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "x.bin"
    with file_built_aside(path) as file:
        file.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"

    def stopped() -> None:
        with file_built_aside(path) as file:
            file.write_bytes(b"ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert path.read_bytes() == b"whole"
    with pytest.raises(SeqtoolError, match="cannot write"), file_built_aside(path):
        pass
    assert list(tmp_path.iterdir()) == [path]
