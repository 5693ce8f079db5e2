"""A run of examples goes on with its own data and settings, or says which flag asks for others."""

from __future__ import annotations

from pathlib import Path

from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.tasks.tables import done, pupils


def test_other_data_and_settings_are_refused_by_name(seqtool: Command, tmp_path: Path):
    path, run = pupils(tmp_path / "a.csv"), tmp_path / "run"
    train = ["train", path, "--target", "pass", "--ignore", "mark", "-o", run, "-q"]
    done(seqtool, *train, "--steps", 20)
    again = [*train, "--resume", "--steps", 30]
    assert "--ignore says another" in error_of(seqtool(*again[:5], "shoes", *again[6:]), 2)
    assert "--hidden 9 (was 32)" in error_of(seqtool(*again, "--hidden", 9), 2)
    pupils(path, seed=5)
    assert "sha256 differs" in error_of(seqtool(*again), 3)
    pupils(path)
    done(seqtool, *again)
    done(seqtool, "train", path, "-o", run, "--resume", "--steps", 40, "-q")  # what is left out is as it was
