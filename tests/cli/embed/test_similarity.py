"""`seqtool embed similarity`, by the real command; how questions are read is tested in test_asking."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.embed.conftest import cos
from tests.conftest import Command


def test_similarity_prints_rows_and_json(seqtool: Command, vectors: Path):
    result = seqtool("embed", "similarity", vectors, "king", "queen")
    assert result.stdout.decode() == f"king\tqueen\t{cos('king', 'queen'):.6f}\n"
    record = json.loads(seqtool("embed", "similarity", vectors, "king", "queen", "--json").stdout)
    assert record == {"a": "king", "b": "queen", "cosine": pytest.approx(cos("king", "queen"), abs=1e-7)}
