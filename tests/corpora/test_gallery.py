"""The gallery by its real program: commands run once, a failure is told in a line, and the numbers bear out the claims."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora.gallery import Workshop
from corpora.lectures.pictures import PICTURES
from tests.corpora.recipe import ran
from tests.reports.test_run_page import data_of


def test_a_command_runs_once_in_its_folder_and_is_kept_only_if_asked(tmp_path: Path):
    shop = Workshop(tmp_path / "g")
    add, show = "echo more >> $G/log.txt; echo said", "cat < $G/log.txt"
    assert shop.run(add, add) == ["said\n", "said\n"]
    assert shop.run(add, show) == ["said\n", "more\n"]
    assert Workshop(tmp_path / "g", keep=True).run(add, show) == ["said\n", "more\n"]
    again = Workshop(tmp_path / "g")
    again.run(add)
    assert again.run(show) == ["more\nmore\n"]


@pytest.mark.slow
def test_a_training_that_diverges_is_no_failure_and_another_is_told_in_a_line(tmp_path: Path):
    shop = Workshop(tmp_path / "g")
    assert shop.run("echo before; exit 4") == ["before\n"]
    with pytest.raises(RuntimeError, match=r"^exit 3: exit code 3$"):
        shop.run("exit 3")
    with pytest.raises(RuntimeError, match=r"^seqtool eval \$G/none: seqtool: error: .*does not exist"):
        shop.run("seqtool eval $G/none")


def test_an_unknown_picture_is_refused_with_the_choices(tmp_path: Path):
    done = ran("gallery", "-o", tmp_path / "g.html", "--only", "clipping,nothing")
    assert done.returncode == 2
    assert f"--only nothing: choose from {', '.join(PICTURES)}" in done.stderr


@pytest.mark.slow
def test_every_picture_shows_what_it_claims(tmp_path: Path):
    done = ran("gallery", "-o", tmp_path / "g.html")
    assert done.returncode == 0, done.stderr
    pictures = data_of((tmp_path / "g.html").read_bytes())["pictures"]
    assert len(pictures) == len(PICTURES)
    for picture in pictures:
        assert picture["claims"]
        assert any(command.startswith("seqtool ") for command in picture["commands"])
