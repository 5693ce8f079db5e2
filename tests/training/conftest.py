from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.trainer import Trainer


@pytest.fixture
def trainer(tmp_path: Path, prose: str) -> Trainer:
    return Trainer(prose[:5000], tmp_path)
