"""Steps and products by step.c, and without it."""

from __future__ import annotations

import pytest

from seqtool.models.decoding import compiled_step


@pytest.fixture(autouse=True)
def _in_torch_or_compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test that is parametrized by `compiled`: with step.c for every number of rows, for one, or without it."""
    if "compiled" not in request.fixturenames:
        return
    compiled = request.getfixturevalue("compiled")
    if not compiled:
        monkeypatch.setattr(compiled_step, "step_library", lambda: None)
    elif compiled_step.step_library() is None:
        pytest.skip("step.c was not compiled")
    else:
        monkeypatch.setattr(compiled_step, "MOST_ROWS", 1000 if compiled is True else 1)
