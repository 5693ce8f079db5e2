"""A text for tests that train by the real command."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def text(prose: str, tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(prose[:20_000])
    return path
