"""A text for tests that train by the real command, and a run that learned to translate a small language."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Command
from tests.tasks.pairs.pairs import SMALL, parallel
from tests.tasks.tables import done


@pytest.fixture
def text(prose: str, tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(prose[:20_000])
    return path


@pytest.fixture(scope="session")
def translator(seqtool: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.a, train.b, test.a, test.b and a run, `run`, that has learned most of it."""
    folder = tmp_path_factory.mktemp("translator")
    source, target = parallel(folder, "train", 800)
    parallel(folder, "test", 40, seed=1)
    valid = ",".join(map(str, parallel(folder, "valid", 40, seed=2)))
    steps = ("--steps", 350, "--vocab-type", "word", "--model", "gru")
    done(seqtool, "train", source, "--target", target, "--valid", valid, "-o", folder / "run", *steps, *SMALL)
    return folder
