"""`seqtool embed nearest`, by the real command; how questions are read is tested in test_asking."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.embed.conftest import TOKENS, cos
from tests.conftest import Command


def test_nearest_prints_rows_and_json(seqtool: Command, vectors: Path):
    others = sorted(set(TOKENS) - {"king"}, key=lambda word: -cos("king", word))
    rows = "".join(f"king\t{word}\t{cos('king', word):.6f}\n".replace("a\tb", "a\\tb") for word in others)
    result = seqtool("embed", "nearest", vectors, "king")
    assert (result.stdout.decode(), result.stderr, result.returncode) == (rows, b"", 0)
    lines = seqtool("embed", "nearest", vectors, "king", "man queen", "-n", 2, "--json").stdout.decode().splitlines()
    one, two = map(json.loads, lines)
    assert one["query"] == "king"
    assert [near["token"] for near in one["neighbours"]] == others[:2]
    assert one["neighbours"][0]["cosine"] == pytest.approx(cos("king", others[0]), abs=1e-7)
    assert two["query"] == "man queen"
    assert {near["token"] for near in two["neighbours"]} <= {"king", "woman", "naïve"}
