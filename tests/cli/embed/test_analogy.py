"""`seqtool embed analogy`, by the real command; how questions are read is tested in test_asking."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Command


def test_analogy_prints_rows_and_json(seqtool: Command, vectors: Path):
    first = seqtool("embed", "analogy", vectors, "man", "king", "woman", "-n", 1)
    assert first.stdout.decode().split("\t")[:4] == ["man", "king", "woman", "queen"]
    record = json.loads(seqtool("embed", "analogy", vectors, "man", "king", "woman", "--json").stdout)
    assert (record["a"], record["b"], record["c"], record["answers"][0]["answer"]) == ("man", "king", "woman", "queen")
    assert f"{record['answers'][0]['score']:.6f}\n" == first.stdout.decode().split("\t")[4]
